"""One room as the client's background sees it: in it or not, and what came from it."""

import enum
from typing import Protocol, TypeAlias

import trio

from greenroom.client._connection import Connection
from greenroom.client._errors import CommandRefused, RemovedFromRoom, seconds_to_wait
from greenroom.client._feed import Feed
from greenroom.client._status import Broadcast
from greenroom.protocol import (
    Ack,
    Answer,
    Error,
    ErrorCode,
    Gap,
    Join,
    Joined,
    JoinOk,
    Left,
    Message,
    ReconnectPolicy,
    Removed,
    TypingPush,
)

RoomEvent: TypeAlias = Joined | Left | TypingPush
"""What happens in a room besides its messages."""


class Phase(enum.Enum):
    """Where a room is between JOIN and LEAVE."""

    WAITING = "waiting"
    """For a connection, or for the time to try again."""
    JOINING = "joining"
    """A JOIN is on its way."""
    JOINED = "joined"
    OVER = "over"
    """Left, refused, or removed."""


class Rooms(Protocol):
    """What a membership needs of the engine."""

    @property
    def connection(self) -> Connection | None:
        """The authenticated connection, if there is one."""
        ...

    def room_ready(self) -> None:
        """Commands about the room may be sent."""

    def room_failed(self, room: str, error: Exception) -> None:
        """None ever will be."""

    def may_join(self) -> bool:
        """Whether one more JOIN may be sent now; if not, `go_on` is called when it may."""
        ...

    def join_answered(self) -> None:
        """A JOIN was not refused for its rate."""

    def join_put_off(self, seconds: float | None) -> None:
        """One was, for so many seconds."""


class Membership:
    """A room that the client is to be in."""

    def __init__(self, room: str, *, feed: Feed, engine: Rooms, policy: ReconnectPolicy) -> None:
        self.room = room
        self.feed = feed
        self.events = Broadcast[RoomEvent]()
        self.members = 0
        """Users in the room, as far as known."""
        self.error: Exception | None = None
        """Why the room is over."""
        self.over = trio.Event()
        """Set when it is."""
        self._engine = engine
        self._policy = policy
        self.is_held_up = False
        """Whether a JOIN waits for the node to want it."""
        self._phase = Phase.WAITING
        self._changed = trio.Event()

    @property
    def is_joined(self) -> bool:
        """Whether commands about the room can be sent now."""
        return self._phase is Phase.JOINED

    @property
    def is_joining(self) -> bool:
        """Whether a JOIN is on its way."""
        return self._phase is Phase.JOINING

    @property
    def needs_leave(self) -> bool:
        """Whether the node has us in the room, or is about to."""
        return self._phase in {Phase.JOINING, Phase.JOINED}

    async def wait_change(self) -> None:
        """Wait until something came, or the phase is another."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # What the engine tells.

    def connected(self) -> None:
        """There is a connection: JOIN, from where the feed is."""
        connection = self._engine.connection
        if connection is None or self._phase is not Phase.WAITING:
            return
        self.is_held_up = not self._engine.may_join()
        if self.is_held_up:
            return
        self._phase = Phase.JOINING
        connection.ask(Join(room=self.room, since=self.feed.position), self._answered)

    def go_on(self) -> None:
        """JOIN, if that was held up for its rate alone."""
        if self.is_held_up:
            self.connected()

    def disconnected(self) -> None:
        """The connection is gone, and with it our place in the room."""
        self.is_held_up = False
        if self._phase is not Phase.OVER:
            self._phase = Phase.WAITING

    def end(self, error: Exception) -> None:
        """The room is over; what the feed holds can still be read."""
        if self._phase is Phase.OVER:
            return
        self._phase = Phase.OVER
        self.error = error
        self.over.set()
        self.events.end()
        self._engine.room_failed(self.room, error)
        self._wake()

    def pushed(self, push: Answer) -> None:
        """Take a push about this room. Before the JOIN_OK it would be of an earlier stay."""
        if self._phase is not Phase.JOINED:
            return
        match push:
            case Message():
                self.feed.message(push)
                self._wake()
            case Gap():
                self.feed.gap(push)
                self._wake()
            case Joined() | Left():
                self.members = push.members
                self.events.tell(push)
            case TypingPush():
                self.events.tell(push)
            case Removed(rejoin=True):
                self._phase = Phase.WAITING
                self._join_later(None)
            case Removed():
                self.end(RemovedFromRoom(self.room, push.code))
            case _:
                pass

    def acknowledged(self, ack: Ack) -> None:
        """A message of ours is stored; the node will not send it to us."""
        self.feed.acknowledged(ack)

    # Joining.

    def _answered(self, answer: Answer) -> None:
        if self._phase is not Phase.JOINING:
            return
        if isinstance(answer, Error) and answer.code == ErrorCode.TOO_MANY_REQUESTS:
            self._phase = Phase.WAITING
            self.is_held_up = True
            self._engine.join_put_off(seconds_to_wait(answer))
            return
        self._take_answer(answer)
        self._engine.join_answered()

    def _take_answer(self, answer: Answer) -> None:
        match answer:
            case JoinOk():
                self._phase = Phase.JOINED
                self.members = answer.members
                self._policy.connected(trio.current_time())
                self.feed.joined(answer)
                self._engine.room_ready()
                self._wake()
            case Error(temporary=True):
                self._phase = Phase.WAITING
                self._join_later(seconds_to_wait(answer))
            case Error():
                self.end(CommandRefused.by(answer))
            case _:
                self.end(CommandRefused.of(ErrorCode.INTERNAL))

    def _join_later(self, told_seconds: float | None) -> None:
        """JOIN again after a wait that grows: a room that throws us out must not become a loop."""
        connection = self._engine.connection
        if connection is None:
            return
        wait = self._policy.disconnected(trio.current_time(), told_seconds=told_seconds)

        async def join() -> None:
            await trio.sleep(wait)
            self.connected()

        connection.start_soon(join)
