"""The members of one room and everything that reaches them: who gets what, in which order.

Calls go straight to the members' gates and never wait for a client. What is sent is decided by the
room's history (durable or ephemeral) and by the room itself.
"""

from collections.abc import Sequence
from typing import Any, Final

import trio

from greenroom.actors.batch import Batch
from greenroom.actors.frames import frame_of
from greenroom.actors.ledger import RoomLedger
from greenroom.actors.members import Members
from greenroom.actors.ports import Head
from greenroom.actors.recovery import Lost, Recovered
from greenroom.actors.ring import Remembered, Ring
from greenroom.actors.room_messages import JoinRoom
from greenroom.actors.services import CastLimits
from greenroom.actors.subscription import Gate, Subscription
from greenroom.protocol import Answer, Gap, JoinOk, Position, TypingPush
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
    ) -> None:
        self._inbox = inbox
        self._room = room
        self._ledger = ledger
        self._by_connection: dict[Ref[object], Subscription] = {}
        told: set[str] | None = inbox.saved
        if told is None:
            told = set()
            inbox.save(told)
        self.members = Members[Subscription](room, told=told)
        self.head = Head("", 0)
        """The last message that was handed to the members."""
        self._typed: dict[str, float] = {}  # {user: when told of}, oldest first, of the last second
        self.ring = Ring(max_messages=limits.ring_messages, max_bytes=limits.ring_bytes)

    # Coming and going.

    def admit(self, request: JoinRoom, outcome: Recovered | Lost) -> None:
        """Make a member, or one that was here before a crash a member again, and tell it so.

        JOIN_OK is written here, not by the connection: so nothing of the live stream can come
        before it, and nothing between it and the stream is missed.
        """
        member = request.member
        again = member.gate is Gate.OPEN
        if again and member in self.members:
            return  # it has asked twice, and has missed nothing since the first time
        self.members.add(member)
        self._by_connection[member.connection] = member
        self._inbox.watch(member.connection)
        if isinstance(outcome, Lost):
            gap = Gap(
                room=self._room,
                epoch=self.head.epoch,
                from_offset=outcome.first,
                to_offset=outcome.last,
                reason=outcome.reason,
            )
            member.open(self.head, *([] if again else self._join_ok(request)), gap)
        elif again or request.id is None:
            if not again:
                since = request.since or Position(self.head.epoch, self.head.offset)
                member.open(Head(since.epoch, since.offset))
            self._count(*member.replay(outcome.entries))
            member.next_offset = self.head.offset + 1
        else:
            member.open(self.head, *self._join_ok(request, outcome))

    def remove(self, member: Subscription) -> None:
        """A member has left."""
        if self.members.remove(member):
            del self._by_connection[member.connection]
            self._inbox.unwatch(member.connection)

    def vanished(self, connection: Ref[object]) -> None:
        """A member's connection has ended."""
        member = self._by_connection.get(connection)
        if member is not None:
            self.remove(member)

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

    async def deliver(
        self, entries: Sequence[Remembered], senders: Sequence[Subscription | None]
    ) -> None:
        """Give every member the batch as one write, a sender's own messages left out."""
        for entry in entries:
            self.ring.append(entry)
        batch = Batch([entry.message for entry in entries], senders)
        self.head = Head(batch.epoch, batch.last)
        for number, member in enumerate(self.members, start=1):
            self._count(*member.deliver(batch))
            if number % MEMBERS_PER_PASS == 0:
                await trio.lowlevel.checkpoint()

    def make_up(self, entries: Sequence[Remembered]) -> None:
        """Give every member what was stored without our having seen it happen."""
        for entry in entries:
            self.ring.append(entry)
        last = entries[-1].message
        self.head = Head(last.epoch, last.offset)
        for member in self.members:
            self._count(*member.replay(entries))

    def _count(self, due: int, taken: bool) -> None:
        self._ledger.owed += due
        if taken:
            self._ledger.delivered += due
        else:
            self._ledger.dropped["outbox sealed"] += due

    # What has no place in the history.

    def tell(self, answer: Answer, *, except_user: str | None, hint: bool = False) -> None:
        """Send to every member of another user; a `hint` not to those with bytes waiting."""
        frames: dict[str, bytes] = {}  # {subprotocol: frame}
        for member in self.members:
            if member.user == except_user or (hint and member.outbox.waiting_bytes):
                continue
            frame = frames.get(member.codec.subprotocol)
            if frame is None:
                frame = frames[member.codec.subprotocol] = frame_of(member.codec, answer)
            member.push(frame)

    def tell_typing(self, user: str, *, now: float) -> None:
        """Tell that a user is typing: a hint, so seldom, and to nobody who is behind already."""
        while self._typed and next(iter(self._typed.values())) <= now - TYPING_SECONDS:
            del self._typed[next(iter(self._typed))]
        if user not in self._typed:
            self._typed[user] = now
            self.tell(TypingPush(room=self._room, user=user), except_user=user, hint=True)

    def tell_changes(self) -> None:
        """Tell who came and who went since the last time."""
        for change in self.members.take_changes():
            self.tell(change, except_user=change.user)
