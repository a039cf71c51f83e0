"""PostgreSQL through psycopg 3: READ COMMITTED, the batch's rooms locked row by row."""

import time
from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    FromClause,
    String,
    bindparam,
    column,
    create_engine,
    event,
    func,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import JSON, Text, TypeEngine

from greenroom.node.storage.dialect import Pool, Rows
from greenroom.node.storage.server import ServerDialect
from greenroom.node.storage.tables import rooms

READ_ONLY = "25006"  # sqlstate: a standby answers there, until its turn comes
LEAST_CONNECT_SECONDS = 2  # psycopg's own least

T = TypeVar("T")


class Postgres(ServerDialect):
    """One database of a server."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._url = url

    def create_engine(self, pool: Pool) -> Engine:
        """Return an engine whose statements end, on the server's side and on ours."""
        engine = create_engine(
            self._url,
            # Each commit locks the rooms it numbers, so what it reads of them can't change; a
            # stricter level would only add failures to be tried again.
            isolation_level="READ COMMITTED",
            connect_args={
                "connect_timeout": max(LEAST_CONNECT_SECONDS, round(pool.statement_seconds)),
                "application_name": "greenroom",
            },
            **pool.engine_options(),
        )

        # Any: SQLAlchemy's own records and arguments, passed on as they are.
        @event.listens_for(engine, "do_connect")
        def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> _Connection:  # pyright: ignore[reportUnusedFunction]  # the event calls it
            connection = _Connection.connect(*args, **options)
            connection.answer_seconds = pool.most_seconds
            try:
                connection.autocommit = True
                connection.execute(
                    "SELECT set_config('statement_timeout', %s, false),"
                    " set_config('lock_timeout', %s, false)",
                    (str(pool.statement_ms), str(pool.statement_ms)),
                )
                connection.autocommit = False
            except BaseException:
                connection.close()
                raise
            return connection

        return engine

    def may_pass(self, error: DBAPIError) -> bool:
        """Gone, full, locked, timed out, deadlocked; or a standby."""
        if isinstance(error.orig, psycopg.OperationalError) or error.connection_invalidated:
            return True
        return isinstance(error.orig, psycopg.Error) and error.orig.sqlstate == READ_ONLY

    def listed(self, columns: Mapping[str, TypeEngine[str]]) -> FromClause:
        """Return the list through `json_to_recordset`."""
        # As text: a column's own type would bring its collation into the list of types.
        return (
            func.json_to_recordset(bindparam("listed", type_=String).cast(JSON))
            .table_valued(*(column(name, Text) for name in columns), name="listed")
            .render_derived(with_types=True)
        )

    def insert_rooms(self, on: Connection, new: Rows) -> None:
        """Insert them, in order, passing over what another node has just made."""
        on.execute(insert(rooms).on_conflict_do_nothing(), list(new))


class _Connection(psycopg.Connection[Any]):  # Any: rows, as SQLAlchemy wants them
    """Closes itself when the server does not answer, and says of an error no more than its point.

    A statement's timeout is the server's; a server that hangs, or a network that swallows packets,
    would hold the thread for ever. The detail of an error quotes the row that it is about, with
    what somebody wrote, or a password's hash; and a crash would log it.
    """

    answer_seconds = float("inf")

    # Any: what psycopg's generators yield and are sent, passed on as it is.
    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        try:
            return super().wait(self._bounded(gen), *args, **options)
        except psycopg.Error as error:
            if error.diag.message_primary is not None:  # None: it is not the server's
                error.args = (error.diag.message_primary,)
            raise

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        until = time.monotonic() + self.answer_seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result
