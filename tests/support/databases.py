"""Databases for tests: a file, or one of the test's own on a server at hand."""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest
import sqlalchemy
import trio
from sqlalchemy.exc import SQLAlchemyError
from support.proxy import Proxy

from greenroom.actors.ports import MessageStore
from greenroom.node import storage
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.storage import Pool, SqlStore, open_database
from greenroom.node.storage.tables import METADATA, history

SERVERS = {
    "postgresql": ("GREENROOM_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"),
    "mariadb": ("GREENROOM_TEST_MARIADB", "mariadb://root@127.0.0.1:3306/test"),
}
"""Where each server is looked for: the variable, and the URL without it. Each test makes a database
of its own there and drops it in the end."""
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
POOL = Pool()
ENGINES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.service),
    pytest.param("mariadb", marks=pytest.mark.service),
]


@attrs.frozen(kw_only=True)
class Place:
    """A database that outlives the stores opened on it, so that a test can restart the node."""

    name: str
    url: DatabaseUrl | None
    file: Path

    def database(self, pool: Pool = POOL) -> storage.Database:
        """Open it, for a test that looks at the tables."""
        return open_database(self.url, self.file, pool)

    def empty(self) -> None:
        """Leave nothing of what another test has stored, but the tables and the history's epoch."""
        engine = self.database().engine
        with engine.begin() as connection:
            for table in set(METADATA.tables.values()) - {history}:
                connection.execute(sqlalchemy.delete(table))
        engine.dispose()

    @contextlib.asynccontextmanager
    async def open(self, pool: Pool = POOL) -> AsyncIterator[MessageStore]:
        # In a thread: on the way there may be a proxy in this very event loop.
        database = await trio.to_thread.run_sync(self.database, pool)
        store = SqlStore(database, node="test")
        try:
            yield store
        finally:
            await store.close()


@contextlib.contextmanager
def new_database(kind: str) -> Iterator[DatabaseUrl]:
    """A database of the test's own on the server at hand."""
    variable, usual = SERVERS[kind]
    server = sqlalchemy.make_url(os.environ.get(variable, usual)).set(drivername=DRIVERS[kind])
    name = f"greenroom_{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except SQLAlchemyError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no {kind} at {server} ({variable} names another): {error}")
    try:
        yield DatabaseUrl(
            server.set(drivername=kind, database=name).render_as_string(hide_password=False)
        )
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        engine.dispose()


def through(url: DatabaseUrl, proxy: Proxy) -> DatabaseUrl:
    """The same database, by way of a proxy."""
    parsed = sqlalchemy.make_url(url.reveal())
    return DatabaseUrl(
        parsed.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    )


def address(url: DatabaseUrl) -> tuple[str, int]:
    """Where its server listens."""
    parsed = sqlalchemy.make_url(url.reveal())
    return parsed.host, parsed.port
