"""The intake: what one client sends, from its socket to whoever obeys it.

Messages (`frame_reader` cuts them) are handed over at once, in the task that read them: no queue
and no other task lies between. It reads one segment at a time, so no client keeps the others
waiting; and not at all while as much has no answer as the window allows, which is how back-pressure
reaches the client's socket. Pings are answered here.
"""

from collections.abc import Callable
from typing import Final

import trio

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader, Ping
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.window import Ticket, Window
from greenroom.actors.readiness import Readiness
from greenroom.actors.tracebacks import forget_frames

_DATA: Final = (str, bytes)  # made once; a union would be at each message

SEGMENT_BYTES: Final = 4 * 1024
"""Read at a time, and obeyed in one go: some 100 HEARTBEATs, 3 ms. Who waits, waits for as much of
each of the others, so it is small; few clients have more to say at once."""


class Intake:
    """The reading half of one connection, from the end of the handshake.

    Args:
        outbox: What is read from; it knows the socket, and counts bytes that make no message.
        window: What has no answer yet.
        readiness: Who says that a plain socket has something.
        reader: Cuts what comes; its `max_bytes` may change meanwhile.
        on_frames: Called with how many frames have come when more have than it said last; says how
            many may before it is asked again. It may end the connection.
        on_message: Takes one message and its place in the window; must not wait.
        on_end: The client's side is over: it left, said goodbye, or broke the rules. Called once;
            nothing is read or handed over after it.
        on_crash: Something of ours was raised, and reading has stopped.
    """

    __slots__ = (
        "_descriptor",
        "_frames_paid",
        "_may_read",
        "_on_crash",
        "_on_end",
        "_on_frames",
        "_on_message",
        "_outbox",
        "_over",
        "_reader",
        "_readiness",
        "_watched",
        "_window",
    )

    def __init__(
        self,
        outbox: Outbox,
        window: Window,
        readiness: Readiness,
        reader: FrameReader,
        *,
        on_frames: Callable[[int], int],
        on_message: Callable[[str | bytes, Ticket], object],
        on_end: Callable[[Ending], object],
        on_crash: Callable[[Exception], object],
    ) -> None:
        self._outbox = outbox
        self._window = window
        self._readiness = readiness
        self._reader = reader
        self._on_frames = on_frames
        self._on_message = on_message
        self._on_end = on_end
        self._on_crash = on_crash
        self._descriptor = outbox.descriptor if readiness.served else None
        self._watched = False
        self._over = False
        self._frames_paid = 0
        self._may_read: trio.Event | None = None  # where our own task reads: it waits for this

    @property
    def needs_task(self) -> bool:
        """Whether `read` has to run: nobody tells when this stream has something."""
        return self._descriptor is None

    def go_on(self) -> None:
        """Give away what is there until there is no more or it has to wait, and read on.

        Called when the handshake is done, and when the window has room again.
        """
        reader, window = self._reader, self._window
        wanted = False
        while not self._over:
            if window.is_full and reader.has_more:
                window.stop()
                break
            message = reader.next_message()
            if message is None:
                wanted = True
                break
            if isinstance(message, _DATA):
                self._outbox.progress()
                self._on_message(message, window.open(reader.size))
            elif isinstance(message, Ping):
                self._outbox.pong(message.payload)
            else:
                self._end(message)
        if wanted is not self._watched:
            self._watch(wanted=wanted)

    def stop(self) -> None:
        """Read and hand over nothing any more."""
        self._over = True
        # Not kept until the connection has ended, which may take `close_seconds`.
        self._reader.drop()
        self._watch(wanted=False)

    async def read(self) -> None:
        """Read in a task of our own, where `needs_task`, until the client's end."""
        while not self._over:
            if not self._watched:
                self._may_read = trio.Event()
                await self._may_read.wait()
            try:
                data = await self._outbox.receive_some(SEGMENT_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                forget_frames(error)
                data = b""
            try:
                self._came_in(data)
            except Exception as error:  # noqa: BLE001 - the actor ends as it does of its own bugs
                self._crashed(error)

    def _on_readable(self, now: float) -> None:
        try:
            data = self._outbox.receive_nowait(SEGMENT_BYTES, now)
            if data is not None:
                self._came_in(data)
        except Exception as error:  # noqa: BLE001 - it is another actor's task that runs this
            self._crashed(error)

    def _came_in(self, data: bytes) -> None:
        if not data:
            self._end(Ending())
            return
        if self._reader.frames > self._frames_paid:  # in the segments before
            self._frames_paid = self._on_frames(self._reader.frames)
            if self._over:
                return
        self._reader.feed(data, self._outbox.last_received_at)
        self.go_on()

    def _end(self, ending: Ending) -> None:
        self.stop()
        self._on_end(ending)

    def _crashed(self, error: Exception) -> None:
        self.stop()
        self._on_crash(error)

    def _watch(self, *, wanted: bool) -> None:
        wanted = wanted and not self._over
        if wanted is self._watched:
            return
        self._watched = wanted
        if self._descriptor is None:
            if wanted and self._may_read is not None:
                self._may_read.set()
        elif wanted:
            self._readiness.watch(self._descriptor, self._on_readable)
        else:
            self._readiness.forget(self._descriptor)
