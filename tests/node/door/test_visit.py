"""One connection at the door, on real loopback sockets: who it is, and whether there is a place."""

import contextlib
import ssl
import struct
from ipaddress import ip_address

import pytest
import structlog
import trio
import trustme
from support.patience import PATIENCE_SECONDS

from greenroom.actors.budgets import Budget
from greenroom.node.door.headcount import Headcount
from greenroom.node.door.proxies import AddressSource, Proxies, read_network
from greenroom.node.door.tls import make_tls_context
from greenroom.node.door.turnstile import Turnstile

pytestmark = pytest.mark.socket

PROXY = "127.0.0.1"
STRANGER = "127.0.0.2"
TRUSTED = (read_network(PROXY),)
ANNOUNCED = Proxies(trusted=TRUSTED, source=AddressSource.PROXY_PROTOCOL)
FORWARDED = Proxies(trusted=TRUSTED, source=AddressSource.X_FORWARDED_FOR)

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(
    "!BBH4s4sHH",
    0x21,
    0x11,
    12,
    ip_address("203.0.113.9").packed,
    ip_address("192.0.2.1").packed,
    4711,
    443,
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0, 0)


def get(*headers):
    lines = [b"GET / HTTP/1.1", b"Host: chat.example", *headers, b"", b""]
    return b"\r\n".join(lines)


def with_headers(*headers):
    return UPGRADE.replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(headers) + b"\r\n\r\n")


async def who_asks(scope, _receive, send):
    """An app that answers with what it is told about the client."""
    host, port = scope["client"]
    body = f"{scope['scheme']} {host} {port}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_until(stream, end):
    """Everything up to `end`, or to the end of the connection, however it ends."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while not data.endswith(end) and (more := await stream.receive_some(4096)):
            data += more
    return data


async def ask(stream, request, end=b""):
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(request)
    with trio.fail_after(PATIENCE_SECONDS):
        return await read_until(stream, end or b"\0never")


async def exchange(node, request, source=PROXY):
    async with await node.connect(source) as stream:
        return await ask(stream, request)


# The PROXY protocol.


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_proxy_header_says_who_comes(open_node, header):
    async with open_node(proxies=ANNOUNCED) as node:
        assert (await exchange(node, header + UPGRADE)).startswith(b"WELCOME")
        (arrival,) = node.world.arrivals
        assert str(arrival.peer) == "203.0.113.9:4711"
        assert arrival.received == UPGRADE


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_proxy_header_may_come_in_pieces(open_node, header):
    async with open_node(proxies=ANNOUNCED) as node, await node.connect() as stream:
        for byte in header:
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await ask(stream, UPGRADE)).startswith(b"WELCOME")
        assert node.world.arrivals[0].peer.address == "203.0.113.9"


async def test_a_proxy_that_checks_the_node_s_health_is_itself(open_node):
    async with open_node(proxies=ANNOUNCED, app=who_asks) as node:
        answer = await exchange(node, LOCAL + get(b"Connection: close"))
        assert b"http 127.0.0.1 " in answer


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_proxy_header_of_anybody_else_is_no_request(open_node, header):
    async with open_node(proxies=ANNOUNCED) as node:
        answer = await exchange(node, header + UPGRADE, STRANGER)
        assert answer.startswith(b"HTTP/1.1 400")
        assert (await exchange(node, UPGRADE, STRANGER)).startswith(b"WELCOME")
        assert [arrival.peer.address for arrival in node.world.arrivals] == [STRANGER]


@pytest.mark.parametrize(
    "data", [UPGRADE, b"PROXY TCP4 nonsense\r\n", V2[:12] + b"\xff" * 8], ids=["none", "v1", "v2"]
)
async def test_a_trusted_proxy_has_to_send_a_sound_header(open_node, data):
    async with open_node(proxies=ANNOUNCED) as node:
        with structlog.testing.capture_logs() as logs:
            assert await exchange(node, data) == b""
        assert [line["event"] for line in logs] == ["no PROXY header"]
        assert not node.world.arrivals


async def test_a_header_that_never_ends_is_given_up_in_time(open_node):
    async with open_node(proxies=ANNOUNCED, handshake_seconds=0.2) as node:
        for beginning in (b"", V1[:9], V2[:14]):
            assert await exchange(node, beginning) == b""


async def test_a_proxy_header_comes_before_tls(open_node, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    tls = make_tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_node(proxies=ANNOUNCED, tls=tls) as node:
        plain = await node.connect()
        await plain.send_all(V1)
        async with trio.SSLStream(
            plain, trusting, server_hostname="localhost", https_compatible=True
        ) as stream:
            await stream.send_all(UPGRADE)
            assert (await stream.receive_some(100)).startswith(b"WELCOME")
        (arrival,) = node.world.arrivals
        assert (arrival.peer.address, arrival.peer.tls) == ("203.0.113.9", True)


# Headers of a proxy.


async def test_each_request_of_one_connection_is_its_own_client_s(open_node):
    """As a proxy that keeps its connections to the node sends them."""
    async with open_node(proxies=FORWARDED, app=who_asks) as node, await node.connect() as stream:
        for client in (b"203.0.113.9", b"2001:db8::7"):
            request = get(b"X-Forwarded-For: " + client, b"X-Forwarded-Proto: https")
            end = b"https " + client + b" 0"
            assert (await ask(stream, request, end)).endswith(end)
        assert b"http 127.0.0.1 " in await ask(stream, get(b"Connection: close"))


async def test_a_handshake_after_requests_is_its_own_client_s_too(open_node):
    async with open_node(proxies=FORWARDED, app=who_asks) as node, await node.connect() as stream:
        await ask(stream, get(b"X-Forwarded-For: 203.0.113.9"), b"203.0.113.9 0")
        await ask(stream, with_headers(b"X-Forwarded-For: 1.1.1.1, 198.51.100.4"))
        (arrival,) = node.world.arrivals
        assert arrival.peer.address == "198.51.100.4"


async def test_headers_of_anybody_else_are_not_believed(open_node):
    spoofed = [b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https"]
    async with open_node(proxies=FORWARDED, app=who_asks) as node:
        answer = await exchange(node, get(*spoofed, b"Connection: close"), STRANGER)
        assert b"http 127.0.0.2 " in answer
        await exchange(node, with_headers(*spoofed), STRANGER)
        assert node.world.arrivals[0].peer.address == STRANGER


@pytest.mark.parametrize(
    ("source", "scheme", "answer"),
    [
        (PROXY, b"https", b"WELCOME"),
        (PROXY, b"http", b"HTTP/1.1 403"),
        (STRANGER, b"https", b"HTTP/1.1 403"),
    ],
)
async def test_the_node_s_own_origin_is_what_its_proxy_says(open_node, source, scheme, answer):
    """TLS ends at the proxy, so that the page is https and the connection is not."""
    async with open_node(proxies=FORWARDED) as node:
        upgrade = with_headers(
            b"Origin: https://chat.example",
            b"X-Forwarded-For: 203.0.113.9",
            b"X-Forwarded-Proto: " + scheme,
        )
        assert (await exchange(node, upgrade, source)).startswith(answer)


# Places at the door.


async def half_open(node, count, source=PROXY):
    streams = [await node.connect(source) for _ in range(count)]
    for stream in streams:
        await stream.send_all(b"GET /ws HTT")
    return streams


async def test_idle_handshakes_of_one_address_leave_room_for_the_others(open_node):
    async with open_node(pending=Headcount(3)) as node:
        streams = await half_open(node, 3)
        while node.door.pending.count(PROXY) < 3:  # noqa: ASYNC110  # sockets tell nobody
            await trio.sleep(0.005)
        answer = await exchange(node, b"")
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"Retry-After" in answer
        assert (await exchange(node, UPGRADE, STRANGER)).startswith(b"WELCOME")
        await streams.pop().aclose()
        while node.door.pending.count(PROXY) > 2:  # noqa: ASYNC110
            await trio.sleep(0.005)
        assert (await exchange(node, UPGRADE)).startswith(b"WELCOME")
        for stream in streams:
            await stream.aclose()


async def test_a_kept_http_connection_takes_such_a_place_and_a_websocket_none(open_node):
    async with open_node(pending=Headcount(1), app=who_asks) as node:
        assert (await exchange(node, UPGRADE)).startswith(b"WELCOME")
        async with await node.connect() as stream:
            port = stream.socket.getsockname()[1]
            await ask(stream, get(), b"127.0.0.1 %d" % port)
            assert (await exchange(node, b"")).startswith(b"HTTP/1.1 429")


async def test_a_proxy_has_as_many_connections_as_it_needs(open_node):
    """They are many clients'."""
    async with open_node(pending=Headcount(1), proxies=FORWARDED) as node:
        streams = await half_open(node, 5)
        assert (await exchange(node, UPGRADE)).startswith(b"WELCOME")
        for stream in streams:
            await stream.aclose()


async def test_behind_a_proxy_header_the_clients_themselves_are_counted(open_node):
    async with (
        open_node(pending=Headcount(1), proxies=ANNOUNCED) as node,
        await node.connect() as stream,
    ):
        await stream.send_all(V1)
        while not node.door.pending.count("203.0.113.9"):  # noqa: ASYNC110
            await trio.sleep(0.005)
        assert (await exchange(node, V1)).startswith(b"HTTP/1.1 429")
        other = V1.replace(b"203.0.113.9", b"203.0.113.10")
        assert (await exchange(node, other + UPGRADE)).startswith(b"WELCOME")


# How often they come.


def slowly(burst):
    return Turnstile(Budget(rate=0.1, burst=burst))


async def test_who_connects_too_often_is_told_when_to_come_back_and_others_come_in(open_node):
    async with open_node(connects=slowly(2)) as node:
        for _ in range(2):
            assert (await exchange(node, UPGRADE)).startswith(b"WELCOME")
        with structlog.testing.capture_logs() as lines:
            answer = await exchange(node, b"")
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"\r\nRetry-After: 10\r\n" in answer
        assert [line["event"] for line in lines] == ["one address comes too often"]
        assert (await exchange(node, UPGRADE, STRANGER)).startswith(b"WELCOME")


async def test_a_proxy_connects_as_often_as_it_needs_and_its_clients_ask_as_often_as_they_may(
    open_node,
):
    of_one, of_other = (b"X-Forwarded-For: 203.0.113.%d" % n for n in (9, 10))
    async with open_node(proxies=FORWARDED, connects=slowly(1), requests=slowly(2)) as node:
        for _ in range(2):
            assert (await exchange(node, with_headers(of_one))).startswith(b"WELCOME")
        assert (await exchange(node, with_headers(of_one))).startswith(b"HTTP/1.1 429")
        assert (await exchange(node, with_headers(of_other))).startswith(b"WELCOME")


async def test_requests_of_one_kept_connection_are_counted_and_the_last_ends_it(open_node):
    async with open_node(requests=slowly(3), app=who_asks) as node, await node.connect() as stream:
        port = stream.socket.getsockname()[1]
        for _ in range(3):
            await ask(stream, get(), b"127.0.0.1 %d" % port)
        answer = await ask(stream, get())
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"Connection: close" in answer
        assert b"Retry-After" in answer


# Bytes while the answer is under way.


async def test_nothing_is_read_while_a_token_is_checked(open_node):
    """However long that takes: what comes meanwhile is held back by TCP, not kept in memory."""
    async with open_node() as node, await node.connect() as stream:
        released = trio.Event()
        node.world.before_greeting = released.wait
        await stream.send_all(UPGRADE)
        sent = 0
        with trio.move_on_after(0.3):
            while True:
                await stream.send_all(b"x" * 65_536)
                sent += 65_536
        assert sent < 12_000_000  # the kernel's buffers of both sides
        (arrival,) = node.world.arrivals
        assert len(arrival.received) <= len(UPGRADE) + 4096
        released.set()
