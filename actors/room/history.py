"""The two kinds of history a room can have: what a room asks of either."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import attrs

from greenroom.actors.connection.voice import Said
from greenroom.actors.room.messages import JoinRoom, ReadHistory
from greenroom.supervisor import Envelope


@attrs.frozen
class GoOn:
    """Timer: do this now, in the room's own loop."""

    with_what: Callable[[], Awaitable[None]]


class History(Protocol):
    """How messages get their place, and where they can be read again."""

    @property
    def durable(self) -> bool:
        """Whether they can: stored, and numbered in an epoch that lasts."""
        ...

    async def start(self) -> None:
        """Find out where the room stands."""
        ...

    async def publish(self, said: Sequence[Said]) -> None:
        """Take these messages, in order; each is answered when its fate is known."""
        ...

    async def join(self, envelope: Envelope[JoinRoom]) -> None:
        """Let a member in where it left off, or refuse."""
        ...

    async def read(self, envelope: Envelope[ReadHistory]) -> None:
        """Answer HISTORY."""
        ...

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        ...

    def abandon(self, error: Exception) -> None:
        """This incarnation ends: whoever waits has to ask the next one."""
        ...


def answer(envelope: Envelope[Any], value: object) -> None:  # Any: whatever was asked
    """Answer a request of a batch; one that was only told has nobody to hear it."""
    if envelope.reply_to is not None:
        envelope.reply_to.reply(value)
