"""The outbox: every byte that goes out to one client, in the order in which it was handed over.

It is the stream under trio-websocket, so the handshake, pongs and close frames of that library and
the frames that rooms push take the same queue and can't interleave. On a plain socket a push is one
non-blocking `send` in the pusher's own task; a flusher task exists only while the kernel says
"would block". TLS and in-memory streams have no such call and always go through the flusher.

It knows bytes, not messages: what to send, and what to do about a slow client, others decide.
"""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import cast

import trio

from greenroom.actors.connection.direct_socket import DirectSocket, direct_socket
from greenroom.actors.connection.frames import is_close_frame, pong_frame
from greenroom.actors.tracebacks import forget_frames

_FLUSH_BYTES = 64 * 1024  # one send_all of a stream without non-blocking send: four TLS records
_DISCARD_BYTES = 4 * 1024 * 1024  # read after our last byte; who sends more loses the close frame


class Outbox(trio.abc.Stream):
    """What is still to be written to one client, and the way in for what it sends.

    The queue is bounded by `limit_bytes` and by the age of its oldest byte, `max_age_seconds`.
    When it exceeds either, the client is a slow consumer: what was not begun is dropped, the
    outbox is sealed, and `on_slow` is called once. Nobody who pushes ever waits.

    Args:
        stream: The transport; the outbox owns it from now on and `finish` closes it.
        nursery: Holds the flusher; it must outlive the outbox's use.
        received: Bytes that were read from `stream` before; read again from here first.
        limit_bytes: Most bytes that may wait.
        max_age_seconds: Longest that a byte may wait.
        max_unframed_bytes: Most bytes that may come in without `progress` being called (plus as
            much again per minute, for a client that only pings). Beyond that, `on_flood`.
        on_slow: Called once when the client is too slow; must not block.
        on_flood: Called once when the client sends without end; reading has ended by then.
        grace: A scope in which the flusher may finish a write when its surroundings are cancelled.
        direct: The non-blocking socket; tests pass a fake.
    """

    __slots__ = (
        "_begun",
        "_broken",
        "_close_frame_sent",
        "_direct",
        "_drained",
        "_flushing",
        "_grace",
        "_limit_bytes",
        "_max_age_seconds",
        "_max_unframed_bytes",
        "_nursery",
        "_on_flood",
        "_on_slow",
        "_pong_is_last",
        "_received",
        "_sealed",
        "_slow",
        "_stream",
        "_unframed_bytes",
        "_unframed_since",
        "_waiting",
        "_waiting_bytes",
        "input_over",
        "last_received_at",
        "peer_gone",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        nursery: trio.Nursery,
        received: bytes = b"",
        limit_bytes: int,
        max_age_seconds: float,
        max_unframed_bytes: int,
        on_slow: Callable[[], object],
        on_flood: Callable[[], object],
        grace: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        direct: DirectSocket | None = None,
    ) -> None:
        self._stream = stream
        self._nursery = nursery
        self._received = received
        self._limit_bytes = limit_bytes
        self._max_age_seconds = max_age_seconds
        self._max_unframed_bytes = max_unframed_bytes
        self._on_slow = on_slow
        self._on_flood = on_flood
        self._grace = grace
        self._direct = direct_socket(stream) if direct is None else direct
        self._waiting: deque[tuple[bytes | memoryview, float]] = deque()  # (rest, waiting since)
        self._waiting_bytes = 0
        self._pong_is_last = False  # the last in _waiting is a pong, if anything waits
        self._begun = False  # the first in _waiting is partly written: it can't be dropped whole
        self._flushing: trio.CancelScope | None = None
        self._drained: trio.Event | None = None  # `finish` makes it, where it has to wait for that
        self._unframed_bytes = len(received)
        self._unframed_since = trio.current_time()
        self._sealed = False
        self._slow = False
        self._broken = False
        self._close_frame_sent = False  # nothing follows one (RFC 6455, 5.5.1)
        self.last_received_at = trio.current_time()
        """When bytes last came in; the heartbeat clock reads it, so nothing is told per read."""
        self.input_over = False
        """Nothing more will be read: the peer ended, the transport broke, or trio-websocket did."""
        self.peer_gone = False
        """The transport said so: nothing more comes in, and nothing that is sent arrives."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes handed over and not yet taken by the kernel."""
        return self._waiting_bytes

    @property
    def descriptor(self) -> int | None:
        """Of the plain socket; None where the stream is none: then only `receive_some` reads."""
        return None if self._direct is None else self._direct.descriptor

    @property
    def sealed(self) -> bool:
        """Whether pushes are dropped from now on."""
        return self._sealed

    def push(self, frames: bytes) -> bool:
        """Send whole frames as soon as the socket takes them; False if they were dropped."""
        if self._sealed:
            return False
        self._write(frames)
        return not self._sealed

    def pong(self, payload: bytes) -> None:
        """Answer a ping as soon as the socket takes it.

        Where the last answer still waits behind what the client does not read, this one takes its
        place (RFC 6455, 5.5.3): however many pings come, no two pongs wait in a row.
        """
        if self._sealed:
            return
        frame = pong_frame(payload)
        last = self._waiting[-1] if self._waiting else None
        if last is None or not self._pong_is_last or (self._begun and len(self._waiting) == 1):
            self._write(frame)
            self._pong_is_last = True
        else:
            self._waiting[-1] = (frame, last[1])
            self._waiting_bytes += len(frame) - len(last[0])

    def seal(self) -> None:
        """Drop every push from now on. What was pushed before still goes out."""
        self._sealed = True

    def drop_waiting(self) -> None:
        """Seal, and drop what was pushed and not begun: its reader may have no more of it.

        Of a stream without non-blocking send, what its flusher has in hand counts as begun.
        """
        self._sealed = True
        rest = [self._waiting[0]] if self._waiting and self._begun else []
        in_hand = self._waiting_bytes - sum(len(data) for data, _ in self._waiting)
        self._waiting = deque(rest)
        self._waiting_bytes = in_hand + sum(len(data) for data, _ in rest)
        if not self._waiting_bytes:
            self._note_drained()

    def progress(self) -> None:
        """Say that what came in made a whole message: the flood count starts again."""
        self._unframed_bytes = 0
        self._unframed_since = self.last_received_at

    async def finish(self, last_frame: bytes = b"", *, seconds: float) -> None:
        """Write what waits, then `last_frame`, say goodbye and close the transport.

        Takes at most `seconds`, also when the peer never reads or never closes.

        Cancellation:
            The transport is closed at once.
        """
        self._sealed = True
        try:
            with trio.move_on_after(seconds):
                if last_frame:
                    self._write_whole(last_frame)
                if self._waiting_bytes:
                    self._drained = trio.Event()
                    await self._drained.wait()
                if not (self._broken or self.peer_gone):
                    await self._part()
        finally:
            if self._flushing is not None:
                self._flushing.cancel()
            self._break()
            if self._direct is not None:
                self._direct.release()
            await trio.aclose_forcefully(self._stream)

    # What trio-websocket calls.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue trio-websocket's own bytes; never waits, and is no checkpoint: its lock is one.

        A client that sends pings and reads no pongs therefore fills the outbox, and is slow.
        """
        if self._broken:
            raise trio.BrokenResourceError
        self._write_whole(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Never blocks: see `send_all`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Read from the client; empty at its end, and after a flood that made no message."""
        if self.input_over:
            raise trio.ClosedResourceError
        if self._received:
            data, self._received = self._received, b""
            return data
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.peer_gone = self.input_over = True
            raise
        return self._received_at(trio.current_time(), data)

    def receive_nowait(self, max_bytes: int, now: float) -> bytes | None:
        """As `receive_some`, of a plain socket: None if there is nothing, empty when it broke."""
        direct = self._direct
        assert direct is not None  # noqa: S101 - whoever calls this has its descriptor
        if self.input_over:
            return b""
        try:
            data = direct.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        return self._received_at(now, data)

    async def aclose(self) -> None:
        """End reading: trio-websocket is done. The transport stays open until `finish`."""
        self.input_over = True
        await trio.lowlevel.checkpoint()

    # Inside.

    def _received_at(self, now: float, data: bytes) -> bytes:
        self.last_received_at = now
        if not data:
            self.peer_gone = self.input_over = True
        self._unframed_bytes += len(data)
        if self._unframed_bytes > self._max_unframed_bytes and self._is_flood():
            self.input_over = True
            self._on_flood()
            return b""
        return data

    def _is_flood(self) -> bool:
        minutes = (self.last_received_at - self._unframed_since) / 60
        return self._unframed_bytes > self._max_unframed_bytes * (1 + minutes)

    def _write_whole(self, data: bytes) -> None:
        """Write what may be a CLOSE frame, behind which nothing goes out."""
        if self._close_frame_sent:
            return
        if is_close_frame(data):
            self._close_frame_sent = self._sealed = True
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        if self._broken:
            return
        begun = False
        if not self._waiting and self._direct is not None:
            try:
                sent = self._direct.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._break()
                return
            if sent == len(data):
                return
            begun = sent > 0
            data = memoryview(data)[sent:]
        self._enqueue(data, begun=begun)

    def _enqueue(self, data: bytes | memoryview, *, begun: bool) -> None:
        if not self._waiting_bytes:
            self._begun = begun
        self._waiting.append((data, trio.current_time()))
        self._pong_is_last = False
        self._waiting_bytes += len(data)
        # The last frame of a slow client may exceed the limit: `finish` bounds that by time.
        if self._waiting_bytes > self._limit_bytes and not self._slow:
            self._give_up_on_slow()
        if self._flushing is None and not self._broken:
            self._flushing = trio.CancelScope()
            flush = self._flush_stream if self._direct is None else self._flush_socket
            self._nursery.start_soon(self._run_flusher, flush, self._flushing)

    def _give_up_on_slow(self) -> None:
        self._slow = True
        self.drop_waiting()
        self._on_slow()

    def _note_drained(self) -> None:
        if self._drained is not None:
            self._drained.set()

    def _break(self) -> None:
        """Nothing more can be written: a write failed, or was cut off and must not be continued."""
        self._broken = self._sealed = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._note_drained()

    async def _run_flusher(
        self, flush: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        try:
            with self._grace(), scope:
                await flush()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            forget_frames(error)
            self.peer_gone = True
            self._break()
        finally:
            self._flushing = None

    async def _flush_socket(self) -> None:
        direct = self._direct
        assert direct is not None  # noqa: S101 - chosen by the caller for just that
        while self._waiting:
            with self._deadline(self._waiting[0][1]) as deadline:
                await direct.wait_writable()
            if deadline.cancelled_caught:
                self._give_up_on_slow()
            while self._waiting:
                data, since = self._waiting[0]
                try:
                    sent = direct.send(data)
                except BlockingIOError:
                    break
                self._waiting_bytes -= sent
                if sent < len(data):
                    self._begun = self._begun or sent > 0
                    self._waiting[0] = (memoryview(data)[sent:], since)
                    break
                self._waiting.popleft()
                self._begun = False
        self._note_drained()

    async def _flush_stream(self) -> None:
        while self._waiting:
            since = self._waiting[0][1]
            taken: list[bytes | memoryview] = []
            size = 0
            while self._waiting and size < _FLUSH_BYTES:
                taken.append(self._waiting.popleft()[0])
                size += len(taken[-1])
            finished = False
            try:
                with self._deadline(since):
                    await self._stream.send_all(b"".join(taken))
                    finished = True
            finally:
                if not finished:  # nobody knows how much of it is on the wire
                    self._break()
            if not finished:
                self._on_slow()
                return
            self._waiting_bytes -= size
        self._note_drained()

    def _deadline(self, since: float) -> trio.CancelScope:
        if self._slow:  # already on its way out: `finish` holds the clock
            return trio.CancelScope()
        return trio.CancelScope(deadline=since + self._max_age_seconds)

    async def _part(self) -> None:
        """Say that no more comes and read until the peer is gone too.

        Closing a socket with unread bytes in it makes the kernel reset the connection, and the
        peer may lose the close frame that is on its way.
        """
        transport = self._stream
        if isinstance(transport, trio.SSLStream):  # TLS has no half-close; TCP below it has
            transport = cast("trio.SSLStream[trio.SocketStream]", transport).transport_stream
        try:
            if isinstance(transport, trio.abc.HalfCloseableStream):
                await transport.send_eof()
            left = _DISCARD_BYTES
            while left > 0 and (data := await transport.receive_some(_FLUSH_BYTES)):
                left -= len(data)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            forget_frames(error)
