"""SQLite: a file of the node's own, written ahead and synced fully."""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import orjson
from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.storage.dialect import (
    KEY_COLUMNS,
    MARK,
    MOVE_ROOM,
    PLACES,
    Dialect,
    Pool,
    Rows,
    as_list,
    one_line,
    places,
    select_by_keys,
)
from greenroom.node.storage.numbering import KnownMessage, MessageKey, NumberedMessage, Place
from greenroom.node.storage.rows import KNOWN, known, new_row
from greenroom.node.storage.tables import history, messages, rooms

DATABASE_MODE = 0o600


class _Written:
    """A statement of Core, written once as the driver takes it."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect()))
        self.text = compiled.string
        self._names = compiled.positiontup or ()
        self._values = compiled.params  # of those that are the statement's own

    def parameters(self, named: Mapping[str, object]) -> list[object]:
        """Return all its parameters in order, given those that differ."""
        return [named[name] if name in named else self._values[name] for name in self._names]


def _insert(table: Table) -> _Written:
    """The INSERT of whole rows, their values in the order of the table's columns."""
    return _Written(
        insert(table).values({column.name: bindparam(column.name) for column in table.columns})
    )


def _list(name: str) -> FromClause:
    """One list as one parameter: the statement stays the same, however long it is."""
    return func.json_each(bindparam(name, type_=String)).table_valued("value", name="each")


_PLACES = _Written(PLACES.where(rooms.c.room.in_(select(_list("names").c.value))))
_KEYS = _list("listed")
_KNOWN = _Written(
    select_by_keys(
        select(
            *(
                func.json_extract(_KEYS.c.value, f"$.{name}", type_=kind).label(name)
                for name, kind in KEY_COLUMNS.items()
            )
        ).subquery("listed"),
        *KNOWN,
    )
)
_EPOCH = _Written(select(history.c.epoch))
_CREATE = _insert(rooms)
_INSERT = _insert(messages)
_MARK = _Written(MARK)
_MOVE = _Written(MOVE_ROOM)
LAST_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'"
BEGIN_WRITING: Final = "BEGIN IMMEDIATE"

WRITES = "greenroom_writes"
"""Execution option of whoever means to write."""


class Sqlite(Dialect[sqlite3.Connection]):
    """One file."""

    one_writer: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def create_engine(self, pool: Pool) -> Engine:
        """Return an engine for the file."""
        engine = create_engine(
            f"sqlite:///{self._path}",
            connect_args={"check_same_thread": False, "timeout": pool.statement_seconds},
            poolclass=QueuePool,
            # The one that wrote last: the others would have to read its changes first.
            pool_use_lifo=True,
            **pool.engine_options(),
        )
        event.listen(engine, "connect", _prepare_connection)
        event.listen(engine, "begin", _begin_transaction)
        return engine

    def create_file(self) -> bool:
        """Make the file if it is not there, and return whether that was so.

        SQLite would let everybody read it. It gives -wal and -shm the same mode.

        Raises:
            OSError: It can't be made.
        """
        is_new = not self._path.exists()
        self._path.touch(mode=DATABASE_MODE)
        return is_new

    def may_pass(self, error: DBAPIError) -> bool:
        """Locked, full, read-only, gone: all of them are operational to the driver."""
        return isinstance(error.orig, sqlite3.OperationalError)

    # A commit runs on the driver's own connection, with statements that Core has written once: the
    # way through Core to each of six small statements cost three times what SQLite does for them.

    @contextmanager
    def begin(self, engine: Engine) -> Generator[sqlite3.Connection]:
        """Take a connection of the pool, and the one transaction that may write."""
        try:
            with closing(engine.raw_connection()) as pooled:  # rolls back what has no end
                connection = cast("sqlite3.Connection", pooled.driver_connection)
                connection.execute(BEGIN_WRITING)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(one_line(error)) from error

    def lock_places(self, on: sqlite3.Connection, names: Sequence[str]) -> dict[str, Place]:
        """BEGIN IMMEDIATE has locked everything."""
        return places(on.execute(_PLACES.text, (orjson.dumps(names).decode(),)))

    def create_rooms(self, on: sqlite3.Connection, names: Sequence[str]) -> None:
        """Insert them, in the epoch of the whole history: nobody else can have."""
        ((epoch,),) = on.execute(_EPOCH.text)
        on.executemany(_CREATE.text, [(name, epoch, 0, 0) for name in names])

    def known(
        self, on: sqlite3.Connection, keys: Sequence[MessageKey]
    ) -> Mapping[MessageKey, KnownMessage]:
        """Look them up, all in one statement."""
        return dict(map(known, on.execute(_KNOWN.text, _KNOWN.parameters(as_list(keys)))))

    def insert_messages(
        self, on: sqlite3.Connection, new: Sequence[NumberedMessage], *, node: str
    ) -> Sequence[int]:
        """Insert under ids of our own, which no other writer can take meanwhile."""
        last = on.execute(LAST_ID).fetchone()
        first = (last[0] if last else 0) + 1
        ids = range(first, first + len(new))
        on.executemany(
            _INSERT.text, [(id, *new_row(one, node)) for id, one in zip(ids, new, strict=True)]
        )
        return ids

    def mark(self, on: sqlite3.Connection, marked: Rows) -> None:
        """One UPDATE a room."""
        on.executemany(_MARK.text, map(_MARK.parameters, marked))

    def move_rooms(self, on: sqlite3.Connection, moved: Rows) -> None:
        """One UPDATE a room."""
        on.executemany(_MOVE.text, map(_MOVE.parameters, moved))


# Any: SQLAlchemy hands over its own pool record, which nothing here looks at.
def _prepare_connection(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver would begin transactions by itself, and only before the first write.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_transaction(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once with "locked" when
    # another one wrote in between, and no timeout helps; so whoever means to write says so here.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql(BEGIN_WRITING if writes else "BEGIN")
