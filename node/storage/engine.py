"""Opens the database: how it is spoken to, and that its tables are there.

What is SQLite's alone (pragmas, how a transaction begins) lives here and nowhere else.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from greenroom.node.errors import DataDirectoryError
from greenroom.node.storage.tables import METADATA, history

# Below the archive's grace: a thread that waits for the file's lock can't be cancelled.
BUSY_TIMEOUT_SECONDS = 2.0
CONNECTIONS = 4  # one for the writer, the others for readers; WAL lets them work side by side
DATABASE_MODE = 0o600
WRITES = "greenroom_writes"


def open_sqlite(path: Path, *, new_epoch: str) -> Engine:
    """Open a SQLite file, creating it and its tables where they are not there yet.

    Blocks: call it before the event loop runs, or in a thread.

    Args:
        path: The database file.
        new_epoch: The epoch of the whole history, should this be its beginning.

    Raises:
        DataDirectoryError: The file can't be opened, or is no database of ours.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_SECONDS},
        poolclass=QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=0,
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin_transaction)
    try:
        # Ours to make: SQLite would let everybody read it. It gives -wal and -shm the same mode.
        path.touch(mode=DATABASE_MODE)
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            METADATA.create_all(connection)
            _refuse_other_tables(connection, path)
            if connection.execute(select(history.c.epoch)).scalar() is None:
                connection.execute(insert(history).values(id=1, epoch=new_epoch))
    except DataDirectoryError:
        engine.dispose()
        raise
    except OSError as error:
        engine.dispose()
        raise DataDirectoryError(f"database {path}: {error.strerror or error}") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        engine.dispose()
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise DataDirectoryError(f"database {path}: {cause}") from error
    return engine


def _refuse_other_tables(connection: Connection, path: Path) -> None:
    """Look at the columns: a table of the right name passes for ours otherwise."""
    inspector = inspect(connection)
    for table in METADATA.sorted_tables:
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if found != set(table.columns.keys()):
            raise DataDirectoryError(
                f"database {path} is no database of ours: its table {table.name} has the columns "
                f"{', '.join(sorted(found))}"
            )


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
