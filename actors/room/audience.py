"""The members of one room and everything that reaches them: who gets what, in which order.

Calls go straight to the members' subscriptions and never wait for a client. What is sent is decided
by the room's history (durable or ephemeral) and by the room itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from greenroom.actors.connection.frames import frame_of
from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Said
from greenroom.actors.ledger import RoomLedger
from greenroom.actors.ports import Head
from greenroom.actors.rights.bearers import Bearers
from greenroom.actors.room.batch import Batch
from greenroom.actors.room.members import Known, Members
from greenroom.actors.room.messages import JoinRoom
from greenroom.actors.room.recovery import Lost, Recovered
from greenroom.actors.room.ring import Remembered, Ring
from greenroom.actors.services import CastLimits
from greenroom.protocol import Answer, Gap, JoinOk, Message, Position, TypingPush
from greenroom.supervisor import Inbox, Ref

TYPING_SECONDS: Final = 1.0
"""A user who types is told of no more often."""

MEMBERS_PER_PASS: Final = 250  # about 1 ms of writing; then the other actors have their turn


class Audience:
    """Members, ring and head of one incarnation of a room."""

    def __init__(
        self,
        inbox: Inbox[Any],  # Any: this only watches with it
        room: str,
        limits: CastLimits,
        ledger: RoomLedger,
        bearers: Bearers,
    ) -> None:
        self._inbox = inbox
        self._room = room
        self._ledger = ledger
        self._bearers = bearers
        self._by_connection: dict[Ref[object], Subscription] = {}
        known: Known | None = inbox.saved
        if known is None:
            known = Known()
            inbox.save(known)
        self.members = Members[Subscription](room, known)
        self._session_seconds = limits.session_seconds
        self.incarnation = inbox.incarnation
        """Of the room."""
        self._acks: dict[Subscription, list[tuple[Said, Message, bytes]]] = {}
        # {member: what it said, as what, and the frame}, of the batch that is about to go out
        self.head = Head("", 0)
        """The last message that was handed to the members; moved by `stand_at`."""
        self.first = 1
        """The lowest offset that is still there, as far as we know."""
        self._typed: dict[str, float] = {}  # {user: when told of}, oldest first, of the last second
        self.ring = Ring(max_messages=limits.ring_messages, max_bytes=limits.ring_bytes)

    def forget(self, first: int) -> None:
        """What lies below `first` has been deleted."""
        self.first = max(self.first, first)
        self.ring.forget(first)

    def stand_at(self, head: Head) -> None:
        """All up to `head` is for the members, who get it now or as they come back."""
        self.head = head
        self._ledger.stands_at(head.epoch, head.offset)

    # Coming and going.

    def admit(self, request: JoinRoom, outcome: Recovered | Lost) -> None:
        """Make a member, or one that was here before a crash a member again, and tell it so.

        JOIN_OK is written here, not by the connection: so nothing of the live stream can come
        before it, and nothing between it and the stream is missed.
        """
        self._bearers.enforce()
        member = request.member
        again = member.state is SubscriptionState.OPEN
        if again and member in self.members:
            return  # it has asked twice, and has missed nothing since the first time
        former = self.members.add(member)
        if former is not None:
            self._forget(former)
        self._by_connection[member.connection] = member
        self._inbox.watch(member.connection)
        self._ledger.enter(
            member.account,
            user=member.user,
            connection=member.connection.id,
            missed=self._missed(request, outcome),
        )
        if isinstance(outcome, Lost):
            gap = Gap(
                room=self._room,
                epoch=self.head.epoch,
                from_offset=outcome.first,
                to_offset=outcome.last,
                reason=outcome.reason,
            )
            member.open(self.head, *([] if again else self._join_ok(request)), gap)
            if again:  # it was here when they were said
                self._ledger.give_up(member.account, f"gap {outcome.reason}")
        elif again or request.id is None:
            if not again:
                since = request.since or Position(self.head.epoch, self.head.offset)
                member.open(Head(since.epoch, since.offset))
            count(member, *member.replay(outcome.entries))
            member.next_offset = self.head.offset + 1
        else:
            member.open(self.head, *self._join_ok(request, outcome))

    def remove(self, member: Subscription) -> None:
        """A member has left."""
        if self.members.remove(member):
            self._forget(member)

    def vanished(self, connection: Ref[object]) -> None:
        """A member's connection has ended: for good, or its session may come back with another."""
        member = self._by_connection.pop(connection, None)
        if member is None:
            return
        if member.goodbye:
            self.members.remove(member)
        else:
            self.members.lose(member, until=trio.current_time() + self._session_seconds)

    def forsake(self, user: str, session: str) -> None:
        """A session that was lost, as we know or have yet to hear, does not come back."""
        member = self.members.of_session(session)
        if member is None:
            self.members.forsake(user, session)
        else:
            member.goodbye = True

    def _missed(self, request: JoinRoom, outcome: Recovered | Lost) -> int:
        """How many messages from before are part of the stream to this member, not of JOIN_OK."""
        member = request.member
        if member.state is SubscriptionState.OPEN and member.epoch == self.head.epoch:
            return max(0, self.head.offset + 1 - member.next_offset)
        if request.id is None and isinstance(outcome, Recovered):
            return len(outcome.entries)
        return 0

    def _forget(self, member: Subscription) -> None:
        self._ledger.leave(member.account)
        del self._by_connection[member.connection]
        self._inbox.unwatch(member.connection)

    def _join_ok(self, request: JoinRoom, outcome: Recovered | None = None) -> list[Answer]:
        if request.id is None:
            return []
        return [
            JoinOk(
                id=request.id,
                room=self._room,
                epoch=self.head.epoch,
                offset=self.head.offset,
                recovered=outcome is not None and outcome.complete,
                messages=() if outcome is None else tuple(e.message for e in outcome.entries),
                members=self.members.users,
            )
        ]

    # Messages.

    def acknowledge(self, said: Said, message: Message, *, status: int, duplicate: bool) -> None:
        """Have a sender told that its PUBLISH became `message`, with the next write to it."""
        if not said.answered:
            ack = said.ack(message, status=status, duplicate=duplicate)
            self._acks.setdefault(said.member, []).append((said, message, ack))

    async def deliver(
        self, entries: Sequence[Remembered], senders: Sequence[Subscription | None]
    ) -> None:
        """Give every member the batch as one write, a sender's ACKs in place of its own messages.

        The senders come first, and nothing can come between what is written and what is noted.
        """
        self._bearers.enforce()
        for entry in entries:
            self.ring.append(entry)
        batch = Batch([entry.message for entry in entries], senders)
        self.stand_at(Head(batch.epoch, batch.last))
        self.write_acks(batch)
        for number, member in enumerate(self.members, start=1):
            if member.next_offset <= batch.last:
                count(member, *member.deliver(batch))
            if number % MEMBERS_PER_PASS == 0:
                await trio.lowlevel.checkpoint()
                self._bearers.enforce()

    def write_acks(self, batch: Batch[Subscription] | None = None) -> None:
        """Answer the senders, those who are members still with the batch in the same write."""
        acks, self._acks = self._acks, {}
        for member, own in acks.items():
            frames = b"".join([frame for _, _, frame in own])
            if batch is not None and member in self.members:
                count(member, *member.deliver(batch, frames))
            elif frames:
                member.outbox.push(frames)
            for said, message, _ in own:
                if message.offset >= member.next_offset:  # else what follows knows it is past
                    member.acknowledged(said.key, message.offset)
                said.finish()

    def make_up(self, entries: Sequence[Remembered]) -> None:
        """Give every member what was stored without our having seen it happen."""
        self._bearers.enforce()
        for entry in entries:
            self.ring.append(entry)
        last = entries[-1].message
        self.stand_at(Head(last.epoch, last.offset))
        for member in self.members:
            count(member, *member.replay(entries))

    # What has no place in the history.

    def tell(self, answer: Answer, *, except_user: str | None, hint: bool = False) -> None:
        """Send to every member of another user; a `hint` not to those with bytes waiting."""
        self._bearers.enforce()
        frames: dict[str, bytes] = {}  # {subprotocol: frame}
        for member in self.members:
            if member.user == except_user or (hint and member.outbox.waiting_bytes):
                continue
            frame = frames.get(member.codec.subprotocol)
            if frame is None:
                frame = frames[member.codec.subprotocol] = frame_of(member.codec, answer)
            member.push(frame)

    def typed_lately(self, user: str, *, now: float) -> bool:
        """Whether all were told a moment ago that a user is typing."""
        while self._typed and next(iter(self._typed.values())) <= now - TYPING_SECONDS:
            del self._typed[next(iter(self._typed))]
        return user in self._typed

    def tell_typing(self, user: str, *, now: float) -> None:
        """Tell that a user is typing: a hint, so to nobody who is behind already."""
        self._typed[user] = now
        self.tell(TypingPush(room=self._room, user=user), except_user=user, hint=True)

    def tell_changes(self) -> Mapping[str, bool]:
        """Tell who came (True) and who went since the last time, and return it by user."""
        if len(self._ledger.members) > len(self.members):
            self._ledger.sweep()
        changes = self.members.take_changes()
        for push in self.members.pushes(changes):
            self.tell(push, except_user=push.user)
        return changes


def count(member: Subscription, due: int, taken: bool) -> None:
    """Note what became of the messages that were due to a member."""
    if taken:
        member.account.delivered += due
    else:
        member.account.drop("outbox sealed", due)
