"""What one connection has said in one room and has no answer to yet.

It outlives the room's crashes, and a LEAVE and JOIN of the connection. The rule that keeps a
sender's order: a room takes a PUBLISH only from who spoke with *this* incarnation of it before, and
a connection that learns of a crash says again all that has no answer, oldest first. So what
survived in the dead one's inbox is never taken before what was lost with it.
"""

from collections.abc import Callable
from typing import Any, Final

import attrs

from greenroom.actors.connection.answering import refusal_of
from greenroom.actors.connection.frames import frame_of, message_frame
from greenroom.actors.connection.subscription import Subscription
from greenroom.actors.connection.window import Ticket
from greenroom.protocol import Error, ErrorCode, Message
from greenroom.supervisor import Ref

MOST_ATTEMPTS: Final = 8
"""A PUBLISH that so many incarnations of its room took and crashed is ERROR 100."""


@attrs.define(eq=False)
class Said:
    """A PUBLISH under way. Its room answers it, straight into the connection's outbox, once."""

    voice: "Voice"
    member: Subscription
    id: int | None
    """Of the command; None: an ACK is not wanted."""
    key: str
    content: str
    echo: bool
    ticket: Ticket
    size: int
    """Of the content, in bytes."""
    attempts: int = 0
    """How many incarnations of the room have taken it."""
    answered: bool = False
    """Whether the client has its answer, so that nobody may give another."""

    def ack(self, message: Message, *, status: int, duplicate: bool) -> bytes:
        """The frame that acknowledges it as `message`; empty where none is wanted."""
        if self.id is None:
            return b""
        codec = self.member.codec
        ack = codec.encode_ack(message, self.id, status=status, duplicate=duplicate)
        return message_frame(ack, binary=codec.binary)

    def finish(self) -> None:
        """It is answered; another PUBLISH may take its place in the connection's window."""
        self.answered = True
        self.member.unanswered.pop(self.key, None)
        self.voice.forget(self)
        self.ticket.done()

    def refuse(self, code: ErrorCode) -> None:
        """Answer with an ERROR."""
        if not self.answered:
            self.finish()
            error = Error.of(code, id=self.id)
            self.member.outbox.push(frame_of(self.member.codec, error))

    def put_off(self, seconds: float) -> None:
        """Answer that the room sends too much already, and when it would send this."""
        if not self.answered:
            self.finish()
            error = refusal_of(ErrorCode.TOO_MANY_REQUESTS, self.id, seconds)
            self.member.outbox.push(frame_of(self.member.codec, error))
            self.voice.on_put_off(self.voice.name, seconds)


class Voice:
    """One connection's PUBLISHes to one room.

    Bounded by the connection's window: each has a ticket.

    Args:
        name: The room's.
        room: Its actor.
        stored: Whether a repetition is told from a new message by its key.
        on_quiet: Called when the last one has its answer; must not wait.
        on_put_off: Called with the name and for how long, when the room has put one off; must not
            wait.
    """

    __slots__ = (
        "_most_attempts",
        "_on_quiet",
        "name",
        "on_put_off",
        "room",
        "term",
        "unanswered",
        "unsent",
    )

    def __init__(
        self,
        name: str,
        room: Ref[Any],
        *,
        stored: bool,
        on_quiet: Callable[["Voice"], object],
        on_put_off: Callable[[str, float], object],
    ) -> None:
        self.name = name
        self.room = room
        self._most_attempts = MOST_ATTEMPTS if stored else 1
        self._on_quiet = on_quiet
        self.on_put_off = on_put_off
        self.term = 0
        """The incarnation of the room that takes what we say; 0: none knows us yet."""
        self.unanswered: dict[Said, None] = {}  # in the order in which it was said
        self.unsent: list[Said] = []
        """Of those, what has to wait: for a room that knows us, or for a place in its inbox."""

    @property
    def may_send(self) -> bool:
        """Whether what is said now may go to the room at once."""
        return self.term > 0 and not self.unsent

    def lost(self) -> None:
        """The room's incarnation has ended: say again all that has no answer, save what may not.

        Where nothing is stored, no key tells a repetition from a new message; and what went down
        with so many incarnations may be what crashes them.
        """
        self.term = 0
        for said in list(self.unanswered):
            if said.attempts >= self._most_attempts:
                said.refuse(ErrorCode.INTERNAL)
        self.unsent = list(self.unanswered)

    def refuse(self, code: ErrorCode, *, of: Subscription | None = None) -> None:
        """Answer all that waits with an ERROR: what `of` one member said, or everything."""
        for said in list(self.unanswered):
            if of is None or said.member is of:
                said.refuse(code)

    def forget(self, said: Said) -> None:
        """This one has its answer."""
        self.unanswered.pop(said, None)
        if self.unsent and said in self.unsent:
            self.unsent.remove(said)
        if not self.unanswered:
            self._on_quiet(self)
