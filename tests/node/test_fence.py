"""Raw bytes against a whole node: each case once ended a stock trio-websocket server, or hurt it.

In every test two clients sit in a room meanwhile. Afterwards both are still connected, have missed
nothing, and a message passes from one to the other; tasks and sockets are what they were.
"""

import base64
import contextlib
import gc
import json
import resource
import struct
from pathlib import Path

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.raw import addresses
from support.whole_node import running

pytestmark = pytest.mark.socket

LINES = {
    "Host": b"127.0.0.1",
    "Upgrade": b"websocket",
    "Connection": b"Upgrade",
    "Sec-WebSocket-Version": b"13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef"),
}
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def handshake(**changes):
    lines = {**LINES, **{name.replace("_", "-"): value for name, value in changes.items()}}
    head = b"GET /ws HTTP/1.1\r\n"
    return head + b"".join(b"%s: %s\r\n" % (k.encode(), v) for k, v in lines.items()) + b"\r\n"


def frame(opcode, payload=b"", *, fin=True, masked=True, rsv=0):
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 * masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 * masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 * masked | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def command(**fields):
    return frame(TEXT, json.dumps(fields).encode())


def close_code(data):
    """Return the code of the last close frame in what a server sent, None without one."""
    code = None
    while len(data) >= 2:
        opcode, size, start = data[0] & 0xF, data[1], 2
        if size == 126:
            size, start = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, start = struct.unpack("!Q", data[2:10])[0], 10
        if opcode == CLOSE:
            code = struct.unpack("!H", data[start : start + 2])[0]
        data = data[start + size :]
    return code


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def sockets():
    """Of this process; files come and go with the connections that the store has at hand."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we looked
            found += link.readlink().name.startswith("socket:")
    return found


def tasks():
    return trio.lowlevel.current_statistics().tasks_living


async def until_at_most(measure, level):
    with trio.move_on_after(PATIENCE_SECONDS):
        while measure() > level:  # noqa: ASYNC110  # sockets tell nobody
            await trio.sleep(0.02)
    assert measure() <= level


class Stage:
    """A node with two onlookers, and an attacker's raw connections."""

    def __init__(self, node, ann, bob):
        self.node, self.ann, self.bob = node, ann, bob
        self.level = (tasks(), sockets())
        self._said = 0
        self._sources = addresses(1)

    async def connect(self):
        """From an address that nobody has come from yet, whose budgets are full."""
        source = next(self._sources)
        return await trio.open_tcp_stream("127.0.0.1", self.node.port, local_address=source)

    async def exchange(self, data):
        """Send bytes on a fresh connection; return what comes until it ends, however it does."""
        async with await self.connect() as stream:
            received = bytearray()

            async def read():
                try:
                    async for chunk in stream:
                        received.extend(chunk)
                except trio.BrokenResourceError:
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(data)
            return bytes(received)

    async def open(self):
        """Return a stream on which the WebSocket handshake is done."""
        stream = await self.connect()
        await stream.send_all(handshake())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await stream.receive_some(4096)
        assert b" 101 " in answer
        return stream

    async def converse(self, data):
        """Send bytes as frames; return the close code the node answered with."""
        received = bytearray()
        async with await self.open() as stream:
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(data)
                async for chunk in stream:
                    received += chunk
        return close_code(bytes(received))

    async def flood(self, stream, data, *, limit):
        """Send `data` again and again; return how many bytes went before the node cut it."""
        sent = 0
        with contextlib.suppress(trio.BrokenResourceError), trio.fail_after(PATIENCE_SECONDS):
            while sent < limit:
                await stream.send_all(data)
                sent += len(data)
        return sent

    async def prove_alive(self):
        self._said += 1
        with trio.fail_after(PATIENCE_SECONDS):
            words = f"still here {self._said}"
            ack = await self.ann.ask(
                type="PUBLISH", room="lobby", key=f"k{self._said}", content=words
            )
            assert (ack["type"], ack["offset"]) == ("ACK", self._said)
            message = await self.bob.push("MESSAGE")
            assert (message["content"], message["offset"]) == (words, self._said)


@pytest.fixture
async def stage(tmp_path):
    async with running(tmp_path) as node, node.sign_in("ann") as ann, node.sign_in("bob") as bob:
        built = Stage(node, ann, bob)
        await built.prove_alive()
        yield built
        await built.prove_alive()
        await until_at_most(tasks, built.level[0])
        gc.collect()
        await until_at_most(sockets, built.level[1])


@pytest.mark.parametrize(
    "name", ["Host", "Sec_WebSocket_Protocol", "Sec_WebSocket_Extensions", "Origin", "X_Other"]
)
async def test_a_byte_beyond_ascii_in_a_header_is_400(stage, name):
    answer = await stage.exchange(handshake(**{name: b"caf\xe9"}))
    assert answer.startswith(b"HTTP/1.1 400")


async def test_only_unknown_subprotocols_are_400_and_ours_are_named(stage):
    answer = await stage.exchange(handshake(Sec_WebSocket_Protocol=b"mqtt, stomp"))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"greenroom.v1.json" in answer


async def test_extensions_nobody_knows_do_no_harm(stage):
    stream = await stage.connect()
    async with stream:
        await stream.send_all(handshake(Sec_WebSocket_Extensions=b'x-y; z="1", permessage-foo'))
        assert (await stream.receive_some(12)) == b"HTTP/1.1 101"


async def test_a_message_too_large_is_1009_with_a_ping_behind_it(stage):
    assert await stage.converse(frame(TEXT, b"x" * 70_000) + frame(PING, b"!")) == 1009


async def test_a_message_far_too_large_is_cut(stage):
    """Whether 1009 arrives is a race: the kernel resets a connection that is closed unread."""
    assert await stage.converse(frame(TEXT, b"x" * 5_000_000) + frame(PING)) in {1009, None}


async def test_size_is_counted_in_bytes_not_characters(stage):
    content = "\U0001f331" * 20_000  # 80,000 bytes, 20,000 characters
    assert await stage.converse(frame(TEXT, content.encode()) + frame(PING)) == 1009


async def test_a_ping_after_our_close_ends_nothing(stage):
    bad = frame(TEXT, b"\xff\xfe")
    assert await stage.converse(bad + frame(PING, b"!") * 20) == 1007


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(0x3, b"x"), 1002, id="reserved-opcode"),
        pytest.param(frame(TEXT, b"{}", rsv=0x40), 1002, id="reserved-bit"),
        pytest.param(frame(TEXT, b"{}", masked=False), 1002, id="not-masked"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="large-ping"),
        pytest.param(frame(PING, b"x", fin=False), 1002, id="fragmented-ping"),
        pytest.param(frame(0x0, b"x"), 1002, id="continuation-of-nothing"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002, id="text-in-text"),
        pytest.param(frame(TEXT, b"\xc3\x28"), 1007, id="not-utf8"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="close-with-one-byte"),
        pytest.param(frame(CLOSE, struct.pack("!H", 1005)), 1002, id="close-with-reserved-code"),
        pytest.param(frame(BINARY, b"x"), 4506, id="binary-for-json"),
        pytest.param(frame(TEXT, b"nonsense") * 9, 4509, id="nonsense"),
    ],
)
async def test_what_breaks_the_rules_is_told_why(stage, data, code):
    assert await stage.converse(data) == code


async def test_a_close_is_answered_with_a_close(stage):
    assert await stage.converse(frame(CLOSE, struct.pack("!H", 1000))) == 1000


async def test_commands_before_auth_are_refused(stage):
    assert await stage.converse(command(type="JOIN", id=1, room="lobby")) == 4501


async def test_endless_empty_fragments_are_cut(stage):
    async with await stage.open() as stream:
        await stream.send_all(frame(TEXT, fin=False))
        empty = frame(0x0, fin=False) * 1000
        assert await stage.flood(stream, empty, limit=100_000_000) < 10_000_000


async def test_a_head_that_never_ends_is_cut_and_not_kept(stage):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with await stage.connect() as stream:
        await stream.send_all(handshake()[:-2])
        chunk = b"X-Padding: " + b"x" * 65_000 + b"\r\n"
        assert await stage.flood(stream, chunk, limit=100_000_000) < 10_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5 * 1024  # KiB


async def test_a_message_that_never_ends_is_cut(stage):
    async with await stage.open() as stream:
        await stream.send_all(frame(TEXT, fin=False))
        assert await stage.flood(stream, frame(0x0, b"x" * 60_000, fin=False), limit=10**8) < 10**7


@pytest.mark.slow
async def test_500_visitors_of_each_kind_leave_nothing_behind(stage):
    """500 that leave, 500 that GET, and 500 that never finish: the node ends those by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    unfinished = [await stage.connect() for _ in range(500)]
    for number, stream in enumerate(unfinished):
        await stream.send_all(handshake()[: number % len(handshake())])

    async def leave():
        await (await stage.connect()).aclose()

    async def get():
        host = b"Host: 127.0.0.1\r\n"
        assert b" 200 " in await stage.exchange(
            b"GET /healthz HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"
        )

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(leave)
            nursery.start_soon(get)
    await stage.prove_alive()
    await until_at_most(tasks, stage.level[0])
    for stream in unfinished:
        await stream.aclose()
    await until_at_most(sockets, stage.level[1])


async def test_a_process_out_of_descriptors_comes_back(stage):
    """`ulimit -n` reached: nobody connected notices, and new ones get in again afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    streams = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 10, hard))
        with contextlib.suppress(OSError):  # EMFILE, here first or in the node
            while True:
                streams.append(await stage.connect())
        await stage.prove_alive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for stream in streams:
            await stream.aclose()
    assert b" 200 " in await stage.exchange(
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
