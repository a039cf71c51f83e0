"""The dead-letter list of callbacks: `DeadCallbacks` of a node, and what its operator does with it.

Bounded by a number of entries; when that is reached, nothing more is taken. An operator works on
the table itself, whether the node runs or not: it looks for what is marked every few seconds.
"""

from collections.abc import Collection, Sequence

import attrs
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from greenroom.actors.callbacks.ports import Callback, DeadCallback, DeadCallbacksFull
from greenroom.node.storage.store import SqlStore
from greenroom.node.storage.tables import dead_callbacks

REASON_LETTERS = 255

_ENTRY = (
    dead_callbacks.c.id,
    dead_callbacks.c.room,
    dead_callbacks.c.events,
    dead_callbacks.c.body,
    dead_callbacks.c.reason,
    dead_callbacks.c.attempts,
    dead_callbacks.c.first_failed,
    dead_callbacks.c.wanted,
)


@attrs.frozen(kw_only=True)
class Entry:
    """One line of the list, as its operator sees it."""

    dead: DeadCallback
    wanted: bool
    """Marked to be sent again."""


class SqlDeadCallbacks:
    """The dead-letter list of one node."""

    def __init__(self, store: SqlStore, *, node: str, limit: int) -> None:
        """Keep at most `limit` entries of `node` in the store's database."""
        self._store = store
        self._node = node
        self._limit = limit

    async def bury(self, dead: DeadCallback) -> None:
        """Put it on the list; see `DeadCallbacks.bury`."""
        await self._store.run(
            lambda connection: bury(connection, dead, node=self._node, limit=self._limit)
        )

    async def wanted(self, *, limit: int) -> Sequence[DeadCallback]:
        """Return those to send again, oldest first; see `DeadCallbacks.wanted`."""
        entries = await self._store.run(
            lambda connection: entries_of(connection, self._node, limit=limit, wanted=True)
        )
        return [entry.dead for entry in entries]

    async def resolve(self, id: str) -> None:
        """Take it off the list; see `DeadCallbacks.resolve`."""
        await self._store.run(lambda connection: drop(connection, self._node, [id]))


def bury(connection: Connection, dead: DeadCallback, *, node: str, limit: int) -> None:
    """Put it on the list, unmarked, or in the place of the one with its id.

    Raises:
        DeadCallbacksFull: The list has `limit` others.
    """
    said = {"reason": dead.reason[:REASON_LETTERS], "attempts": dead.attempts, "wanted": 0}
    of_it = dead_callbacks.c.id == dead.callback.id
    if connection.execute(select(dead_callbacks.c.number).where(of_it)).first() is not None:
        connection.execute(update(dead_callbacks).where(of_it).values(node=node, **said))
        return
    count = select(func.count()).select_from(dead_callbacks).where(dead_callbacks.c.node == node)
    if connection.execute(count).scalar_one() >= limit:
        raise DeadCallbacksFull(f"it has {limit} entries: replay or drop some")
    row = {
        "id": dead.callback.id,
        "node": node,
        "room": dead.callback.room,
        "events": dead.callback.events,
        "body": dead.callback.body.decode(),
        "first_failed": dead.first_failed_ms,
    }
    connection.execute(insert(dead_callbacks).values(**row, **said))


def entries_of(
    connection: Connection, node: str, *, limit: int, wanted: bool = False
) -> list[Entry]:
    """Return a node's entries, oldest first; all of them, or those marked."""
    query = select(*_ENTRY).where(dead_callbacks.c.node == node)
    if wanted:
        query = query.where(dead_callbacks.c.wanted == 1)
    rows = connection.execute(query.order_by(dead_callbacks.c.number).limit(limit))
    return [_entry(row) for row in rows]


def mark(connection: Connection, node: str, ids: Collection[str] | None) -> int:
    """Mark entries to be sent again, or with None all; return how many."""
    change = update(dead_callbacks).where(dead_callbacks.c.node == node).values(wanted=1)
    if ids is not None:
        change = change.where(dead_callbacks.c.id.in_(ids))
    return connection.execute(change).rowcount


def drop(connection: Connection, node: str, ids: Collection[str] | None) -> int:
    """Take entries off the list, or with None all; return how many."""
    change = delete(dead_callbacks).where(dead_callbacks.c.node == node)
    if ids is not None:
        change = change.where(dead_callbacks.c.id.in_(ids))
    return connection.execute(change).rowcount


def _entry(row: Row[str, str | None, int, str, str, int, int, int]) -> Entry:
    id, room, events, body, reason, attempts, first_failed, wanted = row
    callback = Callback(id=id, room=room, events=events, body=body.encode())
    dead = DeadCallback(
        callback=callback, reason=reason, attempts=attempts, first_failed_ms=first_failed
    )
    return Entry(dead=dead, wanted=bool(wanted))
