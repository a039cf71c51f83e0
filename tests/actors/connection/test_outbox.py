"""The outbox: order, partial writes, would-block, limits, and a teardown that always ends."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from support.patience import PATIENCE_SECONDS

from greenroom.actors.connection.direct_socket import DirectSocket
from greenroom.actors.connection.frames import close_frame
from greenroom.actors.connection.outbox import Outbox

CLOSE = close_frame(4004)


class FakeSocket:
    """Takes `room` bytes, then would block until `make_room`."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.written = b""
        self.error: OSError | None = None
        self._changed = trio.Event()

    def send(self, data) -> int:
        if self.error is not None:
            raise self.error
        if self.room == 0:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.written += taken
        return len(taken)

    async def wait_writable(self) -> None:
        while self.room == 0 and self.error is None:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def make_room(self, room: int) -> None:
        self.room += room
        self._changed.set()
        self._changed = trio.Event()

    def direct(self) -> DirectSocket:
        return DirectSocket(self.send, lambda _: b"", -1, self.wait_writable, lambda: None)


class Watcher:
    def __init__(self) -> None:
        self.slow = 0
        self.floods = 0

    def on_slow(self) -> None:
        self.slow += 1

    def on_flood(self) -> None:
        self.floods += 1


@asynccontextmanager
async def open_outbox(fake: FakeSocket | None = None, stream=None, **settings):
    if stream is None:
        stream, _ = trio.testing.memory_stream_pair()
    watcher = Watcher()
    async with trio.open_nursery() as nursery:
        yield (
            Outbox(
                stream,
                nursery=nursery,
                on_slow=watcher.on_slow,
                on_flood=watcher.on_flood,
                direct=None if fake is None else fake.direct(),
                **{
                    "limit_bytes": 1000,
                    "max_age_seconds": 8,
                    "max_unframed_bytes": 1000,
                    **settings,
                },
            ),
            watcher,
        )
        nursery.cancel_scope.cancel()


async def test_a_push_is_on_the_wire_before_push_returns():
    fake = FakeSocket()
    async with open_outbox(fake) as (outbox, _):
        assert outbox.push(b"one")
        assert fake.written == b"one"
        assert outbox.waiting_bytes == 0


async def test_bytes_keep_their_order_over_partial_writes_and_would_block():
    fake = FakeSocket(room=5)
    async with open_outbox(fake) as (outbox, _):
        outbox.push(b"abcd")
        outbox.push(b"efgh")
        await outbox.send_all(b"PONG")
        outbox.push(b"ijkl")
        assert fake.written == b"abcde"
        assert outbox.waiting_bytes == 11
        for _ in range(11):
            fake.make_room(1)
            await trio.testing.wait_all_tasks_blocked()
        assert fake.written == b"abcdefghPONGijkl"
        assert outbox.waiting_bytes == 0


async def test_after_a_jam_pushes_are_direct_again():
    fake = FakeSocket(room=0)
    async with open_outbox(fake) as (outbox, _):
        outbox.push(b"a")
        fake.make_room(100)
        await trio.testing.wait_all_tasks_blocked()
        outbox.push(b"b")
        assert fake.written == b"ab"


async def test_one_byte_over_the_limit_is_a_slow_client():
    fake = FakeSocket(room=0)
    async with open_outbox(fake, limit_bytes=10) as (outbox, watcher):
        assert outbox.push(b"0123456789")
        assert watcher.slow == 0
        assert not outbox.push(b"x")
        assert not outbox.push(b"y")
        assert watcher.slow == 1


async def test_a_slow_client_gets_the_rest_of_the_begun_frame_and_the_close_frame():
    fake = FakeSocket(room=2)
    async with open_outbox(fake, limit_bytes=10) as (outbox, _):
        outbox.push(b"abcd")
        outbox.push(b"0123456789")
        fake.make_room(100)
        await outbox.finish(CLOSE, seconds=0)
        assert fake.written == b"ab"  # no time at all: nothing more
    fake = FakeSocket(room=2)
    async with open_outbox(fake, limit_bytes=10) as (outbox, _):
        outbox.push(b"abcd")
        outbox.push(b"0123456789")
        fake.make_room(100)
        with trio.move_on_after(1):
            await outbox.finish(CLOSE, seconds=0.01)
        assert fake.written == b"abcd" + CLOSE


async def test_the_oldest_byte_may_wait_eight_seconds(autojump_clock):
    fake = FakeSocket(room=0)
    async with open_outbox(fake) as (outbox, watcher):
        outbox.push(b"a")
        await trio.sleep(4)
        outbox.push(b"b")
        await trio.sleep(3.9)
        assert watcher.slow == 0
        await trio.sleep(0.2)
        assert watcher.slow == 1
        assert outbox.sealed


async def test_bytes_that_move_are_not_old(autojump_clock):
    fake = FakeSocket(room=0)
    async with open_outbox(fake) as (outbox, watcher):
        for _ in range(20):
            outbox.push(b"a")
            outbox.push(b"b")
            await trio.sleep(6)
            fake.make_room(2)
            await trio.testing.wait_all_tasks_blocked()
        assert watcher.slow == 0
        assert fake.written == b"ab" * 20


async def test_a_sealed_outbox_drops_pushes_and_still_takes_control_frames():
    fake = FakeSocket()
    async with open_outbox(fake) as (outbox, _):
        outbox.push(b"a")
        outbox.seal()
        assert not outbox.push(b"b")
        await outbox.send_all(b"PONG")
        assert fake.written == b"aPONG"


async def test_nothing_follows_a_close_frame():
    fake = FakeSocket()
    async with open_outbox(fake) as (outbox, _):
        await outbox.send_all(CLOSE)
        assert not outbox.push(b"late")
        await outbox.send_all(b"PONG")
        await outbox.finish(close_frame(4001), seconds=0)
        assert fake.written == CLOSE


async def test_of_pongs_that_wait_in_a_row_only_the_last_one_is_sent():
    """However many pings a client sends that reads nothing (RFC 6455, 5.5.3)."""
    fake = FakeSocket(room=2)
    async with open_outbox(fake) as (outbox, watcher):
        outbox.push(b"abc")
        for number in range(10_000):
            outbox.pong(b"%d" % number)
        outbox.push(b"def")
        outbox.pong(b"x")
        outbox.pong(b"y" * 125)
        outbox.pong(b"z")
        assert outbox.waiting_bytes == len(b"c" + b"..9999" + b"def" + b"..z")
        assert watcher.slow == 0
        fake.make_room(1000)
        await trio.testing.wait_all_tasks_blocked()
        assert fake.written == b"abc" + b"\x8a\x049999" + b"def" + b"\x8a\x01z"
        outbox.pong(b"!")
        assert fake.written.endswith(b"\x8a\x01z\x8a\x01!")


async def test_a_pong_that_is_partly_written_is_not_replaced():
    fake = FakeSocket(room=3)
    async with open_outbox(fake) as (outbox, _):
        outbox.pong(b"one")
        outbox.pong(b"two")
        outbox.pong(b"three")
        fake.make_room(1000)
        await trio.testing.wait_all_tasks_blocked()
        assert fake.written == b"\x8a\x03one\x8a\x05three"


async def test_a_pong_waits_no_longer_than_any_other_byte(autojump_clock):
    """Replacing the last one does not make it younger: pings alone don't keep a slow client."""
    fake = FakeSocket(room=0)
    async with open_outbox(fake) as (outbox, watcher):
        for _ in range(79):
            outbox.pong(b"?")
            await trio.sleep(0.1)
        assert watcher.slow == 0
        await trio.sleep(0.2)
        assert watcher.slow == 1
        outbox.pong(b"?")
        await outbox.finish(seconds=0)


async def test_no_pong_follows_a_close_frame():
    fake = FakeSocket()
    async with open_outbox(fake) as (outbox, _):
        await outbox.send_all(CLOSE)
        outbox.pong(b"?")
        assert fake.written == CLOSE


async def test_a_failed_write_breaks_the_outbox_for_good():
    fake = FakeSocket()
    async with open_outbox(fake) as (outbox, _):
        fake.error = ConnectionResetError()
        assert not outbox.push(b"a")
        fake.error = None
        assert not outbox.push(b"b")
        with pytest.raises(trio.BrokenResourceError):
            await outbox.send_all(b"c")
        assert fake.written == b""


async def test_finish_ends_in_time_when_the_peer_never_reads(autojump_clock):
    fake = FakeSocket(room=0)
    async with open_outbox(fake) as (outbox, _):
        outbox.push(b"a" * 100)
        started = trio.current_time()
        await outbox.finish(CLOSE, seconds=2)
        assert trio.current_time() - started == 2


async def test_finish_ends_in_time_when_the_peer_never_closes(autojump_clock):
    stream, _peer = trio.testing.memory_stream_pair()
    async with open_outbox(stream=stream) as (outbox, _):
        started = trio.current_time()
        await outbox.finish(CLOSE, seconds=2)
        assert trio.current_time() - started == 2


async def test_finish_ends_at_once_when_the_peer_closes():
    stream, peer = trio.testing.memory_stream_pair()
    async with open_outbox(stream=stream) as (outbox, _), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: outbox.finish(CLOSE, seconds=1000))
        received = b""
        while data := await peer.receive_some():
            received += data
        await peer.aclose()
        assert received == CLOSE


async def test_a_stream_that_is_no_socket_is_written_by_the_flusher_in_order():
    stream, peer = trio.testing.lockstep_stream_pair()
    async with open_outbox(stream=stream) as (outbox, _):
        for index in range(10):
            outbox.push(b"%d" % index)
        await outbox.send_all(b"P")
        received = b""
        while len(received) < 11:
            received += await peer.receive_some(3)
        assert received == b"0123456789P"


async def test_a_write_that_was_cut_off_is_never_continued(autojump_clock):
    """After 8 s of a stalled send_all nobody knows what is on the wire: only closing is left."""
    stream, peer = trio.testing.lockstep_stream_pair()
    async with open_outbox(stream=stream) as (outbox, watcher):
        outbox.push(b"abcdef")
        assert await peer.receive_some(2) == b"ab"
        await trio.sleep(9)
        assert watcher.slow == 1
        started = trio.current_time()
        await outbox.finish(CLOSE, seconds=2)
        assert trio.current_time() == started
        rest = b""
        while data := await peer.receive_some(100):
            rest += data
        assert rest == b"cdef"  # what the stalled write had handed over, and no close frame


async def test_what_was_received_before_is_read_first():
    stream, peer = trio.testing.memory_stream_pair()
    async with open_outbox(stream=stream, received=b"GET /") as (outbox, _):
        await peer.send_all(b"ws")
        assert await outbox.receive_some(100) == b"GET /"
        assert await outbox.receive_some(100) == b"ws"


async def test_input_that_makes_no_message_is_cut_off():
    stream, peer = trio.testing.memory_stream_pair()
    async with open_outbox(stream=stream) as (outbox, watcher):
        await peer.send_all(bytes(600))
        await outbox.receive_some(1000)
        outbox.progress()
        await peer.send_all(bytes(600))
        await outbox.receive_some(1000)
        assert watcher.floods == 0
        await peer.send_all(bytes(600))
        assert await outbox.receive_some(1000) == b""
        assert watcher.floods == 1
        with pytest.raises(trio.ClosedResourceError):
            await outbox.receive_some(1000)


async def test_a_client_that_only_pings_now_and_then_is_no_flood(autojump_clock):
    stream, peer = trio.testing.memory_stream_pair()
    async with open_outbox(stream=stream) as (outbox, watcher):
        for _ in range(1000):
            await trio.sleep(20)
            await peer.send_all(bytes(11))
            await outbox.receive_some(1000)
        assert watcher.floods == 0


@pytest.mark.socket
async def test_a_real_socket_that_blocks_delivers_everything_in_order():
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(left))
    peer = trio.SocketStream(trio.socket.from_stdlib_socket(right))
    async with open_outbox(stream=stream, limit_bytes=10_000_000) as (outbox, watcher):
        expected = b""
        for index in range(200):
            chunk = b"%05d" % index * 300
            expected += chunk
            outbox.push(chunk)
        assert outbox.waiting_bytes > 0
        received = b""
        with trio.fail_after(PATIENCE_SECONDS):
            while len(received) < len(expected):
                received += await peer.receive_some()
        assert received == expected
        outbox.push(b"again")
        assert await peer.receive_some() == b"again"
        await outbox.finish(CLOSE, seconds=0)
        assert watcher.slow == 0
    await peer.aclose()


@pytest.mark.socket
async def test_a_socket_closed_before_the_outbox_is_a_peer_that_is_gone():
    ours, theirs = trio.socket.socketpair()
    stream = trio.SocketStream(ours)
    await stream.aclose()
    async with open_outbox(stream=stream) as (outbox, _):
        with pytest.raises(trio.ClosedResourceError):
            await outbox.receive_some()
        assert outbox.peer_gone
        await outbox.finish(CLOSE, seconds=1)
    theirs.close()
