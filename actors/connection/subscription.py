"""One room as one connection has it: what stands before the outbox, and lets the room's frames by.

It belongs to the connection and outlives the room's crashes. The room calls it; it never waits. So
this, with the outbox behind it, is the one thing that bypasses a connection's inbox.
"""

import enum
from collections.abc import Sequence

import attrs

from greenroom.actors.connection.frames import frame_of
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.ledger import MemberLedger
from greenroom.actors.ports import Head
from greenroom.actors.room.batch import Batch
from greenroom.actors.room.ring import Remembered
from greenroom.protocol import Answer, Codec
from greenroom.supervisor import Ref


class SubscriptionState(enum.Enum):
    """Whether the room's frames pass."""

    JOINING = "joining"
    """Not yet: the room has not answered the JOIN."""
    OPEN = "open"
    CLOSED = "closed"
    """Never again: LEAVE, a refused JOIN, or the connection's end."""


@attrs.define(eq=False, kw_only=True)
class Subscription:
    """A member of a room, as the room sees it."""

    room: str
    user: str
    session: str = attrs.field(repr=False)
    """Goes on when the connection is lost, and comes back with another: as another member."""
    connection: Ref[object]
    """Watched by the room: its end is the member's end."""
    codec: Codec
    outbox: Outbox
    state: SubscriptionState = SubscriptionState.JOINING
    goodbye: bool = False
    """Its connection has ended for good: the session does not come back."""
    was_open: bool = False
    """Whether the room has ever let it in: what it published before a LEAVE still counts."""
    epoch: str = ""
    next_offset: int = 1
    """Everything lower was delivered, left out on purpose, or told as a GAP: it is discarded."""
    unanswered: dict[str, bool] = attrs.field(factory=dict[str, bool])
    """{key: echo} of the PUBLISHes that have no ACK yet; the connection keeps it."""
    account: MemberLedger = attrs.field(factory=MemberLedger, repr=False)
    """What became of the room's messages here."""
    _acknowledged: set[int] = attrs.field(factory=set[int])
    # Own offsets from `next_offset` on: acknowledged before the room came to deliver them here.

    def open(self, head: Head, *answers: Answer) -> None:
        """Let frames pass that come after `head`; `answers` go out first."""
        self.state = SubscriptionState.OPEN
        self.was_open = True
        self.epoch, self.next_offset = head.epoch, head.offset + 1
        self._acknowledged.clear()
        for answer in answers:
            self.outbox.push(frame_of(self.codec, answer))

    def close(self) -> None:
        """Let nothing pass any more."""
        self.state = SubscriptionState.CLOSED
        self.account.gone = True

    def push(self, frame: bytes) -> bool:
        """Pass on a frame that has no place in the history."""
        return self.state is SubscriptionState.OPEN and self.outbox.push(frame)

    def deliver(self, batch: Batch["Subscription"], acks: bytes = b"") -> tuple[int, bool]:
        """Pass on a batch, behind this connection's own ACKs, in one write.

        Returns:
            How many messages of it are due here, and whether the outbox took them.
        """
        if self.state is not SubscriptionState.OPEN or batch.last < self.next_offset:
            frames, count = b"", 0
        else:
            frames, count = batch.write_for(self, self.codec, next_offset=self.next_offset)
            if count <= batch.last - batch.first:  # not the whole: it has said some, or has them
                due = batch.last + 1 - max(batch.first, self.next_offset)
                self.account.own += due - count
            self._advance(batch.last)
        if acks:
            return count, self.outbox.push(acks + frames)
        return count, not count or self.outbox.push(frames)

    def replay(self, entries: Sequence[Remembered]) -> tuple[int, bool]:
        """Pass on what was missed, one by one: without what this connection itself published.

        Returns:
            As `deliver`.
        """
        if self.state is not SubscriptionState.OPEN or not entries:
            return 0, True
        fresh = [entry for entry in entries if entry.message.offset >= self.next_offset]
        frames = [frame_of(self.codec, entry.message) for entry in fresh if not self._is_own(entry)]
        self.account.own += len(fresh) - len(frames)
        self._advance(max(self.next_offset - 1, entries[-1].message.offset))
        return len(frames), not frames or self.outbox.push(b"".join(frames))

    def acknowledged(self, key: str, offset: int) -> None:
        """An own message is acknowledged; said before the answer is finished."""
        echo = self.unanswered.get(key, False)
        if offset >= self.next_offset and not echo:
            self._acknowledged.add(offset)

    def _is_own(self, entry: Remembered) -> bool:
        message = entry.message
        if message.offset in self._acknowledged:
            return True
        return message.user == self.user and not self.unanswered.get(entry.key, True)

    def _advance(self, last: int) -> None:
        self.next_offset = last + 1
        if self._acknowledged:
            self._acknowledged = {offset for offset in self._acknowledged if offset > last}
