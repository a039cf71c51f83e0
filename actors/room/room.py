"""A room: one actor that orders what is said, has it stored, and tells the members.

The path of a message: PUBLISH in the inbox -> collected into a batch -> the archive stores it ->
every member's outbox gets the batch as one write, the sender's with its ACK in place of its own.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import trio

from greenroom.actors.callbacks.feed import CallbackFeed
from greenroom.actors.cast import Cast
from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Said
from greenroom.actors.rights.access import RoomPolicy
from greenroom.actors.room.audience import Audience
from greenroom.actors.room.durable import DurableHistory
from greenroom.actors.room.egress import MESSAGE_BYTES, Egress
from greenroom.actors.room.ephemeral import EphemeralHistory
from greenroom.actors.room.history import GoOn, History, answer
from greenroom.actors.room.members import NAMED_CHANGES_UP_TO
from greenroom.actors.room.messages import (
    EndIfEmpty,
    Forget,
    Forsake,
    JoinRoom,
    LeaveRoom,
    PublishTo,
    ReadHistory,
    Refused,
    TellChanges,
    TypingIn,
    WaitedEnough,
    WhoIsIn,
)
from greenroom.actors.services import CastLimits
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

QUIET_PASSES: Final = 1
"""What clients have sent is read in one pass for all of them, and is here in the next: one more is
for those who did not come into that pass. Each costs a lone request two system calls, 5 % of it."""

RoomMessage = (
    PublishTo
    | JoinRoom
    | LeaveRoom
    | TypingIn
    | WhoIsIn
    | ReadHistory
    | TellChanges
    | WaitedEnough
    | EndIfEmpty
    | Forget
    | Forsake
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
        dead_letters=False,  # connections watch it: they come in again, and say it again
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
    audience = Audience(inbox, name, limits, ledger, cast.services.bearers)
    policy = cast.services.policies.of(name)
    history: History
    if policy.stored:
        history = DurableHistory(inbox, name, audience, cast, ledger)
    else:
        history = EphemeralHistory(name, audience, cast, ledger)
    floor = Floor(inbox, name, audience, history, policy=policy, limits=limits, feed=cast.callbacks)
    task_status.started()  # before the head is known: a database away must not hold up the registry
    try:
        await history.start()
        floor.set_timers()
        busy = False  # whether the last batch was more than one message
        while not floor.over:
            taken = await inbox.receive_batch(limits.batch_messages)
            if busy or len(taken) > 1:
                await collect(inbox, taken, limits)
            busy = len(taken) > 1
            said = await floor.sort(taken)
            if said:
                await history.publish(said)
            floor.set_timers()
        floor.close()
    finally:
        history.abandon(ActorCrashed(inbox.ref.path))
    cast.services.ledger.close(name)


async def collect(
    inbox: Inbox[RoomMessage], taken: list[Envelope[RoomMessage]], limits: CastLimits
) -> None:
    """Add to what was taken while the scheduler's passes bring more.

    Not called for one that comes alone, unless the room is busy: the last came among others. Ends
    at `batch_messages`, `batch_bytes` or `batch_seconds`, whichever is first: steady senders would
    keep it collecting for ever.
    """
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


def content_bytes(envelopes: Sequence[Envelope[RoomMessage]]) -> int:
    """Roughly how much is said in these."""
    said = [e.message.said.content for e in envelopes if type(e.message) is PublishTo]
    return sum(map(len, said))


class Floor:
    """Everything but publishing: who comes, goes, types, asks."""

    def __init__(
        self,
        inbox: Inbox[RoomMessage],
        name: str,
        audience: Audience,
        history: History,
        *,
        policy: RoomPolicy,
        limits: CastLimits,
        feed: CallbackFeed,
    ) -> None:
        self._inbox = inbox
        self._name = name
        self._audience = audience
        self._history = history
        self._feed = feed
        self._policy = policy
        self._limits = limits
        budget = limits.rates.room_egress
        self._egress = None if budget is None else Egress(budget)
        self._incarnation = inbox.incarnation
        self._rejoining = inbox.incarnation > 1
        self._telling: Timer | None = None
        self._waiting: Timer | None = None  # for sessions that were lost
        self._ending: Timer | None = None
        self._long_empty = False

    @property
    def over(self) -> bool:
        """Whether nobody has been here for a while, nor is coming: the actor ends."""
        return self._long_empty and not len(self._audience.members) and self._history.idle

    async def sort(self, envelopes: Sequence[Envelope[RoomMessage]]) -> list[Said]:
        """Handle all but the PUBLISHes, and return those that count, in order."""
        taken: list[Said] = []
        crowd = len(self._audience.members)
        for envelope in envelopes:
            message = envelope.message
            if type(message) is PublishTo:  # nearly all are, and a pattern takes ten times as long
                said = message.said
                if message.term == self._incarnation and not said.answered:
                    said.attempts += 1
                    self._take(said, taken, crowd)
            elif isinstance(message, Completion):
                await message.label(message)
            else:
                await self._handle(envelope)
        return taken

    def _take(self, said: Said, taken: list[Said], crowd: int) -> None:
        member, egress = said.member, self._egress
        if not (member.was_open or member.state is SubscriptionState.JOINING):
            said.refuse(ErrorCode.NOT_JOINED)
            return
        if egress is not None and said.attempts == 1:  # else a former incarnation has charged it
            cost = (said.size + MESSAGE_BYTES) * crowd
            # The clock is looked at only before one is put off: it may have waited for its turn.
            if egress.pay(member.user, cost, member.outbox.last_received_at) and (
                seconds := egress.pay(member.user, cost, trio.current_time())
            ):
                said.put_off(seconds)
                return
        taken.append(said)

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
                    self._tell_typing(member.user, now=trio.current_time())
            case WhoIsIn():
                answer(envelope, self._audience.members.present())
            case ReadHistory():
                await self._history.read(envelope)
            case Forsake(user=user, session=session):
                self._audience.forsake(user, session)
            case Forget(first):
                self._audience.forget(first)
            case GoOn(with_what):
                await with_what()
            case TellChanges():
                self._telling = None
                self._tell_changes()
            case WaitedEnough():
                self._waiting = None
                self._audience.members.expire(now=trio.current_time())
            case EndIfEmpty():
                self._ending = None
                self._long_empty = True
            case unknown:
                raise TypeError(f"a room does not understand {unknown!r}")

    def _tell_typing(self, user: str, *, now: float) -> None:
        cost = MESSAGE_BYTES * len(self._audience.members)
        if self._audience.typed_lately(user, now=now):
            return
        if self._egress is None or not self._egress.pay(user, cost, now):
            self._audience.tell_typing(user, now=now)

    def close(self) -> None:
        """The room ends: those it would have waited for have left, and the feed hears of it."""
        self._audience.members.expire(now=math.inf)
        self._tell_changes()

    def _tell_changes(self) -> None:
        changes = self._audience.tell_changes()
        self._feed.came_and_went(
            self._name, self._audience.head, changes, durable=self._history.durable
        )

    async def _join(self, join: JoinRoom, envelope: Envelope[JoinRoom]) -> None:
        if join.member.state is SubscriptionState.JOINING and self._is_full_for(join.member):
            join.member.close()
            answer(envelope, Refused(ErrorCode.ROOM_FULL))
        else:
            await self._history.join(envelope)

    def _is_full_for(self, member: Subscription) -> bool:
        members = self._audience.members
        if members.has_session(member.session):
            return False  # it comes back to its own place
        most = self._policy.max_members
        if most is not None and members.users >= most and not members.has_user(member.user):
            return True
        return len(members) >= self._limits.max_members_per_room

    def set_timers(self) -> None:
        """Arm what the last batch made necessary."""
        if self._audience.members.changed and self._telling is None:
            # Each telling goes to everybody, so the more they are, the fewer there are of it.
            crowd = max(1.0, self._audience.members.users / NAMED_CHANGES_UP_TO)
            seconds = self._limits.presence_seconds * crowd
            if self._rejoining:  # who was here before the crash has this long to come back
                seconds, self._rejoining = self._limits.rejoin_seconds, False
            self._telling = self._inbox.send_after(seconds, TellChanges())
        if self._waiting is None and (due := self._audience.members.next_expiry) is not None:
            # A crowd that was lost together is looked through once, not once for each.
            seconds = max(0.0, due - trio.current_time()) + self._limits.presence_seconds
            self._waiting = self._inbox.send_after(seconds, WaitedEnough())
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
