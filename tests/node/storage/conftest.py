"""One store fixture for the contract suite; an engine joins by its name in `ENGINES`."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest

from greenroom.actors.ports import MessageStore
from greenroom.node.storage import SqlStore, open_sqlite

ENGINES = ["sqlite"]


@attrs.frozen
class Database:
    """A place that outlives the stores opened on it, so that a test can restart the node."""

    open: Callable[[], contextlib.AbstractAsyncContextManager[MessageStore]]


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    assert request.param == "sqlite"

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[MessageStore]:
        engine = open_sqlite(tmp_path / "greenroom.db", new_epoch="epoch-of-whoever-came-first")
        store = SqlStore(engine, node="test")
        try:
            yield store
        finally:
            await store.close()

    return Database(open=opened)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[MessageStore]:
    async with database.open() as opened:
        yield opened
