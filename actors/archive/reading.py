"""One read of history, in steps: however big its messages are, it brings little more than fits."""

from collections.abc import Callable
from typing import Final

from greenroom.actors.ports import MessageStore, StoredMessage, StoreUnavailable

STEP_MESSAGES: Final = 32
"""Read first: 1 MiB where all are as big as may be. Small ones make the next steps larger."""


async def read_bounded(
    store: MessageStore,
    room: str,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
    max_bytes: int,
    wanted: Callable[[], bool] = lambda: True,
) -> list[StoredMessage]:
    """Read as `MessageStore.read`, until there is more than `max_bytes` of content.

    So who gets fewer than there are either has more bytes than fit, or has all up to `limit`.

    Raises:
        StoreUnavailable: The store is away, or the answer is not `wanted` any more.
    """
    read: list[StoredMessage] = []
    size = 0
    most = STEP_MESSAGES
    while len(read) < limit and size <= max_bytes:
        if not wanted():
            raise StoreUnavailable("who asked is gone")
        step = min(most, limit - len(read))
        rows = await store.read(room, after=after, before=before, limit=step)
        size += sum(len(row.content.encode()) for row in rows)
        if after is not None:
            read += rows
        else:
            read[:0] = rows
        if len(rows) < step:
            break
        if after is not None:
            after = rows[-1].offset
        else:
            before = rows[0].offset
        fit = (max_bytes - size) * len(read) // max(size, 1)
        most = max(STEP_MESSAGES, min(4 * most, fit))
    return read
