"""The HTTP side of the port: paths, framing, bodies, methods, and who guesses passwords."""

import json
import re

import pytest
import trio
from support.attack import Attack, attack_on
from support.besieged import besieged
from support.patience import PATIENCE_SECONDS
from support.raw import RawClient

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json"
BODY_SECONDS = 5.0
LATE_SECONDS = 8.0  # of a node that has no core for a while
TRIES = 5


def get(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = b"%s %s HTTP/1.1\r\n" % (method, target) + HOST
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(path: bytes, body: bytes, *lines: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return get(path, JSON, length, *lines, method=b"POST") + body


def statuses_in(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


PATHS = [
    b"/../../../../etc/passwd",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"/..%2f..%2fetc%2fpasswd",
    b"/..\\..\\etc\\passwd",
    b"//etc/passwd",
    b"/page/../../node/settings/record.py",
    b"/chat.js/../chat.js",
    b"/chat.js%00.html",
    b"/.git/config",
    b"/greenroom-data/secret",
    b"file:///etc/passwd",
    b"/%c0%ae%c0%ae/etc/passwd",
]


async def rest(client: RawClient, data: bytes) -> bytes:
    await client.send(data)
    with trio.fail_after(PATIENCE_SECONDS):
        return await client.rest()


async def test_paths_that_lead_elsewhere(attack: Attack):
    """All 404s are the same, and so tell nothing."""

    async def not_found(client: RawClient, data: bytes) -> tuple[int, bytes]:
        head, _, body = (await rest(client, data)).partition(b"\r\n\r\n")
        return statuses_in(head)[0], body

    cases = {path.decode(): get(path, b"Connection: close") for path in PATHS}
    found = await attack.each(cases, not_found)
    assert found == dict.fromkeys(cases, (404, b'{"error":"Not Found"}'))


TWO_READINGS = {
    "two framings": get(b"/healthz", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "two lengths": get(b"/healthz", b"Content-Length: 5", b"Content-Length: 6"),
    "a signed length": get(b"/healthz", b"Content-Length: +5"),
    "a hexadecimal length": get(b"/healthz", b"Content-Length: 0x5"),
    "another coding": get(b"/healthz", b"Transfer-Encoding: xchunked"),
    "codings": get(b"/healthz", b"Transfer-Encoding: chunked, identity"),
    "a space before the colon": get(b"/healthz", b"Transfer-Encoding : chunked"),
    "a folded header": get(b"/healthz", b"Content-Length: 5", b"Transfer-Encoding:", b" chunked"),
    "a bare cr": get(b"/healthz", b"X: a\rb"),
    "a nul": get(b"/healthz", b"X: a\0b"),
    "two hosts": get(b"/healthz", b"Host: other"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
}


async def test_two_ways_to_read_one_request(attack: Attack):
    """Smuggling: what two readers could take differently is refused, and the connection closed."""

    async def statuses(client: RawClient, data: bytes) -> list[int]:
        return statuses_in(await rest(client, data + get(b"/secret")))

    found = await attack.each(TWO_READINGS, statuses)
    assert {name: codes for name, codes in found.items() if codes not in ([400], [501])} == {}


async def test_a_request_within_the_body_of_another(attack: Attack):
    """A body is a body, whatever it looks like; the request behind it is the next one."""
    client = await attack.connect()
    await client.send(post(b"/nowhere", get(b"/healthz")) + get(b"/readyz", b"Connection: close"))
    answer = await client.rest()
    statuses = statuses_in(answer)
    attack.saw(*statuses)
    assert statuses == [404, 200]


METHODS = [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"X"]


async def test_methods_that_nothing_here_has(attack: Attack):
    async def status(client: RawClient, data: bytes) -> int:
        answer = await rest(client, data)
        assert b"secret" not in answer
        return statuses_in(answer)[0]

    close = b"Connection: close"
    cases = {m.decode(): get(b"/healthz", b"X-Mine: secret", close, method=m) for m in METHODS}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 405)


TOO_MUCH = {
    "5 kB": (post(b"/api/guest", b"x" * 5_000), {413}),
    "nested": (post(b"/api/guest", b"[" * 4_000), {400}),
    "a surrogate": (post(b"/api/guest", b'{"name":"\\ud800"}'), {400}),
    "a long number": (post(b"/api/guest", b'{"name":' + b"9" * 4_000 + b"}"), {400}),
    "not utf8": (post(b"/api/guest", b"\xff\xfe"), {400}),
    "a length of 20 digits": (
        get(b"/api/guest", JSON, b"Content-Length: 99999999999999999999", method=b"POST"),
        {413, 400},
    ),
    "no chunk size": (
        get(b"/api/guest", JSON, b"Transfer-Encoding: chunked", method=b"POST") + b"zz\r\n",
        {400},
    ),
    "6000 chunks": (
        get(b"/api/guest", JSON, b"Transfer-Encoding: chunked", method=b"POST")
        + b"1\r\nx\r\n" * 6_000,
        {413},
    ),
    "2000 headers": (get(b"/healthz", *[b"X-%d: y" % n for n in range(2_000)]), {431}),
    "a cookie of 20 kB": (get(b"/healthz", b"Cookie: " + b"a=b; " * 4_000), {431}),
    "a target of 20 kB": (get(b"/" + b"a" * 20_000), {431}),
    "3000 ranges": (get(b"/healthz", b"Range: bytes=" + b"0-," * 3_000), {200, 431}),
    "another expectation": (get(b"/healthz", b"Expect: 100-continue" + b"e" * 100), {200, 417}),
}


async def test_requests_that_are_too_much(attack: Attack):
    async def status(client: RawClient, case: tuple[bytes, set[int]]) -> int | None:
        await client.send(case[0])
        with trio.fail_after(PATIENCE_SECONDS):
            return await client.status()

    found = await attack.each(TOO_MUCH, status)
    assert {n: code for n, code in found.items() if code not in TOO_MUCH[n][1]} == {}
    assert attack.growth_mib() < 5


@pytest.mark.slow
async def test_bodies_that_never_end(attack: Attack):
    """A byte now and then, and a chunk that claims to be endless: 408, in bounded time."""
    ends = []
    started = trio.current_time()

    async def one(number):
        framing = b"Transfer-Encoding: chunked" if number % 2 else b"Content-Length: 1000"
        client = await attack.connect()
        await client.send(get(b"/api/guest", JSON, framing, method=b"POST"))
        if number % 2:
            await client.send(b"ffffffffffffffff\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, client)
            status = await client.status()
            ends.append((trio.current_time() - started, status))
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, number)
    attack.saw(
        f"{len(ends)} ended, the last after {max(seconds for seconds, _ in ends):.1f} s",
        *{status for _, status in ends},
    )
    assert max(seconds for seconds, _ in ends) < BODY_SECONDS + LATE_SECONDS
    assert {status for _, status in ends} <= {408, None}


async def drip(client) -> None:
    while await client.send(b"x"):  # noqa: ASYNC110  # a pace, no wait for anything
        await trio.sleep(0.3)


async def test_a_thousand_requests_at_once_on_one_connection(attack: Attack):
    """Pipelined, and read by nobody: answered one by one as far as the socket takes it."""
    client = await attack.connect(receive_bytes=2_048)
    with trio.move_on_after(3):
        await client.flood(get(b"/") * 100, times=1_000)
    attack.saw("answered in turn", f"{attack.growth_mib():.1f} MiB")
    assert attack.growth_mib() < 5


@pytest.fixture(scope="module")
def accounts_node(tmp_path_factory):
    """A node with accounts, hashing cheaply: what is tried here is who may try how often."""
    with besieged(
        tmp_path_factory.mktemp("accounts"),
        accounts="true",
        registration="true",
        password_memory_mib="8",
        password_passes="1",
        login_tries=str(TRIES),
    ) as node:
        yield node


@pytest.fixture
async def login_attack(accounts_node, request):
    async with attack_on(accounts_node, request) as attack:
        attack.leaves_mib = 24  # what Argon2 has used, the allocator keeps
        yield attack


async def sign_in(
    attack: Attack, name: str, password: str, *, source: str, path=b"/api/login"
) -> tuple[int, bytes]:
    client = await attack.connect(source=source)
    body = json.dumps({"name": name, "password": password}).encode()
    await client.send(post(path, body, b"Connection: close"))
    answer = await client.rest()
    await client.aclose()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) != 429 or b"retry-after" in head.lower()
    return int(head.split()[1]), body


async def test_guessing_a_password(login_attack: Attack):
    """401 a few times, then 429 for this address and name; the user gets in from elsewhere."""
    made, _ = await sign_in(
        login_attack, "ann", "right horse battery", source="127.60.0.1", path=b"/api/register"
    )
    assert made in {200, 201}
    statuses = [
        (await sign_in(login_attack, "ann", f"wrong horse {n}", source="127.60.0.2"))[0]
        for n in range(TRIES + 10)
    ]
    own, _ = await sign_in(login_attack, "ann", "right horse battery", source="127.60.0.3")
    login_attack.saw(
        f"{statuses.count(401)} times 401, {statuses.count(429)} times 429", f"ann {own}"
    )
    assert statuses == [401] * TRIES + [429] * 10
    assert own == 200


async def test_guessing_who_has_an_account(login_attack: Attack):
    """Names that are taken and names that are not are answered alike, to the letter."""
    await sign_in(
        login_attack, "bob", "right horse battery", source="127.61.0.1", path=b"/api/register"
    )
    answers = {
        await sign_in(login_attack, name, "wrong horse battery", source=f"127.61.1.{n}")
        for n, name in enumerate(("bob", "nobody", "bob ", "BOB2", "x" * 30))
    }
    login_attack.saw(*(status for status, _ in answers))
    assert {status for status, _ in answers} <= {401}
    assert len(answers) == 1
