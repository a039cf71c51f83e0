"""The archive's history in a relational database: `MessageStore` over SQLAlchemy Core.

Owns every query and the threads they run in. One transaction per commit, and only that transaction
assigns offsets. The event loop never blocks here: at most one thread for each connection of the
pool works at a time, further calls wait for their turn in the event loop.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import trio
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from greenroom.actors.ports import (
    Committed,
    Head,
    KeyConflict,
    NewMessage,
    StoredMessage,
    StoreUnavailable,
)
from greenroom.node.storage.engine import CONNECTIONS, WRITES
from greenroom.node.storage.keys import known_parameters, select_known
from greenroom.node.storage.numbering import (
    KnownMessage,
    MessageKey,
    NumberedMessage,
    key_of,
    number_batch,
)
from greenroom.node.storage.tables import history, messages, rooms

T = TypeVar("T")

# Spelled out once: the columns that make a StoredMessage, in the order `_stored` reads them.
_STORED = (
    messages.c.id,
    messages.c.room,
    messages.c.epoch,
    messages.c.offset,
    messages.c.user,
    messages.c.key,
    messages.c.content,
    messages.c.timestamp,
    messages.c.status,
)
# Told apart by their places: asked for ids in order, SQLAlchemy sends SQLite the rows one by one.
_INSERT = insert(messages).returning(messages.c.id, messages.c.room, messages.c.offset)
_MOVE_HEAD = (
    update(rooms).where(rooms.c.room == bindparam("moved")).values(offset=bindparam("head"))
)


class SqlStore:
    """`MessageStore` of one database. Make it inside the event loop; `close` it in the end."""

    def __init__(self, engine: Engine, *, node: str) -> None:
        """Take over an open database.

        Args:
            engine: The database; the store owns it from here.
            node: The name written beside each message this node commits.
        """
        self._engine = engine
        self._writes = engine.execution_options(**{WRITES: True})
        self._node = node
        self._select_known = select_known(engine.dialect, *_STORED, messages.c.content_hash)
        self._threads = trio.CapacityLimiter(CONNECTIONS)

    async def commit(self, batch: Sequence[NewMessage]) -> Sequence[Committed | KeyConflict]:
        """Store `batch` in one transaction; see `MessageStore.commit`."""
        if not batch:
            await trio.lowlevel.checkpoint()
            return []
        return await self._in_thread(lambda: self._transact(self._commit, batch))

    async def head(self, room: str) -> Head:
        """Return the newest place in `room`; see `MessageStore.head`."""
        return await self._in_thread(lambda: self._read(_heads, [room])[room])

    async def read(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredMessage]:
        """Return messages of `room`, offsets ascending; see `MessageStore.read`."""
        query = _page(room, after=after, before=before, limit=limit)

        def work(connection: Connection) -> list[StoredMessage]:
            return [_stored(row) for row in connection.execute(query)]

        found = await self._in_thread(lambda: self._read(work))
        return found if after is not None else found[::-1]

    async def probe(self) -> None:
        """Return when a transaction that writes went through; see `MessageStore.probe`."""

        def work(connection: Connection) -> None:
            # A write to the disk, though it changes nothing: a lock alone would miss a full disk.
            connection.execute(update(history).values(epoch=history.c.epoch))

        await self._in_thread(lambda: self._transact(work))

    async def ping(self) -> None:
        """Return when the database answers."""

        def work(connection: Connection) -> None:
            connection.execute(select(history.c.epoch)).one()

        await self._in_thread(lambda: self._read(work))

    async def close(self) -> None:
        """Close the pool's connections. Nothing may be under way."""
        await trio.to_thread.run_sync(self._engine.dispose, limiter=self._threads)

    def _commit(
        self, connection: Connection, batch: Sequence[NewMessage]
    ) -> list[Committed | KeyConflict]:
        touched = sorted({message.room for message in batch})
        heads = _heads(connection, touched, create=True)
        known = self._known(connection, [key_of(message) for message in batch])
        numbering = number_batch(batch, heads=heads, known=known)
        if not numbering.inserts:
            return numbering.outcomes([])
        rows = [_columns(numbered, node=self._node) for numbered in numbering.inserts]
        ids = {(room, offset): row for row, room, offset in connection.execute(_INSERT, rows)}
        connection.execute(
            _MOVE_HEAD,
            [{"moved": room, "head": head.offset} for room, head in numbering.heads.items()],
        )
        return numbering.outcomes(
            [ids[numbered.message.room, numbered.offset] for numbered in numbering.inserts]
        )

    def _known(
        self, connection: Connection, keys: Sequence[MessageKey]
    ) -> dict[MessageKey, KnownMessage]:
        parameters = known_parameters(connection.dialect, keys)
        found: dict[MessageKey, KnownMessage] = {}
        for row in connection.execute(self._select_known, parameters):
            message = _stored(row)
            found[message.room, message.user, message.key] = KnownMessage(message, row[-1])
        return found

    def _transact(self, work: Callable[..., T], *args: object) -> T:
        with self._writes.begin() as connection:
            return work(connection, *args)

    def _read(self, work: Callable[..., T], *args: object) -> T:
        with self._engine.begin() as connection:
            return work(connection, *args)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in a worker thread, and make its trouble ours.

        Cancellation:
            Takes effect while waiting for a thread, and not after `work` has begun: a transaction
            left to itself could commit after its caller had moved on.
        """
        try:
            return await trio.to_thread.run_sync(work, limiter=self._threads)
        except (DBAPIError, PoolTimeoutError) as error:
            if isinstance(error, DBAPIError) and not _may_pass(error):
                raise
            raise StoreUnavailable(str(getattr(error, "orig", error))) from error


def _may_pass(error: DBAPIError) -> bool:
    """Whether the trouble is the outside world's: locked, full, gone. The rest are our bugs."""
    return isinstance(error.orig, sqlite3.OperationalError) or error.connection_invalidated


def _heads(
    connection: Connection, names: Sequence[str], *, create: bool = False
) -> Mapping[str, Head]:
    """Return where rooms stand, and with `create` write down those never seen before.

    A room nobody wrote to has no row, yet its epoch is fixed: it is the history's. So asking for
    any number of rooms costs no space, and the answer stays true over a restart.
    """
    query = select(rooms.c.room, rooms.c.epoch, rooms.c.offset).where(rooms.c.room.in_(names))
    heads = {room: Head(epoch, offset) for room, epoch, offset in connection.execute(query)}
    missing = [name for name in names if name not in heads]
    if missing:
        epoch = connection.execute(select(history.c.epoch)).scalar_one()
        heads |= {name: Head(epoch, 0) for name in missing}
        if create:
            connection.execute(
                insert(rooms),
                [{"room": name, "epoch": epoch, "offset": 0} for name in missing],
            )
    return heads


# Any: a row's columns have one type each, and `_STORED` says which.
def _page(
    room: str, *, after: int | None, before: int | None, limit: int
) -> Select[*tuple[Any, ...]]:
    query = (
        select(*_STORED)
        .join(rooms, (rooms.c.room == messages.c.room) & (rooms.c.epoch == messages.c.epoch))
        .where(messages.c.room == room)
        .limit(limit)
    )
    if before is not None:
        query = query.where(messages.c.offset < before)
    if after is not None:
        return query.where(messages.c.offset > after).order_by(messages.c.offset)
    return query.order_by(messages.c.offset.desc())


def _stored(row: Row[*tuple[Any, ...]]) -> StoredMessage:
    message_id, room, epoch, offset, user, key, content, timestamp, status = row[: len(_STORED)]
    return StoredMessage(
        message_id=message_id,
        room=room,
        epoch=epoch,
        offset=offset,
        user=user,
        key=key,
        content=content,
        timestamp=timestamp,
        status=status,
    )


def _columns(numbered: NumberedMessage, *, node: str) -> dict[str, object]:
    message = numbered.message
    return {
        "room": message.room,
        "epoch": numbered.epoch,
        "offset": numbered.offset,
        "user": message.user,
        "key": message.key,
        "content": message.content,
        "content_hash": message.content_hash,
        "timestamp": message.timestamp,
        "node": node,
        "status": 0,
    }
