"""A durable room's messages between PUBLISH and delivery, in order through every kind of trouble.

Pure: it knows neither inboxes nor the archive, only what was submitted and what came back. Up to
`batches_in_flight` batches are under way at once. If one is lost with an incarnation of the
archive, nothing more is submitted until all the others have come back; then they go again, oldest
first, under the same keys, so that nothing is stored twice and no sender's messages change places.
"""

from bisect import insort
from collections import deque
from collections.abc import Sequence

import attrs

from greenroom.actors.connection.subscription import Subscription
from greenroom.actors.connection.voice import Said
from greenroom.actors.ports import Head, NewMessage
from greenroom.actors.room.ring import Remembered

MOST_ATTEMPTS = 3
"""A batch that was lost this often is refused: it may be what crashes the archive."""


@attrs.frozen
class Pending:
    """One PUBLISH without an answer."""

    message: NewMessage
    said: Said


@attrs.define(eq=False)
class InFlight:
    """One batch at the archive."""

    number: int
    """1, 2, 3, ... in the order of first submission."""
    items: Sequence[Pending]
    attempts: int = 1
    continues: bool = False
    """Whether it was submitted while another one had no answer yet."""


class Pipeline:
    """PUBLISHes that wait for the archive or are there.

    When more than `max_messages` or `max_bytes` wait, `offer` refuses, and the sender gets ERROR
    108. Each connection has its own bound before that, so it takes very many of them.
    """

    def __init__(
        self, *, batch_messages: int, batches_in_flight: int, max_messages: int, max_bytes: int
    ) -> None:
        self._batch_messages = batch_messages
        self._batches_in_flight = batches_in_flight
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[Pending] = deque()
        self._bytes = 0
        self._submitted = 0
        self._in_flight: list[InFlight] = []
        self._lost: list[InFlight] = []  # to submit again, lowest number first
        self._recovering = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._waiting or self._in_flight or self._lost)

    def offer(self, pending: Pending) -> bool:
        """Queue a PUBLISH; False if there is no room for it."""
        size = len(pending.message.content)
        if len(self._waiting) >= self._max_messages or self._bytes + size > self._max_bytes:
            return False
        self._waiting.append(pending)
        self._bytes += size
        return True

    def next_batch(self) -> InFlight | None:
        """What to submit now, if anything."""
        if self._recovering and self._in_flight:
            return None
        self._recovering = False
        if len(self._in_flight) >= self._batches_in_flight:
            return None
        if self._lost:
            batch = self._lost.pop(0)
            batch.attempts += 1
        elif self._waiting:
            items = [
                self._waiting.popleft()
                for _ in range(min(len(self._waiting), self._batch_messages))
            ]
            self._bytes -= sum([len(item.message.content) for item in items])
            self._submitted += 1
            batch = InFlight(self._submitted, items)
        else:
            return None
        batch.continues = bool(self._in_flight)
        self._in_flight.append(batch)
        return batch

    def came_back(self, batch: InFlight) -> None:
        """The archive has decided about `batch`, one way or the other."""
        self._in_flight.remove(batch)

    def lost(self, batch: InFlight) -> bool:
        """The archive crashed with `batch`, or refused it as out of order; False: give it up."""
        self._in_flight.remove(batch)
        self._recovering = True
        if batch.attempts >= MOST_ATTEMPTS:
            return False
        insort(self._lost, batch, key=lambda lost: lost.number)
        return True

    def give_up(self) -> list[Pending]:
        """Everything that waits: nothing of it can be stored now."""
        items = [*(item for batch in self._lost for item in batch.items), *self._waiting]
        self._waiting.clear()
        self._lost.clear()
        self._bytes = 0
        return items


@attrs.frozen
class Arrival:
    """A stored message that may be due for delivery."""

    entry: Remembered
    sender: Subscription | None
    """To leave out; None for an echo and where nobody knows any more."""
    fresh: bool
    """Stored just now by us. Otherwise members have to be checked one by one for their own."""


class Lineup:
    """Stored messages on their way to the members: in offset order, without holes, each once.

    Bounded by what is in flight; a hole (a commit whose outcome nobody heard, or another node's
    messages) is filled by reading.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        """The last message that was delivered."""
        self._held: dict[int, Arrival] = {}

    def add(self, arrival: Arrival) -> None:
        """Line a message up, unless it was delivered already."""
        offset = arrival.entry.message.offset
        if offset > self.head.offset:
            self._held.setdefault(offset, arrival)

    def take_ready(self) -> list[Arrival]:
        """What may be delivered now; the head moves behind it."""
        ready: list[Arrival] = []
        offset = self.head.offset + 1
        while (arrival := self._held.pop(offset, None)) is not None:
            ready.append(arrival)
            offset += 1
        if ready:
            self.head = Head(self.head.epoch, offset - 1)
        return ready

    def hole(self) -> tuple[int, int] | None:
        """The last offset before and the first after the first hole, if there is one."""
        if not self._held:
            return None
        return self.head.offset, min(self._held)
