"""Handshakes that are no good: each is answered in HTTP, and ends nothing but itself."""

import pytest
from support.attack import Attack
from support.raw import CLOSE, TEXT, RawClient, command
from support.wire import frame, request

HOST = b"Host: localhost\r\n"
NONCE = b"AAAAAAAAAAAAAAAAAAAAAA=="
HEADERS = [
    "Host",
    "Upgrade",
    "Connection",
    "Origin",
    "Cookie",
    "Authorization",
    "Sec_WebSocket_Key",
    "Sec_WebSocket_Version",
    "Sec_WebSocket_Protocol",
    "Sec_WebSocket_Extensions",
    "X_Other",
]
NOT_ASCII = [b"\xe9", b"caf\xe9", b"\xff\xfe\x80", b"websocket\x80"]


async def status(client: RawClient, head: bytes) -> int | None:
    await client.send(head)
    return await client.status()


async def test_bytes_beyond_ascii_in_any_header(attack: Attack):
    """Each of them ended a stock server's process, or could have."""
    cases = {
        f"{header}: {value!r}": request(**{header: value})
        for header in HEADERS
        for value in NOT_ASCII
    }
    found = await attack.each(cases, status)
    assert set(found.values()) <= {400, 426}


async def test_keys_that_are_no_nonce(attack: Attack):
    keys = [None, b"", b"x" * 24, NONCE + b"A", NONCE[:-1], [NONCE] * 2, b"A" * 10_000]
    cases = {repr(key)[:40]: request(Sec_WebSocket_Key=key) for key in keys}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 400)


async def test_other_websocket_versions(attack: Attack):
    versions = [None, b"", b"12", b"8", b"13, 8", b"9" * 20, [b"13", b"13"]]
    cases = {repr(version): request(Sec_WebSocket_Version=version) for version in versions}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 426)


async def test_not_just_one_host(attack: Attack):
    hosts = [None, [b"localhost"] * 2, [b"localhost", b"evil.example"]]
    cases = {repr(host): request(Host=host) for host in hosts}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 400)


async def test_pages_of_other_origins(attack: Attack):
    origins = [
        b"null",
        b"https://evil.example",
        b"http://localhost.evil.example",
        b"http://evil.example.localhost",
        b"http://localhost@evil.example",
        b"http://evil.example#localhost",
        b"http://evil.example/localhost",
        b"http://localhost:1",
        b"https://localhost",
        b"file://",
        b"http://localhost/",
        b"localhost",
    ]
    cases = {origin.decode(): request(Origin=origin) for origin in origins}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 403)


async def test_upgrades_to_something_else(attack: Attack):
    upgrades = [
        b"h2c",
        b"h2c, websocket",
        b"websocket, h2c",
        b"websocket, websocket",
        b"TLS/1.0",
        b"WebSockets",
        [b"websocket", b"h2c"],
    ]
    cases = {repr(upgrade): request(Upgrade=upgrade) for upgrade in upgrades}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 400)


REQUESTS = {
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.0": (request(b"GET /ws HTTP/1.0"), 400),
    "HTTP/3.0": (request(b"GET /ws HTTP/3.0"), 505),
    "POST": (request(b"POST /ws HTTP/1.1"), 400),
    "elsewhere": (request(b"GET /other HTTP/1.1"), 404),
    "dots": (request(b"GET /ws/../ws HTTP/1.1"), 404),
    "a body": (request(Content_Length=b"5") + b"hello", 400),
    "a chunked body": (request(Transfer_Encoding=b"chunked"), 400),
    "zeros": (b"\0" * 64 + b"\r\n\r\n", 400),
    "only unknown subprotocols": (request(Sec_WebSocket_Protocol=b"mqtt, stomp"), 400),
}


async def test_requests_of_other_kinds(attack: Attack):
    cases = {name: data for name, (data, _) in REQUESTS.items()}
    assert await attack.each(cases, status) == {name: code for name, (_, code) in REQUESTS.items()}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # Bytes behind the head are frames, and these are none: nothing is smuggled.
        pytest.param(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 1002, id="a-request"),
        pytest.param(request(), 1002, id="an-upgrade"),
        # These are, and count as any others do.
        pytest.param(command(type="JOIN", id=1, room="lobby"), 4501, id="a-command"),
        pytest.param(frame(CLOSE, (1000).to_bytes(2, "big")), 1000, id="a-close"),
    ],
)
async def test_more_behind_the_handshake(attack: Attack, data, code):
    client = await attack.connect()
    await client.send(request() + data)
    assert (await client.answer()).startswith("HTTP/1.1 101")
    heard = await client.close_code()
    attack.saw(101, heard)
    assert heard == code


async def test_an_upgrade_behind_a_request_on_one_connection(attack: Attack):
    client = await attack.connect()
    await client.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n" + request())
    assert await client.status() == 200
    while b"101 " not in client.received:
        assert await client.receive()
    attack.saw(200, 101)


async def test_an_extension_that_was_not_agreed_on(attack: Attack):
    """permessage-deflate is offered, refused, and used nevertheless."""
    client = await attack.connect()
    await client.send(request(Sec_WebSocket_Extensions=b"permessage-deflate"))
    head = await client.answer()
    assert "extensions" not in head.lower()
    compressed = bytearray(frame(TEXT, b"\xaa\x56\x2a\x01\x00"))
    compressed[0] |= 0x40
    await client.send(bytes(compressed))
    code = await client.close_code()
    attack.saw("not agreed on", code)
    assert code == 1002
