"""The archive's history in a relational database: `MessageStore` over SQLAlchemy Core.

Owns what a transaction does and the threads it runs in. One transaction per commit, and only that
transaction assigns offsets. The event loop never blocks here: commits have a thread of their own,
everything else takes one of Trio's; at most one for each connection of the pool works at a time,
further calls wait for their turn in the event loop.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import trio
from sqlalchemy import Connection, Select, delete, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from greenroom.actors.ports import (
    NOTHING_DISPATCHED,
    Committed,
    Expiry,
    Head,
    KeyConflict,
    NewMessage,
    Pruned,
    StoredMessage,
    StoreUnavailable,
)
from greenroom.node.storage.dialect import PLACES, Dialect, one_line, places
from greenroom.node.storage.engine import Database
from greenroom.node.storage.numbering import (
    KnownMessage,
    MessageKey,
    Place,
    advances,
    key_of,
    number_batch,
)
from greenroom.node.storage.retention import OldMessage, count_expired
from greenroom.node.storage.rows import STORED, stored
from greenroom.node.storage.sqlite import WRITES
from greenroom.node.storage.tables import history, messages, rooms
from greenroom.node.storage.worker import Call, Worker

T = TypeVar("T")

ROOMS_PER_STEP = 50
"""Looked at by one step of `prune`."""

# Looked up room by room: a database asked for the first of all by id reads the whole history.
_LOWEST_UNDISPATCHED = select(
    func.min(
        select(messages.c.id)
        .where(
            messages.c.room == rooms.c.room,
            messages.c.epoch == rooms.c.epoch,
            messages.c.offset == rooms.c.dispatched + 1,
        )
        .correlate(rooms)
        .scalar_subquery()
    )
).where(rooms.c.dispatched < rooms.c.offset)
# A connection's turn is taken before a thread is.
_UNLIMITED = trio.CapacityLimiter(math.inf)


class SqlStore:
    """`MessageStore` of one database. Make it inside the event loop; `close` it in the end."""

    def __init__(self, database: Database, *, node: str) -> None:
        """Take over an open database.

        Args:
            database: The store owns it from here.
            node: The name written beside each message this node commits.
        """
        self._engine = database.engine
        self._dialect: Dialect[Any] = database.dialect
        self._writes = database.engine.execution_options(**{WRITES: True})
        self._node = node
        self._committer = Worker("greenroom commits")
        self._turns = trio.CapacityLimiter(database.pool.most)
        self._wait_seconds = database.pool.wait_seconds

    async def commit(
        self,
        batch: Sequence[NewMessage],
        *,
        dispatched: Mapping[str, Head] = NOTHING_DISPATCHED,
    ) -> Sequence[Committed | KeyConflict]:
        """Store `batch` in one transaction; see `MessageStore.commit`."""
        if not batch and not dispatched:
            await trio.lowlevel.checkpoint()
            return []
        store = partial(self._store, batch, dispatched)
        return await self._taking_turns(partial(self._committer.run, store))

    async def undispatched(self, *, after: int, limit: int) -> Sequence[StoredMessage]:
        """Return messages of status 0, ids ascending; see `MessageStore.undispatched`."""
        return await self._in_thread(lambda: self._read(_undispatched, after, limit))

    async def head(self, room: str) -> Head:
        """Return the newest place in `room`; see `MessageStore.head`."""
        return await self._in_thread(lambda: self._read(_head, room))

    async def read(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredMessage]:
        """Return messages of `room`, offsets ascending; see `MessageStore.read`."""
        query = _page(room, after=after, before=before, limit=limit)

        def work(connection: Connection) -> list[StoredMessage]:
            return [stored(row) for row in connection.execute(query)]

        found = await self._in_thread(lambda: self._read(work))
        return found if after is not None else found[::-1]

    async def prune(self, expiry: Expiry, *, after: str, limit: int) -> Pruned:
        """Delete the beginnings of rooms, as far as they have expired; see `MessageStore.prune`."""
        return await self._in_thread(lambda: self._write(_prune, expiry, after, limit))

    async def probe(self) -> None:
        """Return when a transaction that writes went through; see `MessageStore.probe`."""

        def work(connection: Connection) -> None:
            # A write to the disk, though it changes nothing: a lock alone would miss a full disk.
            connection.execute(update(history).values(epoch=history.c.epoch))

        await self._in_thread(lambda: self._write(work))

    async def ping(self) -> None:
        """Return when the database answers."""

        def work(connection: Connection) -> None:
            connection.execute(select(history.c.epoch)).one()

        await self._in_thread(lambda: self._read(work))

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own that may write.

        Raises:
            StoreUnavailable: Trouble that may pass; nothing was written, or nobody knows.
        """
        return await self._in_thread(lambda: self._write(work))

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, in a transaction of its own.

        Raises:
            StoreUnavailable: Trouble that may pass.
        """
        return await self._in_thread(lambda: self._read(work))

    async def close(self) -> None:
        """Close the pool's connections. Nothing may be under way."""
        await self._committer.close()
        await trio.to_thread.run_sync(self._engine.dispose, limiter=_UNLIMITED)

    def _store(
        self,
        batch: Sequence[NewMessage],
        dispatched: Mapping[str, Head],
        call: Call[list[Committed | KeyConflict]],
    ) -> list[Committed | KeyConflict]:
        """Store a batch, after its rooms have been made where there are new ones.

        With many writers making them takes a transaction of its own: a commit that holds locks and
        waits for somebody else's new room could wait for one that waits for it.
        """
        dialect = self._dialect
        written_to = {message.room for message in batch}
        names = sorted({*written_to, *dispatched})
        while True:
            with dialect.begin(self._engine) as on:
                places = dialect.lock_places(on, names)
                missing = sorted(written_to - places.keys())
                if missing and dialect.one_writer:
                    dialect.create_rooms(on, missing)
                    places |= dialect.lock_places(on, missing)
                    missing = []
                if not missing:
                    return self._commit(on, batch, dispatched, places, call)
            with dialect.begin(self._engine) as on:
                dialect.create_rooms(on, missing)

    def _commit(
        self,
        on: Any,  # whatever the dialect's transactions are
        batch: Sequence[NewMessage],
        dispatched: Mapping[str, Head],
        places: Mapping[str, Place],
        call: Call[list[Committed | KeyConflict]],
    ) -> list[Committed | KeyConflict]:
        dialect = self._dialect
        known: Mapping[MessageKey, KnownMessage] = {}
        if batch:
            known = dialect.known(on, [key_of(message) for message in batch])
        heads = {room: place.head for room, place in places.items()}
        numbering = number_batch(batch, heads=heads, known=known)
        call.check_cancelled()
        ids: Sequence[int] = ()
        if numbering.inserts:
            ids = dialect.insert_messages(on, numbering.inserts, node=self._node)
            call.check_cancelled()
        advanced = advances(dispatched, places)
        if advanced:
            dialect.mark(
                on,
                [
                    {
                        "moved": room,
                        "of": places[room].head.epoch,
                        "marked": places[room].dispatched,
                        "handed": offset,
                    }
                    for room, offset in advanced.items()
                ],
            )
        moved = [
            {
                "moved": room,
                "of": place.head.epoch,
                "head": numbering.heads.get(room, place.head).offset,
                "handed": advanced.get(room, place.dispatched),
            }
            for room, place in places.items()
            if room in numbering.heads or room in advanced
        ]
        if moved:
            dialect.move_rooms(on, moved)
        return numbering.outcomes(ids)

    def _write(self, work: Callable[..., T], *args: object) -> T:
        with self._writes.begin() as connection:
            return work(connection, *args)

    def _read(self, work: Callable[..., T], *args: object) -> T:
        with self._engine.begin() as connection:
            return work(connection, *args)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; see `_taking_turns`."""
        return await self._taking_turns(partial(_run_in_thread, work))

    async def _taking_turns(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run something that uses one connection when one is free, and make its trouble ours.

        Cancellation:
            Takes effect while waiting for the turn, and not after `run` has begun: a transaction
            left to itself could commit after its caller had moved on.
        """
        try:
            self._turns.acquire_on_behalf_of_nowait(run)
        except trio.WouldBlock:
            await self._wait_for_turn(run)
        try:
            return await run()
        except DBAPIError as error:
            if not self._dialect.may_pass(error):
                raise
            raise StoreUnavailable(one_line(error)) from error
        except PoolTimeoutError as error:
            raise StoreUnavailable(one_line(error)) from error
        finally:
            self._turns.release_on_behalf_of(run)

    async def _wait_for_turn(self, run: object) -> None:
        with trio.move_on_after(self._wait_seconds) as waiting:
            await self._turns.acquire_on_behalf_of(run)
        if waiting.cancelled_caught:
            raise StoreUnavailable(f"no connection got free within {self._wait_seconds:g} s")


async def _run_in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work, limiter=_UNLIMITED)


def _head(connection: Connection, room: str) -> Head:
    """Return where a room stands.

    A room nobody wrote to has no row, yet its epoch is fixed: it is the history's. So asking for
    any number of rooms costs no space, and the answer stays true over a restart.
    """
    place = places(connection.execute(PLACES.where(rooms.c.room == room))).get(room)
    return Head(_history_epoch(connection), 0) if place is None else place.head


def _history_epoch(connection: Connection) -> str:
    epoch: str = connection.execute(select(history.c.epoch)).scalar_one()
    return epoch


def _undispatched(connection: Connection, after: int, limit: int) -> list[StoredMessage]:
    lowest = connection.execute(_LOWEST_UNDISPATCHED).scalar()
    if lowest is None:
        return []
    query = (
        select(*STORED)
        .join(rooms, (rooms.c.room == messages.c.room) & (rooms.c.epoch == messages.c.epoch))
        .where(messages.c.offset > rooms.c.dispatched, messages.c.id >= max(lowest, after + 1))
        .order_by(messages.c.id)
        .limit(limit)
    )
    return [stored(row) for row in connection.execute(query)]


def _prune(connection: Connection, expiry: Expiry, after: str, limit: int) -> Pruned:
    query = select(rooms.c.room, rooms.c.epoch, rooms.c.offset).order_by(rooms.c.room)
    looked_at = connection.execute(query.where(rooms.c.room > after).limit(ROOMS_PER_STEP)).all()
    first: dict[str, int] = {}
    for room, epoch, head in looked_at:
        # Most rooms have nothing to lose, which one row tells.
        for most in (1, limit - 1):
            oldest = _oldest(connection, room, epoch, limit=most)
            count = count_expired(oldest, head=head, expiry=expiry)
            if not count:
                break
            first[room] = oldest[count - 1].offset + 1
            connection.execute(
                delete(messages).where(
                    messages.c.room == room,
                    messages.c.epoch == epoch,
                    messages.c.offset < first[room],
                )
            )
            limit -= count
            if limit <= 0:  # it may have more to lose: look at it again
                return Pruned(first=first, after=after)
        after = room
    return Pruned(first=first, after=after if len(looked_at) == ROOMS_PER_STEP else None)


def _oldest(connection: Connection, room: str, epoch: str, *, limit: int) -> list[OldMessage]:
    query = (
        select(messages.c.offset, messages.c.timestamp, messages.c.status)
        .where(messages.c.room == room, messages.c.epoch == epoch)
        .order_by(messages.c.offset)
        .limit(limit)
    )
    return [OldMessage(*row) for row in connection.execute(query)]


# Any: a row's columns have one type each, and `STORED` says which.
def _page(
    room: str, *, after: int | None, before: int | None, limit: int
) -> Select[*tuple[Any, ...]]:
    query = (
        select(*STORED)
        .join(rooms, (rooms.c.room == messages.c.room) & (rooms.c.epoch == messages.c.epoch))
        .where(messages.c.room == room)
        .limit(limit)
    )
    if before is not None:
        query = query.where(messages.c.offset < before)
    if after is not None:
        return query.where(messages.c.offset > after).order_by(messages.c.offset)
    return query.order_by(messages.c.offset.desc())
