"""The echo route: sends each message back, so that a WebSocket test suite can try the node.

One actor for one visitor, on the very path that a chat's connection uses: the same handshake, the
same intake with its frame reader, the same outbox; only the bounds are wider and nobody signs in.
What such a suite finds holds for the chat. Off unless `echo_route` says so.
"""

import math
from typing import Any, Final

import trio

from greenroom.actors.cast import Cast
from greenroom.actors.connection.connection import REFUSED_SECONDS
from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader
from greenroom.actors.connection.frames import close_frame, message_frame
from greenroom.actors.connection.intake import Intake
from greenroom.actors.connection.messages import Opening
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.websocket import shake_hands
from greenroom.actors.connection.window import Ticket, Window
from greenroom.protocol import CloseCode
from greenroom.supervisor import ChildSpec, Inbox, Restart

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_FRAGMENTS: Final = MAX_MESSAGE_BYTES // 64  # what Autobahn's smallest pieces come to
MESSAGE_SECONDS: Final = 600.0
OUTBOX_BYTES: Final = 2 * MAX_MESSAGE_BYTES
OUTBOX_SECONDS: Final = 60.0
"""For a test suite that is busy itself."""


def echo_spec(stream: trio.abc.Stream, opening: Opening, cast: Cast) -> ChildSpec[Any]:
    """One visitor's recipe. Once started, the actor owns `stream` and closes it."""
    return ChildSpec(
        id=cast.services.new_id(),
        start=echo,
        args=(stream, opening, cast),
        restart=Restart.TEMPORARY,
        shutdown_seconds=cast.services.limits.close_seconds + 1.0,
        dead_letters=False,
    )


async def echo(
    inbox: Inbox[Any],  # Any: what is sent to all connections comes here too, and is for none
    stream: trio.abc.Stream,
    opening: Opening,
    cast: Cast,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Send back what comes until one side has enough, then close within bounds. Start here."""
    async with trio.open_nursery() as nursery:
        visitor = Visitor(inbox, stream, opening, cast, nursery)
        task_status.started()
        try:
            await visitor.serve()
        finally:
            visitor.end(Ending(CloseCode.GOING_AWAY))  # unless it has ended already
            with inbox.grace():
                await visitor.part()


class Visitor:
    """Whoever is on the echo route."""

    def __init__(
        self,
        inbox: Inbox[Any],
        stream: trio.abc.Stream,
        opening: Opening,
        cast: Cast,
        nursery: trio.Nursery,
    ) -> None:
        self._inbox = inbox
        self._close_seconds = cast.services.limits.close_seconds
        self._visit = nursery.cancel_scope
        self._visit.deadline = opening.handshake_until
        self._ending: Ending | None = None
        self._open = False
        self._crash: Exception | None = None
        self._outbox = Outbox(
            stream,
            nursery=nursery,
            received=opening.received,
            limit_bytes=OUTBOX_BYTES,
            max_age_seconds=OUTBOX_SECONDS,
            max_unframed_bytes=2 * MAX_MESSAGE_BYTES,
            on_slow=lambda: self.end(Ending(CloseCode.SLOW_CONSUMER)),
            on_flood=lambda: self.end(Ending(CloseCode.RATE_LIMITED)),
            grace=inbox.grace,
        )
        self._reader = FrameReader(
            MAX_MESSAGE_BYTES, max_seconds=MESSAGE_SECONDS, max_fragments=MAX_FRAGMENTS
        )
        self._intake = Intake(
            self._outbox,
            # Never full: a message is answered before the next one is looked at.
            Window(
                max_commands=2,
                max_bytes=2 * MAX_MESSAGE_BYTES,
                on_stop=lambda: None,
                on_go=lambda: None,
            ),
            cast.services.readiness,
            self._reader,
            on_frames=lambda came: came + MAX_FRAGMENTS,  # nobody pays here
            on_message=self._on_message,
            on_end=self.end,
            on_crash=self._on_crash,
        )

    async def serve(self) -> None:
        """Shake hands, then echo until `end` is called."""
        answer = await shake_hands(self._outbox, self._reader)
        if isinstance(answer, Ending):
            self.end(answer)
            return
        self._visit.deadline = math.inf
        self._open = True
        self._intake.go_on()
        async with trio.open_nursery() as nursery:
            if self._intake.needs_task:
                nursery.start_soon(self._intake.read)
            async for _ in self._inbox:
                pass
        if self._crash is not None:
            raise self._crash

    def end(self, ending: Ending) -> None:
        """Echo no more; the first call decides what the visitor is told."""
        if self._ending is None:
            self._ending = ending
            self._intake.stop()
            self._outbox.seal()
            self._visit.cancel()

    async def part(self) -> None:
        """Say goodbye, close the socket: within `close_seconds`."""
        ending = self._ending or Ending()
        code = ending.close if self._open else None
        last = ending.answer if code is None else close_frame(code, code.reason)
        seconds = self._close_seconds if self._open else REFUSED_SECONDS
        await self._outbox.finish(last, seconds=seconds)

    def _on_message(self, message: str | bytes, ticket: Ticket) -> None:
        binary = isinstance(message, bytes)
        payload = message if isinstance(message, bytes) else message.encode()
        self._outbox.push(message_frame(payload, binary=binary))
        ticket.done()

    def _on_crash(self, error: Exception) -> None:
        self._crash = error
        self.end(Ending(CloseCode.INTERNAL_ERROR))
