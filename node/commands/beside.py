"""Works on a node's database from a command of its operator, whether the node runs or not.

The data directory's lock is not taken: SQLite and the servers let several processes write. The node
looks for what a command wrote every few seconds.
"""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from greenroom.node.datadir import DataDirectory
from greenroom.node.errors import DatabaseError
from greenroom.node.settings.record import Settings
from greenroom.node.storage import Pool, open_database
from greenroom.node.storage.dialect import one_line
from greenroom.node.storage.sqlite import WRITES


@contextmanager
def open_beside(settings: Settings) -> Generator[Connection]:
    """Open the node's database for one transaction.

    Raises:
        DatabaseError: It can't be opened or written.
    """
    file = DataDirectory(settings.data).database
    if settings.database is None and not file.exists():
        raise DatabaseError(
            f"database {file}: it is not there yet; the node's first start makes it, or "
            "greenroom migrate (is its directory another one? --data)"
        )
    database = open_database(settings.database, file, Pool(size=1))
    try:
        with database.engine.execution_options(**{WRITES: True}).begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {settings.database or file}: {one_line(error)}") from error
    finally:
        database.engine.dispose()
