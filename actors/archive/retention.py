"""Deletes what is older than it has to be kept: gently, room after room, a step at a time.

Runs in the archive. A step is one small transaction that takes its turn with the commits; the rooms
that live are told what they need not remember any more.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from greenroom.actors.ports import Expiry, MessageStore, StoreUnavailable
from greenroom.actors.room.messages import Forget
from greenroom.actors.services import CastLimits
from greenroom.supervisor import InboxFull, Supervisor

KEYS_SECONDS: Final = 86_400
"""Whatever else is said: so long a repeated key is recognised, which takes its row."""
STEP_ROWS: Final = 500
STEP_SECONDS: Final = 0.1
"""Between two steps; 5,000 rows a second keep up with more than is published for long."""
ROUND_SECONDS: Final = 600.0
"""From the end of one round over all rooms to the next one."""
AGAIN_SECONDS: Final = 5.0
"""After a step that failed."""


def expiry_at(now_ms: int, limits: CastLimits) -> Expiry | None:
    """Return what may go at a moment; None where all is kept for ever."""
    if limits.keeps_all:
        return None
    age = limits.retention_seconds
    return Expiry(
        older_than=None if age is None else now_ms - int(age * 1000),
        keep=limits.retention_messages,
        never_after=now_ms - KEYS_SECONDS * 1000,
    )


async def prune_forever(
    store: MessageStore,
    writing: trio.Lock,
    rooms: Supervisor,
    limits: CastLimits,
    now_ms: Callable[[], int],
) -> None:
    """Round after round; returns at once where all is kept for ever.

    Args:
        store: Whose history it is.
        writing: Held for each step: commits and steps take turns.
        rooms: Those that live, to be told.
        limits: Says how long, and how many.
        now_ms: The wall clock.
    """
    after: str | None = ""
    while (expiry := expiry_at(now_ms(), limits)) is not None:
        await trio.sleep(STEP_SECONDS)
        try:
            async with writing:
                pruned = await store.prune(expiry, after=after or "", limit=STEP_ROWS)
        except StoreUnavailable:
            await trio.sleep(AGAIN_SECONDS)
            continue
        for name, first in pruned.first.items():
            _tell(rooms, name, first)
        after = pruned.after
        if after is None:
            await trio.sleep(ROUND_SECONDS)


def _tell(rooms: Supervisor, name: str, first: int) -> None:
    room = rooms.find(name)
    if room is not None:
        with suppress(InboxFull):  # too busy to remember anything old
            room.tell_nowait(Forget(first))
