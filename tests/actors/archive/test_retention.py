"""Old messages go, a step at a time, and whoever asks for them is told the truth."""

import attrs
import pytest
import trio
from support.cast_pieces import new_message
from support.cast_stage import EPOCH_SECONDS, FakeStore, open_stage, until

from greenroom.actors.archive.retention import AGAIN_SECONDS, KEYS_SECONDS, ROUND_SECONDS, expiry_at
from greenroom.actors.ports import Head
from greenroom.actors.services import CastLimits

DAY = KEYS_SECONDS
NOW_MS = int(EPOCH_SECONDS * 1000)


async def store_with(count: int, *, age_seconds: float, room: str = "lobby") -> FakeStore:
    store = FakeStore()
    old = NOW_MS - int(age_seconds * 1000)
    await store.commit(
        [
            attrs.evolve(new_message(f"m{n}", key=str(n), room=room), timestamp=old)
            for n in range(count)
        ]
    )
    await store.commit((), dispatched={room: Head(f"e-{room}", count)})
    return store


@pytest.mark.parametrize(
    ("limits", "older_than", "keep"),
    [
        ({"retention_seconds": 2 * DAY}, NOW_MS - 2 * DAY * 1000, None),
        ({"retention_messages": 5}, None, 5),
    ],
)
def test_whatever_is_set_the_last_day_stays(limits, older_than, keep):
    expiry = expiry_at(NOW_MS, CastLimits(**limits))
    assert (expiry.older_than, expiry.keep) == (older_than, keep)
    assert expiry.never_after == NOW_MS - DAY * 1000


def test_without_a_setting_all_is_kept():
    assert expiry_at(NOW_MS, CastLimits()) is None


async def test_what_is_too_old_goes_at_the_start_and_the_rest_when_its_time_has_come(
    autojump_clock,
):
    store = await store_with(1_200, age_seconds=3 * DAY)
    fresh = await store_with(3, age_seconds=2 * DAY - 60, room="fresh")
    store.rows |= fresh.rows
    store.heads |= fresh.heads
    store.hashes |= fresh.hashes
    async with open_stage(store, retention_seconds=2 * DAY):
        await until(lambda: not store.rows["lobby"])
        assert len(store.rows["fresh"]) == 3
        await trio.sleep(2 * ROUND_SECONDS)
        assert store.rows["fresh"] == []


async def test_commits_take_turns_with_the_steps(autojump_clock):
    """100 steps of deleting hold no commit up by more than one of them."""
    store = await store_with(50_000, age_seconds=3 * DAY)
    async with open_stage(store, retention_seconds=2 * DAY) as stage:
        ann = await stage.member("ann", "other")
        store.delay_seconds = 0.1
        for number in range(10):
            with trio.fail_after(0.5):
                await ann.publish("other", str(number))
        assert store.rows["lobby"]


async def test_deleting_goes_on_after_an_outage(autojump_clock):
    store = await store_with(3, age_seconds=3 * DAY)
    async with open_stage(store, retention_seconds=2 * DAY):
        store.away = True
        await trio.sleep(10)
        store.away = False
        await trio.sleep(2 * AGAIN_SECONDS)
        assert store.rows["lobby"] == []


async def test_history_ends_where_deleting_has_left_off(autojump_clock):
    """Of 10 messages the last 4 are left: `more` says so from the ring and from the archive."""
    store = await store_with(10, age_seconds=3 * DAY)
    async with open_stage(store, retention_messages=4, ring_messages=2) as stage:
        await until(lambda: len(store.rows["lobby"]) == 4)
        ann = await stage.member("ann", "lobby")
        page = await ann.ask("HISTORY", room="lobby", limit=2)
        assert ([m["offset"] for m in page["messages"]], page["more"]) == ([9, 10], True)
        before = {"epoch": "e-lobby", "offset": 9}
        page = await ann.ask("HISTORY", room="lobby", before=before, limit=2)
        assert ([m["offset"] for m in page["messages"]], page["more"]) == ([7, 8], False)


async def test_a_living_room_forgets_what_was_deleted(autojump_clock):
    store = await store_with(10, age_seconds=3 * DAY)
    async with open_stage(store, retention_messages=4) as stage:
        ann = await stage.member("ann", "lobby")
        await until(lambda: len(store.rows["lobby"]) == 4)
        await trio.sleep(1)
        page = await ann.ask("HISTORY", room="lobby", limit=9)
        assert ([m["offset"] for m in page["messages"]], page["more"]) == ([7, 8, 9, 10], False)


async def test_who_missed_what_was_deleted_gets_a_gap(autojump_clock):
    store = await store_with(10, age_seconds=3 * DAY)
    async with open_stage(store, retention_messages=4) as stage:
        await until(lambda: len(store.rows["lobby"]) == 4)
        ann = await stage.client("ann")
        reply = await ann.joined("lobby", since={"epoch": "e-lobby", "offset": 3})
        assert not reply["recovered"]
        gap = await ann.next("GAP")
        assert (gap["from"], gap["to"], gap["reason"]) == (4, 10, "expired")
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 6})
        assert reply["recovered"]
        assert [m["offset"] for m in reply["messages"]] == [7, 8, 9, 10]


async def test_a_room_of_which_nothing_is_left_has_an_empty_history(autojump_clock):
    store = await store_with(3, age_seconds=3 * DAY)
    async with open_stage(store, retention_seconds=2 * DAY) as stage:
        await until(lambda: not store.rows["lobby"])
        ann = await stage.member("ann", "lobby")
        page = await ann.ask("HISTORY", room="lobby", limit=9)
        assert (page["messages"], page["more"]) == ([], False)
        reply = await ann.publish("lobby", "again")
        assert reply["offset"] == 4
