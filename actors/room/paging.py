"""One page of a room's history: from the ring where it reaches, otherwise what to ask the archive.

Pure. A page is bounded in messages and in bytes; `more` says that the same question, asked from its
end, brings more.
"""

from collections.abc import Sequence

from greenroom.actors.ports import Head
from greenroom.actors.room.messages import Page, ReadHistory, Refused
from greenroom.actors.room.ring import Remembered, Ring, wire_size
from greenroom.actors.services import CastLimits
from greenroom.protocol import ErrorCode


def page_limit(request: ReadHistory, limits: CastLimits) -> int:
    """How many messages the page may have."""
    return min(request.limit, limits.max_history_messages)


def check_position(request: ReadHistory, head: Head) -> Refused | None:
    """Refuse a position of another epoch: its offsets mean nothing here."""
    position = request.since or request.before
    if position is not None and position.epoch != head.epoch:
        return Refused(ErrorCode.UNRECOVERABLE_POSITION)
    return None


def from_ring(
    request: ReadHistory, head: Head, ring: Ring, limits: CastLimits, *, first: int = 1
) -> Page | None:
    """The page, if all of it is remembered."""
    limit = page_limit(request, limits)
    if request.since is not None:
        if request.since.offset >= head.offset:
            return Page(epoch=head.epoch, messages=(), more=False)
        entries = ring.after(request.since.offset, limit=limit)
    else:
        if head.offset < first:
            return Page(epoch=head.epoch, messages=(), more=False)
        below = request.before.offset if request.before is not None else None
        entries = ring.before(below, limit=limit)
    return None if entries is None else page_of(request, head, entries, limits, first=first)


def page_of(
    request: ReadHistory,
    head: Head,
    entries: Sequence[Remembered],
    limits: CastLimits,
    *,
    first: int = 1,
) -> Page:
    """The page that `entries`, offsets ascending, make: cut to its bounds on the far side.

    Args:
        request: What was asked.
        head: The newest message of the room.
        entries: What was found.
        limits: The page's bounds.
        first: The oldest message that is still there.
    """
    messages = [entry.message for entry in entries]
    onwards = request.since is not None
    if onwards:
        messages = messages[: page_limit(request, limits)]
    else:
        messages = messages[-page_limit(request, limits) :]
        messages.reverse()
    left = limits.answer_bytes
    kept = 0
    for message in messages:
        left -= wire_size(message)
        if left < 0 and kept:
            break
        kept += 1
    messages = messages[:kept]
    if onwards:
        more = bool(messages) and messages[-1].offset < head.offset
    else:
        messages.reverse()
        more = bool(messages) and messages[0].offset > first
    return Page(epoch=head.epoch, messages=tuple(messages), more=more)
