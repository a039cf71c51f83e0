"""What a connection tells its client by itself; what rooms tell it goes by its subscriptions."""

import math

from greenroom.actors.connection.frames import frame_of
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.window import Ticket
from greenroom.protocol import Answer, Codec, Error, ErrorCode


class Answering:
    """The way to one client: its codec, and the outbox before its socket."""

    __slots__ = ("codec", "outbox")

    def __init__(self, codec: Codec, outbox: Outbox) -> None:
        self.codec = codec
        self.outbox = outbox

    def say(self, answer: Answer) -> None:
        """Send one message to the client."""
        self.outbox.push(frame_of(self.codec, answer))

    def refuse(
        self,
        id: int | None,
        code: ErrorCode,
        ticket: Ticket,
        *,
        retry_after_seconds: float | None = None,
    ) -> None:
        """Answer a command with an ERROR; another one may take its place in the window."""
        ticket.done()
        self.say(refusal_of(code, id, retry_after_seconds))


def refusal_of(code: ErrorCode, id: int | None, retry_after_seconds: float | None = None) -> Error:
    """The ERROR for a command; waits are rounded up: who heeds one must not come too early."""
    wait = None if retry_after_seconds is None else math.ceil(retry_after_seconds * 1000)
    return Error.of(code, id=id, retry_after_ms=wait)
