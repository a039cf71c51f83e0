"""A room: one actor that orders what is said, has it stored, and tells the members.

The path of a message: PUBLISH in the inbox -> collected into a batch -> the archive stores it ->
the sender hears Published, and every other member's outbox gets the batch as one write.
"""

from collections.abc import Sequence
from typing import Any, Final

import trio

from greenroom.actors.access import RoomKind, room_kind
from greenroom.actors.audience import Audience
from greenroom.actors.cast import Cast
from greenroom.actors.durable import DurableHistory
from greenroom.actors.ephemeral import EphemeralHistory
from greenroom.actors.history import GoOn, History, answer
from greenroom.actors.room_messages import (
    EndIfEmpty,
    JoinRoom,
    LeaveRoom,
    NotYet,
    PublishTo,
    ReadHistory,
    Refused,
    TellChanges,
    TypingIn,
    WhoIsIn,
)
from greenroom.actors.services import CastLimits
from greenroom.actors.subscription import Gate
from greenroom.protocol import ErrorCode
from greenroom.supervisor import (
    ActorCrashed,
    Backoff,
    ChildSpec,
    Completion,
    Down,
    Envelope,
    Inbox,
    Restart,
    Timer,
)

QUIET_PASSES: Final = 3
"""A command crosses three tasks from the socket to here, one a pass: what its client sent in the
same segment is three passes behind. Measured with one sender: half the CPU per delivery of 1."""

RoomMessage = (
    PublishTo
    | JoinRoom
    | LeaveRoom
    | TypingIn
    | WhoIsIn
    | ReadHistory
    | TellChanges
    | EndIfEmpty
    | GoOn
    | Completion[Any, Any]  # Any: of every question the history asks
    | Down
)


def room_spec(name: str, cast: Cast) -> ChildSpec[RoomMessage]:
    """A room's recipe: it comes back after a crash, and is forgotten when it ends empty.

    Its inbox holds 1,000 messages; when it is full, connections wait with sending, stop reading,
    and so the back-pressure reaches their clients' sockets.
    """
    return ChildSpec(
        id=name,
        start=room,
        args=(name, cast),
        restart=Restart.TRANSIENT,
        inbox_capacity=1_000,
        # Nearly at once; but a room that goes on crashing must not spend all rooms' budget.
        backoff=Backoff(initial_seconds=0.01, max_seconds=5.0),
    )


async def room(
    inbox: Inbox[RoomMessage], name: str, cast: Cast, *, task_status: trio.TaskStatus[None]
) -> None:
    """Collect, sort, publish, again, until nobody has been here for a while. Start reading here."""
    ledger = cast.services.ledger.room(name)
    if inbox.incarnation > 1:
        ledger.crashed()
    limits = cast.services.limits
    audience = Audience(inbox, name, limits, ledger)
    history: History
    if room_kind(name, ephemeral_prefix=cast.services.ephemeral_prefix) is RoomKind.EPHEMERAL:
        history = EphemeralHistory(name, audience, cast, ledger)
    else:
        history = DurableHistory(inbox, name, audience, cast, ledger)
    floor = Floor(inbox, name, audience, history, limits)
    task_status.started()  # before the head is known: a database away must not hold up the registry
    try:
        await history.start()
        floor.set_timers()
        while not floor.over:
            publishes = await floor.sort(await collect(inbox, limits))
            if publishes:
                await history.publish(publishes)
            floor.set_timers()
    finally:
        history.abandon(ActorCrashed(inbox.ref.path))
    cast.services.ledger.close(name)


async def collect(inbox: Inbox[RoomMessage], limits: CastLimits) -> list[Envelope[RoomMessage]]:
    """Wait for a message, then take more while the scheduler's passes bring more.

    Ends at `batch_messages`, `batch_bytes` or `batch_seconds`, whichever is first: steady senders
    would keep it collecting for ever.
    """
    taken = await inbox.receive_batch(limits.batch_messages)
    end = trio.current_time() + limits.batch_seconds
    size = content_bytes(taken)
    quiet_passes = 0
    while (
        len(taken) < limits.batch_messages
        and size < limits.batch_bytes
        and trio.current_time() < end
    ):
        await trio.lowlevel.checkpoint()
        more = inbox.receive_batch_nowait(limits.batch_messages - len(taken))
        quiet_passes = 0 if more else quiet_passes + 1
        if quiet_passes == QUIET_PASSES:
            break
        taken += more
        size += content_bytes(more)
    return taken


def content_bytes(envelopes: Sequence[Envelope[RoomMessage]]) -> int:
    """Roughly how much is said in these."""
    return sum(len(e.message.content) for e in envelopes if isinstance(e.message, PublishTo))


class Floor:
    """Everything but publishing: who comes, goes, types, asks."""

    def __init__(
        self,
        inbox: Inbox[RoomMessage],
        name: str,
        audience: Audience,
        history: History,
        limits: CastLimits,
    ) -> None:
        self._inbox = inbox
        self._name = name
        self._audience = audience
        self._history = history
        self._limits = limits
        self._rejoining = inbox.incarnation > 1
        self._telling: Timer | None = None
        self._ending: Timer | None = None
        self._long_empty = False

    @property
    def over(self) -> bool:
        """Whether nobody has been here for a while, nor is coming: the actor ends."""
        return self._long_empty and not len(self._audience.members) and self._history.idle

    async def sort(self, envelopes: Sequence[Envelope[RoomMessage]]) -> list[Envelope[PublishTo]]:
        """Handle all but the PUBLISHes, and return those, in order."""
        publishes: list[Envelope[Any]] = []
        for envelope in envelopes:
            match envelope.message:
                case PublishTo(member=member, number=number):
                    if not (member.was_open or member.gate is Gate.JOINING):
                        answer(envelope, Refused(ErrorCode.NOT_JOINED))
                    elif member.order.takes(number, self._history):
                        publishes.append(envelope)
                    else:
                        answer(envelope, NotYet())
                case Completion(label=go_on) as completion:
                    await go_on(completion)
                case _:
                    await self._handle(envelope)
        return publishes

    async def _handle(self, envelope: Envelope[Any]) -> None:
        match envelope.message:
            case JoinRoom() as join:
                await self._join(join, envelope)
            case LeaveRoom(member):
                self._audience.remove(member)
            case Down(ref=connection):
                self._audience.vanished(connection)
            case TypingIn(member):
                if member in self._audience.members:
                    self._audience.tell_typing(member.user, now=trio.current_time())
            case WhoIsIn():
                answer(envelope, self._audience.members.present())
            case ReadHistory():
                await self._history.read(envelope)
            case GoOn(with_what):
                await with_what()
            case TellChanges():
                self._telling = None
                self._audience.tell_changes()
            case EndIfEmpty():
                self._ending = None
                self._long_empty = True
            case unknown:
                raise TypeError(f"a room does not understand {unknown!r}")

    async def _join(self, join: JoinRoom, envelope: Envelope[JoinRoom]) -> None:
        full = len(self._audience.members) >= self._limits.max_members_per_room
        if full and join.member.gate is not Gate.OPEN:
            join.member.close()
            answer(envelope, Refused(ErrorCode.ROOM_FULL))
        else:
            await self._history.join(envelope)

    def set_timers(self) -> None:
        """Arm what the last batch made necessary."""
        if self._audience.members.changed and self._telling is None:
            seconds = self._limits.presence_seconds
            if self._rejoining:  # who was here before the crash has this long to come back
                seconds, self._rejoining = self._limits.rejoin_seconds, False
            self._telling = self._inbox.send_after(seconds, TellChanges())
        if not len(self._audience.members):
            if self._ending is None:
                self._ending = self._inbox.send_after(self._stay_seconds(), EndIfEmpty())
        elif self._ending is not None or self._long_empty:
            if self._ending is not None:
                self._ending.cancel()
            self._ending, self._long_empty = None, False

    def _stay_seconds(self) -> float:
        """How long the room stays when it is empty: hardly, where nothing was ever said."""
        unused = not self._audience.head.offset and self._inbox.incarnation == 1
        return self._limits.unused_room_seconds if unused else self._limits.empty_room_seconds
