"""What is still to be called back about one room: in order, bounded, no more than a window.

Durable messages are rows of the history, and stay there with status 0 until they were called back.
So a lane may forget them whenever memory is short, and have them read again. Everything else has
only the place it has here; what finds that full is dropped, counted, and said so to the receiver.

Pure: knows neither the actor nor the archive nor HTTP.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

import attrs

from greenroom.actors.callbacks.events import Event, dropped_event, message_event
from greenroom.actors.ports import StoredMessage


@attrs.define(eq=False)
class Budget:
    """What all lanes together may hold in memory."""

    max_events: int
    max_bytes: int
    events: int = attrs.field(default=0, init=False)
    size: int = attrs.field(default=0, init=False)

    def take(self, event: Event) -> bool:
        """Count `event` in; False if there is no room for it."""
        if self.events >= self.max_events or self.size + event.size > self.max_bytes:
            return False
        self.events += 1
        self.size += event.size
        return True

    def give(self, event: Event) -> None:
        """Count it out again."""
        self.events -= 1
        self.size -= event.size


@attrs.frozen
class Row:
    """A durable message in the window."""

    offset: int
    event: Event
    live: bool
    """Counted in the budget. What was read is not: it stays for one attempt only."""


@attrs.frozen
class Moment:
    """An event that is no durable message."""

    after: int
    """The offset of the last message before it."""
    event: Event
    counted: bool = True
    """Whether it is in the budget; the one that stands for others is not."""


@attrs.frozen(kw_only=True)
class Batch:
    """What goes into the next request."""

    events: Sequence[Event]
    rows: int
    moments: int
    done: int
    """The offset up to which messages are called back when this is."""


class Lane:
    """What is to be called back about one room (and epoch, where it is durable).

    Holds at most `max_moments` events that are no durable messages, and as many messages as the
    shared budget allows. One beyond that: see the module.
    """

    def __init__(self, *, budget: Budget, max_moments: int, done: int = 0) -> None:
        """Begin empty.

        Args:
            budget: Shared by all lanes.
            max_moments: How many events that nobody can read again may wait here.
            done: The offset up to which everything is called back. 0 where nobody knows: what
                is done already is not read again, since its status says so.
        """
        self.done = done
        self.head = done
        """The newest message known."""
        self.size: int | None = None
        """How many events the request under way has, so that it is the same at every attempt."""
        self._budget = budget
        self._max_moments = max_moments
        self._rows: deque[Row] = deque()
        self._moments: deque[Moment] = deque()
        self._sending = 0  # of the moments, in the request under way
        self._left_out: tuple[Event, int] | None = None  # the first of a run, and its length

    @property
    def idle(self) -> bool:
        """Whether all is called back."""
        return self.head == self.done and not self._moments

    @property
    def waiting(self) -> int:
        """Events held here; messages that are to be read again are not among them."""
        return len(self._rows) + len(self._moments)

    @property
    def unread(self) -> bool:
        """Whether the next message has to be read from the history."""
        return not self._rows and self.head > self.done

    # What comes in.

    def stored(self, messages: Sequence[StoredMessage], *, keep: bool = True) -> None:
        """Take in what was stored just now, ascending. Without `keep`, it is read when its turn is.

        The same messages again change nothing.
        """
        for message in messages:
            if message.offset <= self.head:
                continue
            # With a gap before it, it must not be kept: what is in the gap comes first.
            if keep and self._top == self.head == message.offset - 1:
                event = message_event(message)
                if self._budget.take(event):
                    self._rows.append(Row(message.offset, event, live=True))
            self.head = message.offset

    def happened(self, event: Event, *, after: int = 0) -> int:
        """Take in what is no durable message; return how many events this has cost: 0 or 1.

        Args:
            event: What happened.
            after: The newest message at that moment, as its room knew it.
        """
        self.head = max(self.head, after)
        if len(self._moments) < self._max_moments and self._budget.take(event):
            self._moments.append(Moment(self.head, event))
            self._left_out = None
            return 0
        # One event stands for a run of those left out. What is being sent does not change.
        first, count = event, 0
        if self._left_out is not None and len(self._moments) > self._sending:
            first, count = self._left_out
            self._moments.pop()
        self._left_out = (first, count + 1)
        self._moments.append(Moment(self.head, dropped_event(first, count + 1), counted=False))
        return 1

    def rewind(self, done: int) -> None:
        """Only what lies up to `done` is called back: what is kept comes after what is not."""
        if done < self.done:
            self.forget()
            self.done = done

    def read(self, messages: Sequence[StoredMessage], *, up_to: int) -> int:
        """Take in what the history has beyond `done`, when `head` was `up_to`.

        Returns:
            How many messages are not there any more: deleted before they were called back.
        """
        first = messages[0].offset if messages else up_to + 1
        gone, self.done = max(0, first - 1 - self.done), max(self.done, first - 1)
        for message in messages:
            self._rows.append(Row(message.offset, message_event(message), live=False))
            self.head = max(self.head, message.offset)
        return gone

    # What goes out.

    def batch(self, *, max_events: int, max_bytes: int) -> Batch | None:
        """The next events, oldest first; at least one, whatever its size, unless none is here."""
        most = max_events if self.size is None else self.size
        rows, moments = list(islice(self._rows, most)), list(islice(self._moments, most))
        events: list[Event] = []
        row = moment = size = 0
        done = self.done
        while len(events) < most:
            if moment < len(moments) and moments[moment].after <= done:
                event = moments[moment].event
                moment += 1
            elif row < len(rows):
                event = rows[row].event
                done = rows[row].offset
                row += 1
            else:
                break
            events.append(event)
            size += event.size
            if size >= max_bytes:
                break
        if not events:
            return None
        self.size = len(events)
        self._sending = moment
        return Batch(events=events, rows=row, moments=moment, done=done)

    def finish(self, batch: Batch) -> None:
        """The batch is called back, or buried."""
        for _ in range(batch.rows):
            self._give(self._rows.popleft())
        for _ in range(batch.moments):
            moment = self._moments.popleft()
            if moment.counted:
                self._budget.give(moment.event)
        if not self._moments:
            self._left_out = None
        self.done = batch.done
        self.size = None
        self._sending = 0

    def split(self) -> None:
        """Make the next request half as large as the one under way."""
        if self.size is not None:
            self.size = max(1, self.size // 2)

    def forget(self) -> None:
        """Let go of the messages that can be read again: this lane does not get on."""
        while self._rows:
            self._give(self._rows.pop())

    def _give(self, row: Row) -> None:
        if row.live:
            self._budget.give(row.event)

    @property
    def _top(self) -> int:
        return self._rows[-1].offset if self._rows else self.done
