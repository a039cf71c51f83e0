"""What the cast asks of the world outside: history, who may enter which room, who was thrown out.

`node` implements these ports with real adapters, tests with fakes, and one contract suite holds
both. Nothing here knows SQL, files or threads. Each port is called from one actor only: the store
from the archive, the gate from the doorkeeper, the revocations' from the warden.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import attrs

from greenroom.actors.rights.revocations import Revocation
from greenroom.protocol import Rights


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


@attrs.frozen(kw_only=True)
class Expiry:
    """What may be deleted: the beginning of a room, as far as one of the first two says."""

    older_than: int | None
    """Messages from before this time (ms since 1970)."""
    keep: int | None
    """Messages that so many newer ones follow."""
    never_after: int
    """Messages from this time on stay, whatever the others say: their keys may be used again."""


@attrs.frozen(kw_only=True)
class Pruned:
    """What one step of deleting did."""

    first: Mapping[str, int]
    """By room that lost messages: the lowest offset that is left, or will come next."""
    after: str | None
    """The room behind which to go on; None when all have been looked at."""


NOTHING_DISPATCHED: Final[Mapping[str, Head]] = {}


class MessageStore(Protocol):
    """History: what the archive actor writes to and reads from.

    Every method may take long and raises `StoreUnavailable` for trouble that may pass. Any other
    exception is taken for a bug and crashes the archive actor.

    Cancellation:
        A cancelled `commit` returns only when its transaction has ended, one way or the other:
        the next incarnation of the archive must not race with what this one had begun.
    """

    async def commit(
        self,
        batch: Sequence[NewMessage],
        *,
        dispatched: Mapping[str, Head] = NOTHING_DISPATCHED,
    ) -> Sequence[Committed | KeyConflict]:
        """Store `batch` in one transaction and return one outcome each, in the order of `batch`.

        The same (room, user, key) may occur twice in one batch: the second is a duplicate (or a
        conflict) of the first.

        Args:
            batch: May be empty, where there is only something to mark.
            dispatched: By room, the place up to which everything has been handed on: those rows go
                from status 0 to 1 in the same transaction. A place lower than an earlier one, of
                another epoch, or of a room never seen changes nothing.
        """
        ...

    async def undispatched(self, *, after: int, limit: int) -> Sequence[StoredMessage]:
        """Return at most `limit` messages of status 0 with ids above `after`, ids ascending.

        For the start of a node, to hand on what an earlier life had accepted and no more.
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

    async def prune(self, expiry: Expiry, *, after: str, limit: int) -> Pruned:
        """Delete at most `limit` messages, from the beginnings of rooms named above `after`.

        Never anything of status 0, and never what would leave a hole.
        """
        ...

    async def probe(self) -> None:
        """Return when the store takes writes, changing nothing; else raise `StoreUnavailable`."""
        ...

    async def ping(self) -> None:
        """Return when the store answers; raise `StoreUnavailable` when it does not."""
        ...


class GateUnavailable(Exception):
    """Nobody can say now who may enter: the outside world's trouble, and temporary."""


class RoomGate(Protocol):
    """Who may do what in a room, where neither the room's kind nor the token says so."""

    async def rights_in(self, room: str, user: str) -> Rights | None:
        """Return what `user` may do in `room`; None, or no rights, for somebody not of the room.

        Called with a deadline around it, several at a time, once for each question that is not
        answered from memory. Raises `GateUnavailable` for trouble that may pass; any other
        exception is a bug, is logged with its traceback, and means the same to who asked.
        """
        ...


@attrs.frozen
class KeptRevocation:
    """A revocation as the store has it."""

    number: int
    """Later ones have higher numbers, but may be seen before lower ones that were under way."""
    revocation: Revocation


class RevocationStore(Protocol):
    """Keeps revocations over restarts, and shows those that other processes wrote.

    Both methods may take long and raise `StoreUnavailable` for trouble that may pass.
    """

    async def save(self, revocations: Sequence[Revocation], *, now_ms: int) -> None:
        """Keep these, and delete some of those that nobody needs any more at `now_ms`.

        With `StoreUnavailable` nobody knows whether they are kept; to save one twice does no harm.
        """
        ...

    async def load(self, *, after: int, now_ms: int, limit: int) -> Sequence[KeptRevocation]:
        """Return at most `limit` with numbers above `after` that are needed, numbers ascending."""
        ...
