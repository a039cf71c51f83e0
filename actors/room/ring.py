"""What a room remembers of its newest messages: the first level of history and recovery."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import attrs

from greenroom.protocol import JSON_CODEC, Message


@attrs.frozen
class Remembered:
    """A message as members get it, with what only the node needs to know of it."""

    message: Message
    key: str
    """With the user, tells whose connection sent it: that one has its ACK instead."""


def wire_size(message: Message) -> int:
    """Bytes of a message in an answer; in JSON, whose escapes can make six of one byte."""
    return len(JSON_CODEC.encode(message))


class Ring:
    """The newest messages of one epoch, offsets without holes.

    When it exceeds `max_messages` or `max_bytes` (of content, as Python characters: at least the
    newest message always stays), the oldest are forgotten; the archive still has them. A
    durable room clears what nobody has used for a while.
    """

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: deque[Remembered] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Remembered]:
        return iter(self._entries)

    @property
    def first_offset(self) -> int | None:
        """Offset of the oldest message remembered; None when empty."""
        return self._entries[0].message.offset if self._entries else None

    def append(self, entry: Remembered) -> None:
        """Remember the next message. A hole before it makes everything older worthless."""
        entries = self._entries
        if entries and entry.message.offset != entries[-1].message.offset + 1:
            self.clear()
        entries.append(entry)
        self._bytes += len(entry.message.content)
        while len(entries) > self._max_messages or (
            self._bytes > self._max_bytes and len(entries) > 1
        ):
            self._bytes -= len(entries.popleft().message.content)

    def forget(self, below: int) -> None:
        """Forget what is older than an offset."""
        entries = self._entries
        while entries and entries[0].message.offset < below:
            self._bytes -= len(entries.popleft().message.content)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._bytes = 0

    def after(self, offset: int, *, limit: int | None = None) -> Sequence[Remembered] | None:
        """What follows `offset`, oldest first; None if some of that is forgotten."""
        first = self.first_offset
        if first is None or offset + 1 < first:
            return None
        start = offset + 1 - first
        return list(islice(self._entries, start, None if limit is None else start + limit))

    def before(self, offset: int | None, *, limit: int) -> Sequence[Remembered] | None:
        """The newest `limit` below `offset` (None: of all); None if some of those are forgotten."""
        first = self.first_offset
        if first is None:
            return None
        end = len(self._entries) if offset is None else min(offset - first, len(self._entries))
        start = end - limit
        if start < 0:
            if first > 1 or end < 0:
                return None
            start = 0
        return list(islice(self._entries, start, end))
