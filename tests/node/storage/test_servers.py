"""PostgreSQL and MariaDB: many writers, other people's locks, and connections that are lost."""

import contextlib
import random

import pytest
import sqlalchemy
import trio
from sqlalchemy import insert, text
from support.cast_pieces import new_message
from support.cast_stage import until
from support.databases import ENGINES, POOL, Place, address, through
from support.patience import PATIENCE_SECONDS
from support.proxy import open_proxy

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.storage import Pool, SqlStore
from greenroom.node.storage.dialect import as_list
from greenroom.node.storage.tables import messages, rooms

pytestmark = [
    pytest.mark.service,
    pytest.mark.parametrize("place", ENGINES[1:], indirect=True),
]
IMPATIENT = Pool(size=2, statement_seconds=1.0)
# Not the end of READ COMMITTED.
COMMIT = {"postgresql": b"COMMIT\0", "mariadb": b"\x03COMMIT"}


async def commit_stubbornly(store, batch):
    """As the archive does: the same batch again, while nobody knows."""
    while True:
        try:
            return await store.commit(batch)
        except StoreUnavailable:
            await trio.sleep(0.01)


async def test_two_stores_number_the_same_rooms_without_holes_or_doubles(place):
    """60 batches from each of two nodes into 8 new rooms, in any order; every key by both."""
    rng = random.Random(7)
    batches = [
        [new_message(f"{n}-{i}", key=f"{n}-{i}", room=f"r{rng.randrange(8)}") for i in range(12)]
        for n in range(60)
    ]
    outcomes = []

    async def run(store, own):
        for batch in own:
            outcomes.extend(await commit_stubbornly(store, batch))

    async with place.open() as one, place.open() as two, trio.open_nursery() as nursery:
        for store in (one, two):
            for part in range(2):
                own = [rng.sample(batch, len(batch)) for batch in batches[part::2]]
                nursery.start_soon(run, store, own)
    first = [outcome for outcome in outcomes if not outcome.duplicate]
    assert len(first) == 60 * 12
    assert len({outcome.message.message_id for outcome in first}) == len(first)
    by_room: dict[str, list[int]] = {}
    for outcome in first:
        by_room.setdefault(outcome.message.room, []).append(outcome.message.offset)
    for offsets in by_room.values():
        assert sorted(offsets) == list(range(1, len(offsets) + 1))


async def test_keys_are_looked_up_by_index(place):
    database = place.database()
    row = {
        "epoch": "e",
        "content": "x",
        "content_hash": b"h",
        "timestamp": 1,
        "node": "n",
        "status": 1,
    }
    rows = [
        {"room": f"r{n % 50}", "offset": n, "user": "ann", "key": f"k{n}"} | row
        for n in range(5_000)
    ]
    query = database.dialect.select_known(messages.c.id)
    keys = [(f"r{n % 50}", "ann", f"k{n}") for n in range(100)]
    with database.engine.connect() as connection:
        if place.name == "postgresql":  # that few rows are read faster than looked up
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(insert(messages), rows)
        connection.execute(
            text(
                {"postgresql": "ANALYZE messages", "mariadb": "ANALYZE TABLE messages"}[place.name]
            )
        )
        compiled = str(query.compile(database.engine))
        explained = connection.exec_driver_sql(f"EXPLAIN {compiled}", as_list(keys)).all()
        connection.rollback()
    plan = "\n".join(" ".join(str(cell) for cell in line) for line in explained)
    assert "uq_messages_room_user_key" in plan, plan
    assert "Seq Scan on messages" not in plan, plan
    database.engine.dispose()


async def test_rows_locked_by_others_are_trouble_that_passes(place):
    async with place.open(IMPATIENT) as store:
        await store.commit([new_message("a", key="a")])
        other = place.database(POOL).engine
        with other.connect() as connection:
            connection.execute(sqlalchemy.select(rooms).with_for_update())
            with pytest.raises(StoreUnavailable):
                await store.commit([new_message("b", key="b")])
            assert (await store.head("lobby")).offset == 1
        other.dispose()
        (outcome,) = await store.commit([new_message("b", key="b")])
        assert (outcome.message.offset, outcome.duplicate) == (2, False)


async def test_a_commit_whose_answer_is_lost_is_found_again_by_its_keys(place):
    """The server has committed, the node has not heard: the same batch brings the first rows."""
    async with open_proxy(*address(place.url)) as proxy:
        routed = Place(name=place.name, url=through(place.url, proxy), file=place.file)
        async with routed.open() as store:
            await store.commit([new_message("a", key="a")])
            proxy.swallow_answer_to = COMMIT[place.name]
            batch = [new_message(key, key=key) for key in "bc"]
            with pytest.raises(StoreUnavailable):
                await store.commit(batch)
            again = await store.commit(batch)
            assert [(o.message.offset, o.duplicate) for o in again] == [(2, True), (3, True)]
            assert (await store.head("lobby")).offset == 3


async def test_a_server_that_was_away_is_used_again_without_a_restart(place):
    async with open_proxy(*address(place.url)) as proxy:
        routed = Place(name=place.name, url=through(place.url, proxy), file=place.file)
        async with routed.open() as store:
            await store.commit([new_message("a", key="a")])
            proxy.go_away()
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await store.commit([new_message("b", key="b")])
                with pytest.raises(StoreUnavailable):
                    await store.probe()
            proxy.come_back()
            (outcome,) = await store.commit([new_message("b", key="b")])
            assert (outcome.message.offset, outcome.duplicate) == (2, False)


async def test_a_server_that_hangs_holds_no_thread_for_ever(place):
    """Answers within the statement's time and a second, although nothing comes back at all."""
    async with open_proxy(*address(place.url)) as proxy:
        routed = Place(name=place.name, url=through(place.url, proxy), file=place.file)
        async with routed.open(IMPATIENT) as store:
            await store.commit([new_message("a", key="a")])
            proxy.stall()
            with trio.fail_after(PATIENCE_SECONDS), pytest.raises(StoreUnavailable):
                await store.commit([new_message("b", key="b")])
            proxy.flow()
            (outcome,) = await store.commit([new_message("b", key="b")])
            assert outcome.message.offset == 2


async def test_who_waits_too_long_for_a_connection_is_told(place):
    database = place.database(Pool(size=1, wait_seconds=0.05))
    store = SqlStore(database, node="test")
    other = place.database(POOL).engine
    await store.commit([new_message("a", key="a")])
    with other.connect() as connection:
        connection.execute(sqlalchemy.select(rooms).with_for_update())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [new_message("b", key="b")])
            await until(lambda: database.engine.pool.checkedout() == 1)
            with pytest.raises(StoreUnavailable, match="no connection got free"):
                await store.head("lobby")
            connection.rollback()
    await store.close()
    other.dispose()


KILL_ALL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT id FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
}


async def test_connections_killed_at_any_moment_cost_nothing(place):
    """As when the server is restarted: 40 batches, every connection killed some 20 times."""
    batches = [[new_message(f"{n}-{i}", key=f"{n}-{i}") for i in range(5)] for n in range(40)]
    killer = place.database().engine

    def kill() -> None:
        with killer.connect() as connection:
            killed = connection.execute(text(KILL_ALL[place.name])).scalars().all()
            if place.name == "mariadb":
                for number in killed:
                    with contextlib.suppress(sqlalchemy.exc.DBAPIError):  # it has gone by itself
                        connection.exec_driver_sql(f"KILL {number}")

    async with place.open() as store, trio.open_nursery() as nursery:

        async def kill_again_and_again() -> None:
            for _ in range(20):
                await trio.sleep(0.015)
                await trio.to_thread.run_sync(kill)

        nursery.start_soon(kill_again_and_again)
        for batch in batches:
            outcomes = await commit_stubbornly(store, batch)
            assert [outcome.message.key for outcome in outcomes] == [m.key for m in batch]
    async with place.open() as store:
        rows = await store.read("lobby", after=0, limit=1_000)
        assert [row.offset for row in rows] == list(range(1, 201))
        assert [row.key for row in rows] == [m.key for batch in batches for m in batch]
    killer.dispose()
