"""What the routes of signing in answer, asked without sockets."""

import math

import httpx2
import pytest
import trio
from support.accounts_world import World
from support.patience import PATIENCE_SECONDS

from greenroom.node.http.app import WebServices, make_app
from greenroom.node.http.posts import Posts
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.login import LoginServices, login_routes

COOKIE = "__Host-greenroom"
ORIGIN = "http://localhost:8000"
GOOD = {"name": "ann", "password": "correct horse"}


class Site:
    """The web side over fakes, and a browser before it."""

    def __init__(
        self, world, *, cookie=None, guests=False, has_accounts=True, issue_guest_token=None
    ):
        accounts = world.accounts if has_accounts else None
        posts = Posts(local_names_only=True)
        services = WebServices(
            assets={},
            draining=lambda: False,
            ping_store=trio.lowlevel.checkpoint,
            issue_guest_token=(issue_guest_token or self.guest) if guests else None,
            has_account=world.accounts.has_account,
            further=login_routes(
                LoginServices(accounts=accounts, guests=guests, cookie=cookie, posts=posts)
            ),
            development=True,
        )
        self.app = make_app(services)

    @staticmethod
    def guest(user):
        return IssuedToken(token=f"token-of-{user}", user=user, expires=1)

    async def ask(self, method, path, body=None, *, address="192.0.2.1", base=ORIGIN, **headers):
        transport = httpx2.ASGITransport(self.app, client=(address, 5))
        headers = {"origin": base, **headers}
        async with httpx2.AsyncClient(transport=transport, base_url=base) as browser:
            return await browser.request(method, path, json=body, headers=headers)

    async def post(self, what, body, **more):
        return await self.ask("POST", f"/api/{what}", body, **more)


@pytest.fixture
def world():
    made = World()
    made.put("Ann", "correct horse")
    return made


@pytest.fixture
def site(world):
    return Site(world)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_the_page_is_told_what_the_node_offers(world):
    offers = (await Site(world, guests=True).ask("GET", "/api/sign-in")).json()
    assert offers == {
        "accounts": True,
        "guests": True,
        "registration": True,
        "password_characters": 8,
    }


async def test_a_node_without_accounts_says_so_and_has_no_further_route(world):
    site = Site(world, has_accounts=False)
    assert (await site.ask("GET", "/api/sign-in")).json() == {"accounts": False, "guests": False}
    for what in ("login", "register", "password", "renew", "logout"):
        assert (await site.post(what, {})).status_code == 404


async def test_registration_is_there_only_where_it_is_allowed():
    site = Site(World(registration=False))
    assert not (await site.ask("GET", "/api/sign-in")).json()["registration"]
    assert (await site.post("register", GOOD)).status_code == 404


async def test_name_and_password_get_a_token(site, world):
    answer = await site.post("login", GOOD)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["user"], said["expires"]) == ("Ann", int((world.now + 600) * 1000))
    assert world.verify(said["token"], world.now).subject == "Ann"
    assert "set-cookie" not in answer.headers


async def test_nobody_is_told_which_part_was_wrong(site, world):
    """The same bytes for an unknown name, a disabled account, a wrong password, no name at all."""
    world.put("off", "correct horse", disabled=True)
    answers = [
        await site.post("login", {"name": name, "password": password})
        for name, password in (
            ("ann", "wrong"),
            ("nobody", "wrong"),
            ("off", "correct horse"),
            ("", ""),
            (None, "x"),
            ("x" * 300, "wrong"),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_who_guesses_is_told_how_long_to_wait(site, name):
    for _ in range(3):
        await site.post("login", {"name": name, "password": "wrong"})
    answer = await site.post("login", {"name": name, "password": "wrong"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1200")
    assert answer.json() == {"error": "Too many tries. Try again in 1200 s."}
    elsewhere = await site.post("login", GOOD, address="192.0.2.2")
    assert elsewhere.status_code == 200


async def test_what_is_the_node_s_fault_is_503_and_when_to_come_back(site, world):
    world.hasher.busy = True
    assert (await site.post("login", GOOD)).headers["retry-after"] == "2"
    world.hasher.busy, world.store.away = False, True
    answer = await site.post("login", GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("password", [None, 7, ["x"], "x" * 1025, "ä" * 513])
async def test_what_can_be_nobody_s_password_is_400(site, world, password):
    assert (await site.post("login", {"name": "ann", "password": password})).status_code == 400
    assert world.work == []


@pytest.mark.parametrize("what", ["login", "register", "password", "renew", "logout"])
async def test_every_route_that_acts_asks_where_the_request_comes_from(site, world, what):
    path = f"/api/{what}"
    foreign = await site.ask("POST", path, GOOD, origin="http://evil.example")
    assert foreign.status_code == 403
    rebound = await site.ask("POST", path, GOOD, base="http://evil.example")
    assert rebound.status_code == 421
    assert (await site.ask("GET", path)).status_code == 405
    form = await site.ask("POST", path, **{"content-type": "text/plain"})
    assert form.status_code == 415
    assert (await site.post(what, ["x"])).status_code == 400
    assert (await site.post(what, {"name": "x" * 5000})).status_code == 413
    assert world.work == []


async def test_somebody_registers_once(site):
    new = {"name": "Bob", "password": "long enough"}
    assert (await site.post("register", new)).json()["user"] == "Bob"
    again = await site.post("register", new)
    assert (again.status_code, again.json()) == (409, {"error": "This name is taken."})
    short = await site.post("register", {"name": "eve", "password": "short"})
    assert (short.status_code, short.json()["error"]) == (
        400,
        "A password has at least 8 characters.",
    )


async def test_a_password_is_changed_with_the_old_one_and_the_token(site, world):
    token = (await site.post("login", GOOD)).json()["token"]
    change = {"old": "correct horse", "new": "battery staple"}
    assert (await site.post("password", change)).status_code == 401
    wrong = await site.post("password", {**change, "old": "no"}, **bearer(token))
    assert (wrong.status_code, wrong.json()["error"]) == (403, "The present password is wrong.")
    world.now += 1
    fresh = (await site.post("password", change, **bearer(token))).json()["token"]
    assert (await site.post("renew", {}, **bearer(token))).status_code == 401
    assert (await site.post("renew", {}, **bearer(fresh))).status_code == 200


async def test_a_token_is_renewed_until_it_is_signed_out(site):
    token = (await site.post("login", GOOD)).json()["token"]
    renewed = (await site.post("renew", {}, **bearer(token))).json()
    assert renewed["user"] == "Ann"
    assert (await site.post("logout", {}, **bearer(token))).status_code == 204
    answer = await site.post("renew", {}, **bearer(token))
    assert (answer.status_code, answer.json()) == (401, {"error": "Sign in again."})
    assert (await site.post("renew", {}, **bearer(renewed["token"]))).status_code == 200


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer a b", "Basic eA==", "Bearer x.y.z", "Bearer é"]
)
async def test_without_a_token_of_ours_nobody_is_signed_in(site, authorization):
    answer = await site.post("renew", {}, authorization=authorization.encode("latin-1"))
    assert answer.status_code == 401


async def test_a_guest_can_not_have_the_name_of_an_account(world):
    site = Site(world, guests=True)
    for name in ("ann", "ANN", "\uff41nn"):
        answer = await site.post("guest", {"name": name})
        assert (answer.status_code, answer.json()) == (
            409,
            {"error": "This name belongs to somebody."},
        )
    assert (await site.post("guest", {"name": "bob"})).json()["user"] == "bob"
    world.store.away = True
    answer = await site.post("guest", {"name": "bob"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_guest_has_no_good_token_of_a_name_that_becomes_an_account_s_meanwhile(world):
    find = world.store.find

    async def find_and_then_register(key):
        found = await find(key)
        world.put("bob", "long enough")
        world.now += 0.5
        world.revoke("bob")
        return found

    def issue(user):
        issued = world.issue(user, now=world.now, token_id="g1")
        return IssuedToken(token=issued.token, user=user, expires=issued.expires)

    world.accounts.store.find = find_and_then_register
    site = Site(world, guests=True, issue_guest_token=issue)
    answer = await site.post("guest", {"name": "bob"})
    assert world.verify(answer.json()["token"], world.now) is None


async def test_a_token_goes_into_the_cookie_that_the_node_reads(world):
    site = Site(world, cookie=COOKIE)
    answer = await site.post("login", {**GOOD, "cookie": True}, base="https://localhost")
    assert set(answer.json()) == {"user", "expires"}
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{COOKIE}=ey")
    assert {text.lower().partition("=")[0] for text in attributes} == {
        "expires",
        "path",
        "secure",
        "httponly",
        "samesite",
    }
    assert "SameSite=strict" in attributes
    assert "Path=/" in attributes
    renewed = await site.post("renew", {}, base="https://localhost", cookie=cookie)
    assert "token" not in renewed.json()
    assert renewed.headers["set-cookie"].startswith(f"{COOKIE}=ey")
    out = await site.post("logout", {}, base="https://localhost", cookie=cookie)
    assert out.status_code == 204
    assert out.headers["set-cookie"].startswith(f'{COOKIE}=""; expires=Thu, 01 Jan 1970')
    assert (await site.post("renew", {}, cookie=cookie)).status_code == 401


@pytest.mark.parametrize(
    ("name", "base", "secure"),
    [
        (COOKIE, ORIGIN, True),
        ("plain", ORIGIN, False),
        ("plain", "https://localhost", True),
    ],
)
async def test_a_cookie_is_secure_wherever_it_can_be(world, name, base, secure):
    site = Site(world, cookie=name)
    answer = await site.post("login", {**GOOD, "cookie": True}, base=base)
    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure


async def test_a_cookie_that_the_node_does_not_read_is_not_set(site, world):
    for wanted in (True, "yes", 1, ["x"]):
        answer = await site.post("login", {**GOOD, "cookie": wanted})
        assert (answer.status_code, answer.json()) == (400, {"error": "This node takes no cookie."})
    assert world.work == []


@pytest.mark.socket
async def test_a_client_that_hangs_up_leaves_its_place(world, open_node):
    """The same through a real socket."""
    waiting, left = trio.Event(), trio.Event()

    async def for_ever(_stored, _password):
        waiting.set()
        try:
            await trio.sleep(math.inf)
        finally:
            left.set()

    world.hasher.verify = for_ever
    async with open_node(app=Site(world).app) as node:
        async with await node.connect() as client:
            body = b'{"name":"ann","password":"correct horse"}'
            await client.send_all(
                b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            with trio.fail_after(PATIENCE_SECONDS):
                await waiting.wait()
        with trio.fail_after(PATIENCE_SECONDS):
            await left.wait()


async def test_a_client_that_goes_away_leaves_its_place(world, autojump_clock):
    """Its password is not hashed any more, unless that has begun."""
    waiting = trio.Event()
    left = []

    async def for_ever(_stored, _password):
        waiting.set()
        try:
            await trio.sleep(math.inf)
        except trio.Cancelled:
            left.append("its place")
            raise

    world.hasher.verify = for_ever
    app = Site(world).app
    body = [
        {"type": "http.request", "body": b'{"name":"ann","password":"correct horse"}'},
    ]

    async def receive():
        if body:
            return body.pop()
        await waiting.wait()
        return {"type": "http.disconnect"}

    async def send(_message):
        await trio.lowlevel.checkpoint()

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/api/login",
        "raw_path": b"/api/login",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("192.0.2.1", 5),
    }
    with trio.fail_after(PATIENCE_SECONDS):
        await app(scope, receive, send)
    assert left == ["its place"]
