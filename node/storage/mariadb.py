"""MariaDB through PyMySQL: READ COMMITTED, the batch's rooms locked row by row."""

import re
from collections.abc import Mapping
from typing import Any, cast

import pymysql
import pymysql.cursors
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    FromClause,
    bindparam,
    column,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from greenroom.node.storage.dialect import Pool, Rows
from greenroom.node.storage.server import ServerDialect
from greenroom.node.storage.tables import MARIADB_EXACT, rooms

_NEW = mysql.insert(rooms)
_CREATE = _NEW.on_duplicate_key_update(room=_NEW.inserted.room)
_PLACE = mysql.insert(rooms).values(
    room=bindparam("moved"),
    epoch=bindparam("of"),
    offset=bindparam("head"),
    dispatched=bindparam("handed"),
)
_MOVE = _PLACE.on_duplicate_key_update(
    offset=_PLACE.inserted.offset, dispatched=_PLACE.inserted.dispatched
)


# ER_DUP_ENTRY and ER_TRUNCATED_WRONG_VALUE_FOR_FIELD: the server quotes as it stands.
_QUOTED_VALUE = re.compile(r"(entry|value:) '.*'(?= for )", re.DOTALL)


class _Cursor(pymysql.cursors.Cursor):
    """Says of an error what it is about, and not what stood there.

    The server's text quotes values of the row, with what somebody wrote, or who it was; and a crash
    would log it.
    """

    def execute(self, query: str, args: object = None) -> int:
        try:
            return super().execute(query, args)  # pyright: ignore[reportDeprecated]  # what is, is one value
        except (pymysql.IntegrityError, pymysql.DataError) as error:
            code, *texts = error.args
            error.args = (code, *(_QUOTED_VALUE.sub(r"\1 '...'", str(text)) for text in texts))
            raise


class Mariadb(ServerDialect):
    """One database of a server."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._url = url

    def create_engine(self, pool: Pool) -> Engine:
        """Return an engine whose statements end, on the server's side and on ours."""
        engine = create_engine(
            self._url,
            # As with PostgreSQL; besides, MariaDB's own default locks gaps between rows.
            isolation_level="READ COMMITTED",
            connect_args={
                "charset": "utf8mb4",
                "cursorclass": _Cursor,
                "connect_timeout": max(1, round(pool.statement_seconds)),
                "read_timeout": pool.most_seconds,
                "write_timeout": pool.most_seconds,
            },
            **pool.engine_options(),
        )

        # Any: SQLAlchemy hands over its own pool record.
        @event.listens_for(engine, "connect")
        def limit(connection: pymysql.Connection, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]  # the event calls it
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET SESSION max_statement_time = %s, innodb_lock_wait_timeout = %s,"
                    " sql_mode = CONCAT_WS(',', @@sql_mode, 'STRICT_ALL_TABLES')",
                    (pool.statement_seconds, max(1, int(pool.statement_seconds))),
                )

        return engine

    def may_pass(self, error: DBAPIError) -> bool:
        """Gone, full, locked, timed out, deadlocked."""
        return isinstance(error.orig, pymysql.OperationalError) or error.connection_invalidated

    def listed(self, columns: Mapping[str, TypeEngine[str]]) -> FromClause:
        """Return the list through `JSON_TABLE`."""
        listed = ", ".join(
            f"`{name}` VARCHAR({cast('Any', kind).length}) CHARACTER SET utf8mb4"  # a String
            f" COLLATE {MARIADB_EXACT} PATH '$.{name}'"
            for name, kind in columns.items()
        )
        query = text(f"SELECT * FROM JSON_TABLE(:listed, '$[*]' COLUMNS ({listed})) AS each_one")  # noqa: S608  # names of columns
        return query.columns(*(column(name, kind) for name, kind in columns.items())).subquery(
            "listed"
        )

    def insert_rooms(self, on: Connection, new: Rows) -> None:
        """Insert them, in order, leaving alone what another node has just made."""
        on.execute(_CREATE, list(new))

    def move_rooms(self, on: Connection, moved: Rows) -> None:
        """In one statement: many UPDATEs would be as many round trips with this driver."""
        on.execute(_MOVE, list(moved))
