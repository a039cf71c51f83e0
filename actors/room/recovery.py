"""What a JOIN with `since` brings: decided here, read elsewhere, joined to the stream by the room.

Pure. The room's ring is the bounded hold: what is delivered while the archive is being read goes
into the ring, and the seam is checked by offsets afterwards.
"""

from collections.abc import Sequence

import attrs

from greenroom.actors.ports import Head
from greenroom.actors.room.ring import Remembered, Ring, wire_size
from greenroom.protocol import MAX_SAFE_INTEGER, GapReason, Position


@attrs.frozen
class Recovered:
    """Everything that was missed; empty if nothing was, or nothing was asked for."""

    entries: Sequence[Remembered]
    complete: bool = True
    """What JOIN_OK says in `recovered`: False where no `since` was given."""


@attrs.frozen
class Lost:
    """What was missed can't be made up for: `recovered: false` and a GAP."""

    reason: GapReason
    first: int
    last: int


@attrs.frozen
class MustRead:
    """The archive has to be asked for what comes after `after`, at most `limit` messages."""

    since: int
    limit: int
    read: Sequence[Remembered] = ()
    """What it was asked for before, right behind `since`."""

    @property
    def after(self) -> int:
        """Where to read on."""
        return self.since + len(self.read)


def plan(
    since: Position | None,
    head: Head,
    ring: Ring,
    *,
    max_messages: int,
    max_bytes: int,
    may_read: bool = True,
    first: int = 1,
    forgotten: GapReason = GapReason.EXPIRED,
) -> Recovered | Lost | MustRead:
    """Decide how to bring a client from `since` to `head`, which is the last one delivered.

    Where it missed messages below `first`, which nobody has any more, it was `forgotten`, and not
    `too_many`: that would promise that HISTORY has them.
    """
    if since is None:
        return Recovered((), complete=False)
    if since.epoch != head.epoch or since.offset > head.offset:
        # An offset beyond the head was never given out in this epoch: the history was put back.
        return Lost(GapReason.EPOCH, min(since.offset + 1, MAX_SAFE_INTEGER), head.offset)
    missed = head.offset - since.offset
    if missed == 0:
        return Recovered(())
    if not may_read:  # for this client, nothing is kept
        return Lost(GapReason.EXPIRED, since.offset + 1, head.offset)
    if since.offset + 1 < first:
        return Lost(forgotten, since.offset + 1, head.offset)
    if missed > max_messages:
        return Lost(GapReason.TOO_MANY, since.offset + 1, head.offset)
    entries = ring.after(since.offset)
    if entries is None:
        return MustRead(since.offset, missed)
    return _within(entries, since.offset, head, max_bytes)


def join_up(
    plan: MustRead,
    page: Sequence[Remembered],
    head: Head,
    ring: Ring,
    *,
    max_messages: int,
    max_bytes: int,
) -> Recovered | Lost | MustRead:
    """Join the `page` that was read to the live stream, which has got to `head` meanwhile.

    Where the stream has outrun the ring, what comes behind the page has to be read too. That ends:
    each time there is more of what one answer carries.
    """
    since, read = plan.since, [*plan.read, *page]
    if head.offset - since > max_messages or _size(read) > max_bytes:  # it ended because it is full
        return Lost(GapReason.TOO_MANY, since + 1, head.offset)
    last = since + len(read)
    if not page or [entry.message.offset for entry in read] != list(range(since + 1, last + 1)):
        return Lost(GapReason.EXPIRED, since + 1, head.offset)
    newer = ring.after(last) if last < head.offset else ()
    if newer is None:
        return MustRead(since, head.offset - last, read)
    return _within([*read, *newer], since, head, max_bytes)


def _within(
    entries: Sequence[Remembered], since: int, head: Head, max_bytes: int
) -> Recovered | Lost:
    if _size(entries) > max_bytes:
        return Lost(GapReason.TOO_MANY, since + 1, head.offset)
    return Recovered(entries)


def _size(entries: Sequence[Remembered]) -> int:
    return sum(wire_size(entry.message) for entry in entries)
