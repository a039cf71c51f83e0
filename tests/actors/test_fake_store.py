"""The fake store keeps the real adapters' contract: their suite, run on the fake."""

import importlib.util
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.cast_stage import FakeStore

SUITE = Path(__file__).parents[1] / "node" / "storage" / "test_contract.py"
spec = importlib.util.spec_from_file_location("store_contract", SUITE)
assert spec is not None
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


class Memory:
    """What a restarted node finds again."""

    def __init__(self) -> None:
        self._store: FakeStore | None = None

    @asynccontextmanager
    async def open(self):
        self._store = self._store or FakeStore()
        yield self._store


@pytest.fixture
def database():
    return Memory()


@pytest.fixture
async def store(database):
    async with database.open() as opened:
        yield opened
