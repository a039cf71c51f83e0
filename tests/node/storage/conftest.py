"""One store fixture for the contract suite; an engine joins by its name in `ENGINES`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.databases import ENGINES, Place

from greenroom.actors.ports import MessageStore


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path, server_database) -> Place:
    """A database of each kind that holds nothing."""
    file = tmp_path / "greenroom.db"
    if request.param == "sqlite":
        return Place(name="sqlite", url=None, file=file)
    place = Place(name=request.param, url=server_database(request.param), file=file)
    place.empty()
    return place


@pytest.fixture
def database(place: Place) -> Place:
    """What the contract suite opens stores on."""
    return place


@pytest.fixture
async def store(database: Place) -> AsyncIterator[MessageStore]:
    async with database.open() as opened:
        yield opened
