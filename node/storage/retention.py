"""How much of a room's beginning may be deleted: decided here, without the database."""

from collections.abc import Iterable

import attrs

from greenroom.actors.ports import Expiry


@attrs.frozen
class OldMessage:
    """What decides about one message."""

    offset: int
    timestamp: int
    status: int


def count_expired(oldest: Iterable[OldMessage], *, head: int, expiry: Expiry) -> int:
    """Return how many of a room's oldest messages may go.

    The first one that has to stay keeps all that follow: offsets are without holes.

    Args:
        oldest: From the room's beginning, offsets ascending.
        head: The room's newest offset.
        expiry: What may go.
    """
    count = 0
    for message in oldest:
        if message.status == 0 or message.timestamp >= expiry.never_after:
            break
        by_age = expiry.older_than is not None and message.timestamp < expiry.older_than
        by_count = expiry.keep is not None and head - message.offset >= expiry.keep
        if not (by_age or by_count):
            break
        count += 1
    return count
