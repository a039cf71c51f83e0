"""Tokens that are no good, by every way in which one can be carried: nobody gets in by any."""

import time
from functools import partial

import jwt
import pytest
import trio
from support.attack import Attack, attack_on
from support.besieged import besieged
from support.patience import PATIENCE_SECONDS
from support.raw import RawClient, command
from support.token_matrix import AUDIENCE, ISSUER, SECRET, bad_tokens, issuer_document
from support.wire import request

from greenroom.protocol import MAX_TOKEN_CHARS

COOKIE = "greenroom"


def good_token(user: str, *, until: float | None = None) -> str:
    now = int(time.time())
    claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
def strict_node(tmp_path_factory):
    """A node with an issuer's keys, and rules for all that a token may say; it logs all it can."""
    folder = tmp_path_factory.mktemp("strict")
    keys = folder / "jwks.json"
    keys.write_bytes(issuer_document())
    with besieged(
        folder,
        token=good_token,
        jwt_secret=SECRET,
        jwt_keys=str(keys),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_longest_seconds="86400",
        token_cookie=COOKIE,
        log_level="debug",
    ) as node:
        yield node


@pytest.fixture
async def token_attack(strict_node, request):
    async with attack_on(strict_node, request) as attack:
        yield attack


def rows(*, without: frozenset[str] = frozenset()) -> dict[str, str]:
    return {row.title: row.token for row in bad_tokens(time.time()) if row.title not in without}


async def by_auth(client: RawClient, token: str) -> tuple[object, int | None]:
    """What AUTH is answered, and the code of the close."""
    await client.upgrade()
    return await auth(client, token=token)


async def auth(client: RawClient, **fields: str) -> tuple[object, int | None]:
    await client.ask_away(type="AUTH", **fields)
    answer = await client.next_message()
    said = None if answer is None else answer.get("code", answer["type"])
    if said == 107:  # no token at all, to the codec: the connection goes on, without anybody
        return said, None
    if said == "AUTH_OK":
        return said, None
    with trio.fail_after(PATIENCE_SECONDS):
        return said, await client.close_code()


async def by_header(client: RawClient, token: str) -> int | None:
    """The status of a handshake with the token in its Authorization."""
    await client.send(request(Authorization=b"Bearer " + token.encode()))
    return await client.status()


async def by_cookie(client: RawClient, token: str) -> tuple[object, int | None]:
    """What an AUTH that means the cookie is answered; a status where there is no WebSocket."""
    cookie = f"{COOKIE}={token}".encode()
    await client.send(request(Cookie=cookie, Origin=b"http://localhost"))
    status = await client.status()
    return (status, None) if status != 101 else await auth(client)


async def by_refresh(client: RawClient, token: str, good: str) -> tuple[object, int | None]:
    """What REFRESH is answered: the token in force stays so."""
    await client.sign_in(good)
    await client.ask_away(type="REFRESH", token=token)
    answer = await client.next_message()
    if answer is None:
        return None, client.heard_code
    await client.send(command(type="HEARTBEAT", timestamp=1))
    assert await client.push("HEARTBEAT")
    return answer["code"], None


# What is around a token and belongs to the header's own syntax; the token within is good.
TAKEN_OFF = frozenset({"white space before", "white space behind", "in quotes"})
AUTH_REFUSALS = {(101, 4500), (109, 4003), (107, None), (None, 1009)}


async def test_bad_tokens_in_auth(token_attack: Attack):
    found = await token_attack.each(rows(), by_auth)
    assert {title: said for title, said in found.items() if said not in AUTH_REFUSALS} == {}


async def test_bad_tokens_in_a_header(token_attack: Attack):
    """Refused before there is a WebSocket; 400 where it is no header that HTTP can carry."""
    found = await token_attack.each(rows(without=TAKEN_OFF), by_header)
    assert {title: said for title, said in found.items() if said not in {400, 401, 431}} == {}


async def test_bad_tokens_in_a_cookie(token_attack: Attack):
    found = await token_attack.each(rows(without=TAKEN_OFF), by_cookie)
    refusals = {*AUTH_REFUSALS, (400, None), (401, None), (431, None)}
    assert {title: said for title, said in found.items() if said not in refusals} == {}


async def test_bad_tokens_in_refresh(token_attack: Attack):
    """Refused on a connection that goes on with the token it has."""
    good = good_token("refresher")
    found = await token_attack.each(rows(), partial(by_refresh, good=good))
    refusals = {(101, None), (109, None), (107, None), (None, 1009)}
    assert {title: said for title, said in found.items() if said not in refusals} == {}


async def test_a_cookie_from_a_page_elsewhere(token_attack: Attack):
    """CSRF: the browser sends the cookie along, whoever's page asks; the Origin says whose."""
    cookie = f"{COOKIE}={good_token('ann')}".encode()
    client = await token_attack.connect()
    await client.send(request(Cookie=cookie, Origin=b"https://evil.example"))
    foreign = await client.status()
    client = await token_attack.connect()
    await client.send(request(Cookie=cookie))
    assert await client.status() == 101
    said = await auth(client)
    token_attack.saw(f"foreign {foreign}", f"without Origin {said}")
    assert foreign == 403
    assert said == (101, 4500)


async def test_a_token_in_the_address(token_attack: Attack):
    """Addresses are logged by proxies and kept by browsers: a token there counts for nothing."""
    token = good_token("ann").encode()
    client = await token_attack.connect()
    await client.send(request(b"GET /ws?token=" + token + b"&access_token=" + token + b" HTTP/1.1"))
    assert await client.status() == 101
    said = await auth(client)
    token_attack.saw(said)
    assert said == (101, 4500)


async def test_no_token_is_in_the_log(token_attack: Attack):
    """At its most talkative; parts of 12 characters are what is searched for."""
    log = token_attack.node.node.log()
    tokens = [token for token in rows().values() if 12 <= len(token) <= MAX_TOKEN_CHARS]
    signatures = {token.rpartition(".")[2][:12] for token in tokens}
    shown = [part for part in signatures if len(part) == 12 and part in log]
    token_attack.saw(f"none of {len(signatures)} in {len(log)} characters")
    assert shown == []
    assert len(log) > 1_000
