"""The archive, asked directly: group commit, order, barriers, reads beside commits."""

import logging

import pytest
import trio
from support.cast_pieces import new_message
from support.cast_stage import FakeStore, open_stage

from greenroom.actors.archive.archive import (
    PAUSE_SECONDS,
    QUIET_PROBE_SECONDS,
    Load,
    OutOfOrder,
    Read,
    Store,
    Undispatched,
    Writer,
)
from greenroom.actors.ports import Head, StoreUnavailable


def store_of(*keys: str, room: str = "lobby", writer=None, continues: bool = False) -> Store:
    messages = [new_message(key, room=room, key=key) for key in keys]
    return Store(messages=messages, writer=writer or Writer(), continues=continues)


async def test_what_waits_while_a_commit_runs_is_one_commit(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        stage.store.delay_seconds = 1
        for number in range(50):
            nursery.start_soon(stage.cast.archive.ask, store_of("a", room=f"room-{number}"))
            await trio.testing.wait_all_tasks_blocked()
    assert stage.store.commits == [1, 49]


async def test_a_load_is_answered_after_what_was_sent_before_it(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        stage.store.delay_seconds = 1
        nursery.start_soon(stage.cast.archive.ask, store_of("a", "b"))
        await trio.testing.wait_all_tasks_blocked()
        loaded = await stage.cast.archive.ask(Load(room="lobby", recent=1))
        assert loaded.head == Head("e-lobby", 2)
        assert [stored.content for stored in loaded.recent] == ["b"]


async def test_reads_do_not_wait_for_commits(autojump_clock, monkeypatch):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        await stage.cast.archive.ask(store_of("a"))
        commit, go_on = stage.store.commit, trio.Event()

        async def wait_then_commit(*args, **kwargs):
            await go_on.wait()
            return await commit(*args, **kwargs)

        monkeypatch.setattr(stage.store, "commit", wait_then_commit)
        nursery.start_soon(stage.cast.archive.ask, store_of("b"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            read = await stage.cast.archive.ask(Read(room="lobby", limit=2))
        assert [stored.content for stored in read] == ["a"]
        go_on.set()


async def test_commits_do_not_wait_for_reads(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        await stage.cast.archive.ask(store_of("a"))
        stage.store.read_delay_seconds = 10
        for _ in range(20):
            nursery.start_soon(stage.cast.archive.ask, Read(room="lobby", limit=1))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            await stage.cast.archive.ask(store_of("b"))
        nursery.cancel_scope.cancel()


async def test_a_store_that_continues_what_this_incarnation_never_saw_is_refused(autojump_clock):
    async with open_stage() as stage:
        writer = Writer()
        with pytest.raises(OutOfOrder):
            await stage.cast.archive.ask(store_of("b", writer=writer, continues=True))
        await stage.cast.archive.ask(store_of("a", writer=writer))
        await stage.cast.archive.ask(store_of("b", writer=writer, continues=True))
        assert [row.content for row in stage.store.rows["lobby"]] == ["a", "b"]


async def test_the_same_batch_is_tried_again_until_patience_ends(autojump_clock):
    store = FakeStore()
    async with open_stage(store, commit_patience_seconds=10) as stage:
        store.away = True
        started = trio.current_time()
        with pytest.raises(StoreUnavailable):
            await stage.cast.archive.ask(store_of("a"))
        assert 8 < trio.current_time() - started <= 10
        store.commit_then_fail, store.away = 3, False
        (outcome,) = await stage.cast.archive.ask(store_of("a"))
        assert outcome.message.offset == 1
        assert len(store.rows["lobby"]) == 1


async def test_a_read_while_the_store_is_away_is_an_answer_and_no_crash(autojump_clock):
    async with open_stage() as stage:
        stage.store.away = True
        with pytest.raises(StoreUnavailable):
            await stage.cast.archive.ask(Read(room="lobby", limit=1))
        stage.store.away = False
        assert await stage.cast.archive.ask(Read(room="lobby", limit=1)) == []


async def test_a_room_that_opens_does_not_wait_for_reads(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        await stage.cast.archive.ask(store_of("a"))
        stage.store.read_delay_seconds = 10
        for _ in range(20):
            nursery.start_soon(stage.cast.archive.ask, Read(room="lobby", limit=1))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            await stage.cast.archive.ask(Load(room="fresh", recent=10))
        nursery.cancel_scope.cancel()


async def test_a_read_that_nobody_wants_any_more_is_skipped(autojump_clock):
    async with open_stage() as stage:
        await stage.cast.archive.ask(store_of("a"))
        with pytest.raises(StoreUnavailable):
            await stage.cast.archive.ask(Read(room="lobby", limit=1, wanted=lambda: False))
        assert stage.store.reads == 0


async def test_a_store_that_can_not_commit_is_told_once_and_so_is_its_recovery(
    autojump_clock, caplog
):
    caplog.set_level(logging.INFO, "greenroom.actors")
    async with open_stage() as stage:
        stage.store.away = True
        for key in "ab":
            with pytest.raises(StoreUnavailable):
                await stage.cast.archive.ask(store_of(key))
        stage.store.away = False
        for key in "cd":
            await stage.cast.archive.ask(store_of(key))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the store can't commit: away"),
        ("INFO", "the store can commit again"),
    ]


async def test_commits_count_as_failing_from_the_first_one_that_fails(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        assert stage.services.commits.good
        stage.store.away = True
        nursery.start_soon(stage.cast.archive.ask, store_of("a"))
        await trio.testing.wait_all_tasks_blocked()
        assert not stage.services.commits.good
        stage.store.away = False


async def test_a_store_that_is_well_again_is_found_out_without_a_publish(autojump_clock):
    async with open_stage() as stage:
        stage.store.away = True
        with pytest.raises(StoreUnavailable):
            await stage.cast.archive.ask(store_of("a"))
        await trio.sleep(10 * PAUSE_SECONDS)
        assert not stage.services.commits.good
        stage.store.away = False
        await trio.sleep(2 * PAUSE_SECONDS)
        assert stage.services.commits.good


async def statuses(stage, room="lobby"):
    return [row.status for row in await stage.store.read(room, limit=9)]


async def test_a_store_that_fails_is_noticed_although_nobody_publishes(autojump_clock):
    async with open_stage() as stage:
        stage.store.away = True
        await trio.sleep(QUIET_PROBE_SECONDS + 2 * PAUSE_SECONDS)
        assert not stage.services.commits.good


async def test_what_a_room_handed_on_is_marked_by_the_next_commit_of_another_second(
    autojump_clock,
):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        for number in range(3):
            await ann.publish("lobby", str(number))
        assert await statuses(stage) == [0, 0, 0]
        await trio.sleep(0.9 * PAUSE_SECONDS)
        await ann.publish("lobby", "a")
        await trio.sleep(0.9 * PAUSE_SECONDS)
        await ann.publish("lobby", "b")
        assert await statuses(stage) == [1, 1, 1, 1, 0]


async def test_the_last_message_is_marked_when_nobody_says_more(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await ann.publish("lobby", "a")
        await trio.sleep(2 * PAUSE_SECONDS)
        assert await statuses(stage) == [1]


async def test_an_orderly_stop_leaves_nothing_unmarked(autojump_clock):
    store = FakeStore()
    async with open_stage(store) as stage:
        ann = await stage.member("ann", "lobby")
        await ann.publish("lobby", "a")
    assert await store.undispatched(after=0, limit=9) == []


async def test_marks_wait_while_the_store_is_away(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await ann.publish("lobby", "a")
        stage.store.away = True
        await trio.sleep(5 * PAUSE_SECONDS)
        stage.store.away = False
        await trio.sleep(2 * PAUSE_SECONDS)
        assert await statuses(stage) == [1]


async def test_rows_that_a_killed_node_left_are_settled_at_the_next_start(autojump_clock):
    store = FakeStore()
    await store.commit([new_message(str(n), room=f"r{n % 3}") for n in range(1200)])
    async with open_stage(store):
        await trio.sleep(3 * PAUSE_SECONDS)
        assert await store.undispatched(after=0, limit=9) == []


async def test_with_callbacks_fan_out_alone_marks_nothing(autojump_clock):
    store = FakeStore()
    await store.commit([new_message("a")])
    async with open_stage(store) as stage:
        stage.services.watermarks.callbacks = True
        ann = await stage.member("ann", "lobby")
        await ann.publish("lobby", "b")
        await trio.sleep(3 * PAUSE_SECONDS)
        rows = await stage.cast.archive.ask(Undispatched(after=0, limit=9))
        assert rows[-1].offset == 2
        stage.services.watermarks.called_back("lobby", Head("e-lobby", 2))
        await trio.sleep(3 * PAUSE_SECONDS)
        assert await stage.cast.archive.ask(Undispatched(after=0, limit=9)) == []
