"""What one room still has to give to its reader: each message once, in order, gaps in their place.

Pure: it knows no socket, no clock and no task. The node numbers a room's messages 1, 2, 3, ...
within an *epoch*; a feed remembers the position up to which it has taken them and passes on only
what comes after it, so a recovery that overlaps the live stream does no harm.

The queue is bounded. When its reader is slower than the room, the feed falls *behind*: live
messages are no longer kept, only the highest offset seen, and once the reader has emptied the queue
the missing stretch is read from the room's history, a page at a time. So a slow reader loses
nothing in a room that has a history, never holds more than a queue of memory, and never stops the
client from reading heartbeats and replies. (Reading no further instead would be simpler, and would
deadlock a reader that publishes: the ACK it waits for stands behind the messages it has not taken.)
Where the history does not have the stretch, a `Gap` says so.
"""

from collections import deque
from typing import Final, TypeAlias

from greenroom.protocol import Ack, Gap, GapReason, HistoryOk, JoinOk, Message, Position

QUEUE_MESSAGES: Final = 256
"""Most messages a feed keeps; at 32 KiB of content each that is 8 MiB at the very worst."""

Item: TypeAlias = Message | Gap
"""What a reader gets: a message, or the news that some can't be had."""


class Feed:
    """The queue of one room.

    Args:
        room: Its name, for the gaps that the feed itself finds.
        since: Where to go on from; None for a reader that starts with what comes next.
        capacity: Most messages to keep.
    """

    def __init__(
        self, room: str, *, since: Position | None = None, capacity: int = QUEUE_MESSAGES
    ) -> None:
        self._room = room
        self._capacity = capacity
        self._items = deque[Item]()
        self._position = since
        self._newest = 0  # highest offset seen of the position's epoch; means something if behind
        self._own = set[int]()  # offsets past the position that our own ACKs accounted for
        self._behind = False
        self._assumed: Gap | None = None  # told by us; the node's own word on it may follow

    @property
    def position(self) -> Position | None:
        """The last message taken; the `since` of the next JOIN. None before the first JOIN_OK."""
        return self._position

    @property
    def behind(self) -> bool:
        """Whether messages were left out that have to be read from the history."""
        return self._behind

    def __len__(self) -> int:
        return len(self._items)

    def pop(self) -> Item:
        """The next item; IndexError when there is none."""
        return self._items.popleft()

    # What the node says.

    def joined(self, reply: JoinOk) -> None:
        """Take a JOIN_OK: what was missed, or the fact that it can't be had."""
        first = reply.messages[0].offset if reply.messages else reply.offset + 1
        self._assumed = None
        if self._position is None:
            self._position = Position(reply.epoch, first - 1)
        elif reply.epoch != self._position.epoch or reply.offset < self._position.offset:
            # A head below our position: the history was put back, without a new epoch.
            self._change_epoch(reply.epoch, first - 1)
        elif not reply.recovered:
            self._skip_to(first - 1, GapReason.TOO_MANY)
        for message in reply.messages:
            self.message(message)
        self._pass_over(reply.offset)

    def message(self, message: Message) -> None:
        """Take a MESSAGE; one that was taken before, or was ours and acknowledged, is dropped."""
        position = self._position
        if position is None:
            position = self._position = Position(message.epoch, message.offset - 1)
        elif message.epoch != position.epoch:
            position = self._change_epoch(message.epoch, message.offset - 1)
        if message.offset <= position.offset:
            return
        self._assumed = None
        if self._behind or len(self._items) >= self._capacity:
            self._behind = True
            self._newest = max(self._newest, message.offset)
        else:
            self._take(message)

    def gap(self, gap: Gap) -> None:
        """Take a GAP, unless what it tells was told before."""
        position = self._position
        assumed, self._assumed = self._assumed, None
        if assumed is not None and assumed.epoch == gap.epoch:
            if self._items and self._items[-1] is assumed:
                self._items[-1] = gap  # the node knows the reason better
        elif position is None or gap.epoch != position.epoch or gap.reason == GapReason.EPOCH:
            self._append_epoch_gap(gap)
            self._start_epoch(gap.epoch, gap.to_offset)
        elif self._behind or len(self._items) >= self._capacity:
            self._behind = True
            self._newest = max(self._newest, gap.to_offset)
        elif gap.to_offset > position.offset or gap.to_offset < gap.from_offset:
            self._items.append(gap)
            self._advance(max(gap.to_offset, position.offset))

    def acknowledged(self, ack: Ack) -> None:
        """Our own message has this place: the node does not send it to us, and none is missing."""
        position = self._position
        if position is None or ack.epoch != position.epoch or ack.offset <= position.offset:
            return
        self._own.add(ack.offset)
        self._advance(position.offset)

    # Catching up.

    def page(self, reply: HistoryOk) -> None:
        """Take the history after `position` that was asked for because the feed was behind."""
        position = self._position
        if position is None or not self._behind:
            return
        if reply.epoch != position.epoch:
            first = reply.messages[0].offset if reply.messages else 1
            position = self._change_epoch(reply.epoch, first - 1)
        for message in reply.messages:
            # A history has no holes, our own messages included: one that it has was cut off.
            if message.offset > self._offset + 1:
                self._skip_to(message.offset - 1, GapReason.EXPIRED)
            if message.offset > self._offset:
                self._take(message)
        if self._offset >= self._newest:
            self._behind = reply.more
        elif not reply.messages:
            self.give_up()

    def give_up(self) -> None:
        """The stretch left out can't be had: say so, and go on with what comes next."""
        self._behind = False
        self._skip_to(self._newest, GapReason.DROPPED)

    # Moving the position.

    @property
    def _offset(self) -> int:
        return self._position.offset if self._position is not None else 0

    def _take(self, message: Message) -> None:
        if message.offset not in self._own:
            self._items.append(message)
        self._advance(message.offset)

    def _skip_to(self, offset: int, reason: GapReason) -> None:
        """Report what lies between the position and `offset`, that included, as missing."""
        position = self._position
        if position is None or offset <= position.offset:
            return
        missing = Gap(
            room=self._room,
            epoch=position.epoch,
            from_offset=position.offset + 1,
            to_offset=offset,
            reason=reason,
        )
        self._items.append(missing)
        self._assumed = missing
        self._advance(offset)

    def _pass_over(self, offset: int) -> None:
        """Everything up to `offset` was accounted for."""
        if self._behind:
            self._newest = max(self._newest, offset)
        elif offset > self._offset:
            self._advance(offset)

    def _advance(self, offset: int) -> None:
        while offset + 1 in self._own:
            offset += 1
        self._own = {own for own in self._own if own > offset}
        if self._position is not None:
            self._position = Position(self._position.epoch, offset)

    def _change_epoch(self, epoch: str, offset: int) -> Position:
        """The history that the position was in is gone; what that leaves out, nobody knows."""
        lost = Gap(
            room=self._room, epoch=epoch, from_offset=1, to_offset=offset, reason=GapReason.EPOCH
        )
        self._append_epoch_gap(lost)
        self._assumed = lost
        return self._start_epoch(epoch, offset)

    def _append_epoch_gap(self, gap: Gap) -> None:
        """Queue `gap` even when the queue is full, but not one after the other without end."""
        if len(self._items) > self._capacity and isinstance(self._items[-1], Gap):
            self._items.pop()
        self._items.append(gap)

    def _start_epoch(self, epoch: str, offset: int) -> Position:
        self._own.clear()
        self._behind = False
        self._newest = 0
        self._position = Position(epoch, offset)
        return self._position
