"""The one port on real loopback sockets: who is led where, and what nobody can do to the others."""

import contextlib
import errno
import re
import ssl

import pytest
import structlog
import trio
import trio.testing
import trustme
from support.patience import PATIENCE_SECONDS
from support.quiet_inbox import QuietInbox

from greenroom.node.door.listener import CALM_SECONDS, open_listeners, serve_listener
from greenroom.node.door.peek import FULL, MAX_HEAD_BYTES, PlainHttp
from greenroom.node.door.tls import make_tls_context
from greenroom.node.door.visit import Door
from greenroom.node.errors import ListenError

pytestmark = pytest.mark.socket

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED_WRONG = b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"
GET_AND_CLOSE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def until(condition):
    """Wait for something another task does soon."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # sockets tell nobody
            await trio.sleep(0.005)


async def read_response(stream):
    """Read one HTTP response with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += await stream.receive_some(4096)
    return head, body


def statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answers)]


async def test_a_plain_request_goes_to_the_web_side(node):
    answer = await node.exchange(GET_AND_CLOSE)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'{"status":"ok"}')


async def test_an_upgrade_goes_to_a_connection_actor_with_its_bytes(node):
    frames = b"\x81\x80abcd"
    answer = await node.exchange(UPGRADE + frames)
    assert answer == b"WELCOME %d" % len(UPGRADE + frames)
    (arrival,) = node.world.arrivals
    assert arrival.received == UPGRADE + frames
    assert arrival.peer.address == "127.0.0.1"
    assert arrival.upgrade.head.value("host") == "localhost"
    assert not arrival.peer.tls


async def test_a_head_may_come_byte_by_byte(node):
    async with await node.connect() as stream:
        for byte in UPGRADE:
            await stream.send_all(bytes([byte]))
        assert (await stream.receive_some(100)).startswith(b"WELCOME")


async def test_an_upgrade_may_follow_requests_on_the_same_connection(node):
    """As a proxy that keeps its connections sends it."""
    async with await node.connect() as stream:
        for _ in range(3):
            await stream.send_all(GET)
            head, _body = await read_response(stream)
            assert head.startswith(b"HTTP/1.1 200")
        await stream.send_all(UPGRADE)
        assert await stream.receive_some(100) == b"WELCOME %d" % len(UPGRADE)
    assert node.world.arrivals[0].deadline > trio.current_time() + 1


async def test_http2_is_refused_on_a_kept_connection_too(node):
    async with await node.connect() as stream:
        await stream.send_all(GET)
        await read_response(stream)
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        head, _body = await read_response(stream)
        assert head.startswith(b"HTTP/1.1 400")


H2C = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"


@pytest.mark.parametrize(
    ("second", "status"),
    [
        pytest.param(GET_AND_CLOSE, 200, id="plain"),
        pytest.param(H2C, 400, id="http2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="http2-prior-knowledge"),
        pytest.param(
            GET.replace(b"Host", b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\nHost"), 431, id="large-head"
        ),
        pytest.param(UPGRADE.replace(b"Host", b"Origin: http://evil\r\nHost"), 403, id="origin"),
    ],
)
async def test_a_pipelined_request_is_looked_at_as_any_other(node, caplog, second, status):
    answer = await node.exchange(GET + second)
    assert statuses(answer) == [200, status]
    assert not caplog.records


async def test_requests_after_a_refused_one_are_not_served(node, caplog):
    answer = await node.exchange(GET + GET + H2C + GET)
    assert statuses(answer) == [200, 200, 400]
    assert not caplog.records


async def test_a_pipelined_upgrade_goes_to_a_connection_actor(node):
    answer = await node.exchange(GET + UPGRADE)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"WELCOME %d" % len(UPGRADE))


async def test_empty_lines_before_a_request_are_ignored(node):
    """RFC 9112, 2.2: some clients send one after a body."""
    async with await node.connect() as stream:
        for data in (b"\r\n" + GET, GET, b"\r\n\r\n" + GET):
            await stream.send_all(data)
            head, _body = await read_response(stream)
            assert head.startswith(b"HTTP/1.1 200")
        await stream.send_all(b"\r")
        await trio.sleep(0.01)  # a segment of its own
        await stream.send_all(b"\n" + UPGRADE)
        assert await stream.receive_some(100) == b"WELCOME %d" % len(UPGRADE)


@pytest.mark.parametrize(
    "asks",
    [
        pytest.param(H2C, id="upgrade"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="prior-knowledge"),
    ],
)
async def test_hypercorn_itself_never_speaks_http2(node, monkeypatch, asks):
    """The second fence: what if the peek let it pass?"""
    monkeypatch.setattr("greenroom.node.door.visit.decide", lambda *_: PlainHttp())
    monkeypatch.setattr("greenroom.node.door.visit.parse_head", lambda _: None)
    with trio.fail_after(PATIENCE_SECONDS):
        answer = await node.exchange(asks)
    assert b"\r\n\r\n\x00" not in answer  # no SETTINGS frame
    assert b"HTTP/1.1 200" not in answer


@pytest.mark.parametrize("path", [b"/nothing", b"/healthz", b"/api/guest"])
@pytest.mark.parametrize("pause_seconds", [None, 0, 0.02])
async def test_a_body_is_never_taken_for_a_handshake(node, path, pause_seconds):
    """Not even when the answer, which needs no body, is there before it."""
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (
        path,
        len(UPGRADE),
    )
    for _ in range(10):
        async with await node.connect() as stream:
            await stream.send_all(head if pause_seconds is not None else head + UPGRADE)
            with contextlib.suppress(trio.BrokenResourceError):
                if pause_seconds is not None:
                    await trio.sleep(pause_seconds)
                    await stream.send_all(UPGRADE)
                with trio.move_on_after(0.02):
                    while data := await stream.receive_some(4096):
                        assert b"WELCOME" not in data
    assert not node.world.arrivals


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(H2C, 400, id="http2-upgrade-without-connection"),
        pytest.param(UPGRADE.replace(b"/ws", b"/other"), 404, id="path"),
        pytest.param(UPGRADE.replace(b": 13", b": 12"), 426, id="version"),
        pytest.param(UPGRADE.replace(b"Host", b"Origin: http://evil\r\nHost"), 403, id="origin"),
        pytest.param(UPGRADE.replace(b"localhost", b"caf\xe9"), 400, id="host-byte"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", 400, id="tls-to-plain"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431, id="large-head"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="http2"),
        pytest.param(b"nonsense\r\n\r\n", 400, id="nonsense"),
    ],
)
async def test_what_is_refused_is_answered_and_closed(node, data, status):
    answer = await node.exchange(data)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_a_node_without_a_free_place_says_when_to_come_back(node):
    node.world.refusal = FULL
    answer = await node.exchange(UPGRADE)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After" in answer


async def test_a_crash_with_one_connection_leaves_the_others_alone(node):
    async with await node.connect() as other:
        node.world.admit_error = RuntimeError("a bug")
        assert await node.exchange(UPGRADE) == b""
        await other.send_all(GET_AND_CLOSE)
        assert (await other.receive_some(100)).startswith(b"HTTP/1.1 200")


async def test_whoever_never_finishes_is_gone_at_the_deadline(open_node):
    async with open_node(handshake_seconds=0.2) as node:
        idle = node.tasks()
        streams = [await node.connect() for _ in range(20)]
        for stream in streams[::2]:
            await stream.send_all(b"GET /ws HTTP/1.1\r\nHost")
        for stream in streams:
            with trio.fail_after(PATIENCE_SECONDS):
                assert await stream.receive_some(1) == b""
            await stream.aclose()
        await until(lambda: node.tasks() == idle)


async def test_whoever_leaves_early_is_gone_at_once(node):
    idle = node.tasks()
    for data in (b"", b"GET / HT", GET, UPGRADE):
        async with await node.connect() as stream:
            await stream.send_all(data)
    await until(lambda: node.tasks() == idle)


async def test_an_idle_kept_connection_is_gone_when_the_peer_closes(node):
    idle = node.tasks()
    stream = await node.connect()
    await stream.send_all(GET)
    await read_response(stream)
    await stream.aclose()
    await until(lambda: node.tasks() == idle)


async def test_draining_closes_idle_kept_connections(node):
    async with await node.connect() as stream:
        await stream.send_all(GET)
        await read_response(stream)
        await node.door.web.drain()
        with trio.fail_after(PATIENCE_SECONDS):
            assert await stream.receive_some(1) == b""


async def test_connections_beyond_the_bound_are_refused_at_once(open_node):
    """Nobody waits for their requests, and who hears the answer knows when to come back."""
    async with open_node(max_pending=5) as node:
        idle = node.tasks()
        streams = [await node.connect() for _ in range(5)]
        await until(lambda: node.tasks() == idle + 5)
        async with await node.connect() as stream:
            with trio.fail_after(PATIENCE_SECONDS):
                answer = await stream.receive_some(4096)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After" in answer
        await streams.pop().aclose()
        await until(lambda: node.tasks() == idle + 4)
        assert (await node.exchange(GET_AND_CLOSE)).startswith(b"HTTP/1.1 200")
        for stream in streams:
            await stream.aclose()


async def test_accepting_pauses_without_descriptors_and_comes_back(node, monkeypatch):
    """EMFILE: nothing ends, and whoever waits is served once there are descriptors again."""
    listener = node.door.listeners[0]
    real = listener.socket.accept
    failures = iter([errno.EMFILE, errno.ECONNABORTED])

    async def accept():
        code = next(failures, None)
        if code is not None:
            raise OSError(code, "trouble")
        return await real()

    monkeypatch.setattr(type(listener), "accept", _accept_with(accept))
    # The accept under way ends with this connection, the next ones fail.
    for _ in range(2):
        assert (await node.exchange(GET_AND_CLOSE)).startswith(b"HTTP/1.1 200")
    assert next(failures, None) is None


class ShortOfDescriptors:
    """A listener that takes one connection after every twenty refusals of the system."""

    def __init__(self, rounds):
        self.codes = [code for _ in range(rounds) for code in [errno.EMFILE] * 20 + [0]]

    async def accept(self):
        if not self.codes:
            await trio.sleep(CALM_SECONDS)
        elif code := self.codes.pop(0):
            raise OSError(code, "Too many open files")
        return trio.testing.memory_stream_pair()[0]


async def test_a_shortage_of_descriptors_is_one_error_and_one_line_when_it_is_over(
    autojump_clock,
):
    """However often a connection slips in between, and it says what to do."""
    door = Door(listeners=[ShortOfDescriptors(5)], tls=None, policy=None, web=None)
    with structlog.testing.capture_logs() as logs, trio.move_on_after(3 * CALM_SECONDS):
        await serve_listener(QuietInbox(), door, None, task_status=trio.TASK_STATUS_IGNORED)
    told = [line for line in logs if line["event"].startswith("accepting")]
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("error", "accepting pauses"),
        ("info", "accepting goes on"),
    ]
    assert "ulimit -n" in told[0]["hint"]


def _accept_with(accept):
    async def patched(self):
        sock, _address = await accept()
        return trio.SocketStream(sock)

    return patched


async def test_a_taken_port_is_one_clear_line(node):
    with pytest.raises(ListenError, match=f"port {node.port} on 127.0.0.1 is taken"):
        await open_listeners("127.0.0.1", node.port)


@pytest.mark.parametrize("host", ["203.0.113.1", "host.invalid"])
async def test_an_address_not_ours_is_one_clear_line(host):
    with pytest.raises(ListenError, match=host):
        await open_listeners(host, 0)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_context(authority, tmp_path):
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    return make_tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")


async def open_tls(node, authority, *, alpn=(), version=None):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return trio.SSLStream(
        await node.connect(), context, server_hostname="localhost", https_compatible=True
    )


async def test_tls_serves_both_sides(open_node, tls_context, authority):
    async with open_node(tls=tls_context) as node:
        async with await open_tls(node, authority) as stream:
            await stream.send_all(GET)
            head, _body = await read_response(stream)
            assert head.startswith(b"HTTP/1.1 200")
            await stream.send_all(UPGRADE)
            assert (await stream.receive_some(100)).startswith(b"WELCOME")
        assert node.world.arrivals[0].peer.tls


@pytest.mark.parametrize(
    ("host", "told"),
    [(b"chat.example", True), (b"localhost", False), (b"127.0.0.1:8443", False)],
)
async def test_under_tls_a_browser_is_told_to_stay_with_it_where_the_name_is_the_nodes_own(
    open_node, tls_context, authority, host, told
):
    """By pages, errors, refusals and what is no HTTP; at localhost other programs speak http."""
    async with open_node(tls=tls_context) as node:
        for data in (
            GET_AND_CLOSE,
            GET_AND_CLOSE.replace(b"/healthz", b"/nothing"),
            UPGRADE.replace(b"13", b"12"),
            GET_AND_CLOSE.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\n" + CHUNKED_WRONG),
        ):
            async with await open_tls(node, authority) as stream:
                await stream.send_all(data.replace(b"localhost", host))
                head = (await stream.receive_some(8192)).partition(b"\r\n\r\n")[0].lower()
            assert (b"strict-transport-security: max-age=" in head) is told


async def test_without_tls_nobody_is_told_of_it(node):
    answer = (await node.exchange(GET_AND_CLOSE)).lower()
    assert answer.startswith(b"http/1.1 200")
    assert b"strict-transport" not in answer


async def test_tls_offers_http1_only(open_node, tls_context, authority):
    async with (
        open_node(tls=tls_context) as node,
        await open_tls(node, authority, alpn=("h2", "http/1.1")) as stream,
    ):
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == "http/1.1"


async def test_a_tls_origin_is_https(open_node, tls_context, authority):
    async with open_node(tls=tls_context) as node:
        for scheme, expected in ((b"https", b"WELCOME"), (b"http", b"HTTP/1.1 403")):
            data = UPGRADE.replace(b"Host", b"Origin: %s://localhost\r\nHost" % scheme)
            async with await open_tls(node, authority) as stream:
                await stream.send_all(data)
                assert (await stream.receive_some(100)).startswith(expected)


async def test_the_deadline_covers_a_tls_handshake_that_never_comes(open_node, tls_context):
    async with open_node(tls=tls_context, handshake_seconds=0.2) as node:
        idle = node.tasks()
        async with await node.connect() as stream:
            with trio.fail_after(PATIENCE_SECONDS):
                assert await stream.receive_some(1) == b""
        await until(lambda: node.tasks() == idle)


async def test_plain_bytes_to_a_tls_port_end_that_connection_only(
    open_node, tls_context, authority
):
    async with open_node(tls=tls_context) as node:
        async with await node.connect() as stream:
            await stream.send_all(GET)
            with trio.fail_after(PATIENCE_SECONDS):
                while await stream.receive_some(1000):
                    pass
        async with await open_tls(node, authority) as stream:
            await stream.send_all(GET_AND_CLOSE)
            assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 200")
