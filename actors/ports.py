"""What the cast asks of the world outside: the history store.

`node` implements these ports with real adapters, tests with fakes, and one contract suite holds
both. Nothing here knows SQL, files or threads. The cast calls a port from the archive actor only.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs


class StoreUnavailable(Exception):
    """The store could not do it now: the outside world's trouble, and temporary.

    A commit that raises this has an unknown outcome. The archive tries the very same batch again,
    and the keys in it keep that from storing anything twice.
    """


@attrs.frozen(kw_only=True)
class NewMessage:
    """A message that a client published and nobody has stored yet."""

    room: str
    user: str
    key: str
    """Unique for its (room, user): the same key again is the same message, not another one."""
    content: str
    timestamp: int
    """When the room took it, ms since 1970."""
    content_hash: bytes
    """Tells the same key with the same content from the same key with other content."""


@attrs.frozen(kw_only=True)
class StoredMessage:
    """A message with its place in the history of its room."""

    message_id: int
    room: str
    epoch: str
    offset: int
    """1, 2, 3, ... within (room, epoch), without holes; only the commit transaction assigns it."""
    user: str
    key: str
    content: str
    timestamp: int
    status: int = 0
    """0 accepted, 1 handed to fan-out and callbacks."""


@attrs.frozen
class Head:
    """The place of the newest message of a room; offset 0 when there is none yet."""

    epoch: str
    offset: int


@attrs.frozen
class Committed:
    """The message as it stands in the history."""

    message: StoredMessage
    duplicate: bool = False
    """The key was known already, with the same content: this is the row of the first time."""


@attrs.frozen
class KeyConflict:
    """The key was known already, with other content; nothing was stored for it."""

    key: str


class MessageStore(Protocol):
    """History: what the archive actor writes to and reads from.

    Every method may take long and raises `StoreUnavailable` for trouble that may pass. Any other
    exception is taken for a bug and crashes the archive actor.

    Cancellation:
        A cancelled `commit` returns only when its transaction has ended, one way or the other:
        the next incarnation of the archive must not race with what this one had begun.
    """

    async def commit(self, batch: Sequence[NewMessage]) -> Sequence[Committed | KeyConflict]:
        """Store `batch` in one transaction and return one outcome each, in the order of `batch`.

        The same (room, user, key) may occur twice in one batch: the second is a duplicate (or a
        conflict) of the first.
        """
        ...

    async def head(self, room: str) -> Head:
        """Return the newest place in `room`; for a room never seen, its epoch with offset 0.

        The epoch that is answered once is the epoch of the first commit, also after a restart.
        """
        ...

    async def read(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredMessage]:
        """Return at most `limit` messages of the room's present epoch, offsets ascending.

        With `after`, the oldest ones beyond that offset; otherwise the newest ones, below `before`
        where that is given. With both, the oldest ones between the two (neither included).
        """
        ...

    async def probe(self) -> None:
        """Return when the store takes writes, changing nothing; else raise `StoreUnavailable`."""
        ...

    async def ping(self) -> None:
        """Return when the store answers; raise `StoreUnavailable` when it does not."""
        ...
