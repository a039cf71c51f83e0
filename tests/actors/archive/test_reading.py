"""Reads in steps: all of it where it fits, little more than fits where it does not."""

import pytest
from support.cast_pieces import new_message
from support.cast_stage import FakeStore

from greenroom.actors.archive.reading import STEP_MESSAGES, read_bounded
from greenroom.actors.ports import StoreUnavailable

MANY = 3 * STEP_MESSAGES + 5


async def store_with(count: int, content: str = "x") -> FakeStore:
    store = FakeStore()
    await store.commit(
        [new_message(content, room="lobby", key=str(number)) for number in range(count)]
    )
    return store


async def offsets(store: FakeStore, **question) -> list[int]:
    return [row.offset for row in await read_bounded(store, "lobby", **question)]


@pytest.mark.parametrize("limit", [1, STEP_MESSAGES, STEP_MESSAGES + 1, MANY, 1000])
@pytest.mark.parametrize("before", [None, 1, 7, MANY])
@pytest.mark.parametrize("after", [None, 0, 7, MANY])
async def test_steps_bring_what_one_read_would(after, before, limit):
    store = await store_with(MANY)
    question = {"after": after, "before": before, "limit": limit}
    expected = [row.offset for row in await store.read("lobby", **question)]
    assert await offsets(store, **question, max_bytes=10_000) == expected


async def test_big_messages_end_a_read_after_what_fits():
    store = await store_with(MANY, "x" * 1000)
    bounds = {"limit": MANY, "max_bytes": 10_000}
    assert await offsets(store, after=0, **bounds) == list(range(1, STEP_MESSAGES + 1))
    assert await offsets(store, **bounds) == list(range(MANY - STEP_MESSAGES + 1, MANY + 1))


async def test_a_read_ends_between_two_steps_when_its_asker_goes():
    store = await store_with(MANY)
    with pytest.raises(StoreUnavailable):
        await read_bounded(
            store, "lobby", limit=MANY, max_bytes=10_000, wanted=lambda: store.reads == 0
        )
    assert store.reads == 1
