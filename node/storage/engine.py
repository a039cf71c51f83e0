"""Opens the database that the settings name, and sees to it that its tables are what we expect."""

import secrets
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from greenroom.node.errors import DatabaseError
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.storage import migrate
from greenroom.node.storage.dialect import Dialect, Pool, one_line
from greenroom.node.storage.sqlite import WRITES, Sqlite

EPOCH_BYTES = 6


@attrs.frozen(kw_only=True)
class Database:
    """An open database whose tables are what we expect."""

    engine: Engine
    dialect: Dialect[Any]  # Any: what it calls a transaction is its own affair
    migrated: Sequence[migrate.Step]
    """What had to be done for that, where it was there before."""
    pool: Pool


def dialect_of(url: DatabaseUrl | None, file: Path) -> Dialect[Any]:
    """Return how to speak to the database at `url`; without one it is SQLite in `file`.

    Raises:
        DatabaseError: The URL is no good, or its driver is not installed.
    """
    if url is None:
        return Sqlite(file)
    try:
        parsed = make_url(url.reveal())
    except (ArgumentError, ValueError):
        raise DatabaseError(f"database {url}: this is no URL of a database") from None
    try:
        if url.kind == "postgresql":
            from greenroom.node.storage.postgres import Postgres  # noqa: PLC0415  # an extra

            return Postgres(parsed.set(drivername="postgresql+psycopg"))
        from greenroom.node.storage.mariadb import Mariadb  # noqa: PLC0415  # an extra

        return Mariadb(parsed.set(drivername="mariadb+pymysql"))
    except ImportError as error:
        extra = {"postgresql": "postgres"}.get(url.kind, url.kind)
        raise DatabaseError(
            f"database {url}: its driver is missing ({one_line(error)}): "
            f"pip install 'greenroom[{extra}]'"
        ) from error


def open_database(
    url: DatabaseUrl | None, file: Path, pool: Pool, *, epoch: str | None = None
) -> Database:
    """Open a database for a node; a file, which is the node's own, is migrated on the way.

    Blocks, as everything here: call it before the event loop runs, or in a thread.

    Args:
        url: A server's database; None for SQLite.
        file: The SQLite file, where there is no URL.
        pool: How many connections, and how patient.
        epoch: Of the whole history, should this be its beginning; random unless given.

    Raises:
        DatabaseError: It can't be opened or is not ours; a server's lacks migrations. In one line,
            and without the password.
    """
    dialect = dialect_of(url, file)
    engine = dialect.create_engine(pool)
    try:
        with _telling_trouble(url or file):
            migrated: Sequence[migrate.Step] = ()
            if isinstance(dialect, Sqlite):
                is_new = dialect.create_file()
                steps = _migrate(engine, epoch or new_epoch())
                migrated = () if is_new else steps
            else:
                _refuse_unmigrated(engine)
    except DatabaseError:
        engine.dispose()
        raise
    return Database(engine=engine, dialect=dialect, migrated=migrated, pool=pool)


def inspect_database(url: DatabaseUrl | None, file: Path, pool: Pool) -> Sequence[migrate.Step]:
    """Return the steps that a database lacks.

    Raises:
        DatabaseError: As `open_database`; also where there is no file.
    """
    engine = dialect_of(url, file).create_engine(pool)
    try:
        with _telling_trouble(url or file):
            if url is None and not file.exists():
                raise DatabaseError("it is not there yet: the first start makes it")
            with engine.begin() as connection:
                return migrate.pending(connection)
    finally:
        engine.dispose()


def migrate_database(
    url: DatabaseUrl | None, file: Path, pool: Pool, *, epoch: str, replace_epoch: bool = False
) -> Sequence[migrate.Step]:
    """Do all that a database lacks, and return it.

    Args:
        url: A server's database; None for SQLite.
        file: The SQLite file, where there is no URL.
        pool: How many connections, and how patient.
        epoch: Of the whole history, should this be its beginning.
        replace_epoch: Give it this epoch in any case; see `migrate.begin_epoch`.

    Raises:
        DatabaseError: As `open_database`.
    """
    dialect = dialect_of(url, file)
    engine = dialect.create_engine(pool)
    try:
        with _telling_trouble(url or file):
            if isinstance(dialect, Sqlite):
                dialect.create_file()
            return _migrate(engine, epoch, replace_epoch=replace_epoch)
    finally:
        engine.dispose()


def new_epoch() -> str:
    """Return an epoch that no history has had."""
    return secrets.token_hex(EPOCH_BYTES)


@contextmanager
def _telling_trouble(where: object) -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        raise DatabaseError(f"database {where}: {error}") from error
    except OSError as error:
        raise DatabaseError(f"database {where}: {error.strerror or error}") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise DatabaseError(f"database {where}: {one_line(error)}") from error


def _migrate(engine: Engine, epoch: str, *, replace_epoch: bool = False) -> Sequence[migrate.Step]:
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        steps = migrate.migrate(connection, epoch=epoch)
        if replace_epoch:
            migrate.begin_epoch(connection, epoch)
    return steps


def _refuse_unmigrated(engine: Engine) -> None:
    with engine.begin() as connection:
        lacks = migrate.pending(connection)
        if lacks:
            steps = ", ".join(step.revision for step in lacks)
            raise DatabaseError(f"it lacks the migrations {steps}: run `greenroom migrate`")
