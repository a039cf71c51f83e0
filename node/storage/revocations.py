"""Revocations that outlive the process: `RevocationStore` of a node, and what its operator adds.

Rows are added and, once their tokens have expired, deleted; none is ever changed. An operator's
command writes to the table itself, whether the node runs or not: it looks every few seconds.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from greenroom.actors.ports import KeptRevocation
from greenroom.actors.rights.revocations import MARGIN_MS, Revocation
from greenroom.node.storage.store import SqlStore
from greenroom.node.storage.tables import revocations

DELETED_AT_ONCE = 1_000
"""Rows that one call of `add` cleans away; more than it adds."""


class SqlRevocations:
    """The revocations in a store's database, which all nodes on it share."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def save(self, revocations: Sequence[Revocation], *, now_ms: int) -> None:
        """Keep these; see `RevocationStore.save`."""
        await self._store.run(lambda connection: add(connection, revocations, now_ms=now_ms))

    async def load(self, *, after: int, now_ms: int, limit: int) -> Sequence[KeptRevocation]:
        """Return those that are needed; see `RevocationStore.load`."""
        return await self._store.look(
            lambda connection: needed(connection, after=after, now_ms=now_ms, limit=limit)
        )


def add(connection: Connection, new: Sequence[Revocation], *, now_ms: int) -> None:
    """Write a row for each, and delete some whose tokens have all expired."""
    rows = [
        {
            "user": revocation.user,
            "token_id": revocation.token_id,
            "revoked_at": revocation.at_ms,
            "kept_until": revocation.until_ms,
        }
        for revocation in new
    ]
    if rows:
        connection.execute(insert(revocations), rows)
    # By their numbers: rows that other transactions are about to write are not locked for it.
    number = revocations.c.number
    over = select(number).where(revocations.c.kept_until <= now_ms - MARGIN_MS).order_by(number)
    numbers = connection.execute(over.limit(DELETED_AT_ONCE)).scalars().all()
    if numbers:
        connection.execute(delete(revocations).where(number.in_(numbers)))


def needed(connection: Connection, *, after: int, now_ms: int, limit: int) -> list[KeptRevocation]:
    """Return rows with numbers above `after` whose tokens may still live, numbers ascending."""
    columns = revocations.c
    query = (
        select(
            columns.number,
            columns.user,
            columns.token_id,
            columns.revoked_at,
            columns.kept_until,
        )
        .where(columns.number > after, columns.kept_until > now_ms - MARGIN_MS)
        .order_by(columns.number)
        .limit(limit)
    )
    return [
        KeptRevocation(
            number, Revocation(user=user, token_id=token_id, at_ms=at_ms, until_ms=until_ms)
        )
        for number, user, token_id, at_ms, until_ms in connection.execute(query)
    ]
