"""What is SQLite's own: the file, its pragmas, and trouble with either."""

import sqlite3
import stat

import pytest
from sqlalchemy import text

from greenroom.actors.ports import Head, NewMessage, StoreUnavailable
from greenroom.node.errors import DatabaseError
from greenroom.node.storage import Pool, SqlStore, open_database
from greenroom.node.storage.store import _LOWEST_UNDISPATCHED


def new(key, content="x"):
    return NewMessage(
        room="lobby", user="ann", key=key, content=content, timestamp=1, content_hash=b"h" * 32
    )


def opened(path, *, epoch="e", **pool):
    return open_database(None, path, Pool(**pool), epoch=epoch)


def test_a_connection_writes_ahead_and_syncs_fully(tmp_path):
    engine = opened(tmp_path / "a.db").engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_the_epoch_of_a_database_is_made_once(tmp_path):
    for epoch in ("first", "second"):
        engine = opened(tmp_path / "a.db", epoch=epoch).engine
        with engine.connect() as connection:
            assert connection.execute(text("SELECT epoch FROM history")).scalar() == "first"
        engine.dispose()


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"this is not a database, but long enough to look like a file" * 20)
    with pytest.raises(DatabaseError, match="file is not a database") as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(DatabaseError, match="unable to open database file"):
        opened(tmp_path)


def test_a_database_with_somebody_elses_table_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "a.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE messages (x)")
    with pytest.raises(DatabaseError, match="no database of ours: its table history") as told:
        opened(path)
    assert "\n" not in str(told.value)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("messages",)]
    other.close()


def test_a_new_database_is_for_its_owner_alone(tmp_path):
    engine = opened(tmp_path / "a.db").engine
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}
    engine.dispose()


async def test_a_file_locked_by_others_is_trouble_that_may_pass(tmp_path):
    path = tmp_path / "a.db"
    store = SqlStore(opened(path, statement_seconds=0.01), node="n")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.commit([new("a")])
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.probe()
    other.execute("ROLLBACK")
    other.close()
    (outcome,) = await store.commit([new("a")])
    assert (outcome.message.offset, outcome.duplicate) == (1, False)
    await store.close()


async def test_reading_goes_on_while_another_writes(tmp_path):
    path = tmp_path / "a.db"
    store = SqlStore(opened(path), node="n")
    await store.commit([new("a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await store.head("lobby")).offset == 1
    other.close()
    await store.close()


async def test_a_full_disk_is_trouble_that_may_pass_and_stores_nothing(tmp_path):
    """A limit on the file's pages stands in for the disk's end: SQLite says the same of both."""
    database = opened(tmp_path / "a.db", size=1)
    store = SqlStore(database, node="n")
    await store.commit([new("a")])
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    large = [new(str(number), "x" * 1000) for number in range(100)]
    with pytest.raises(StoreUnavailable, match="full"):
        await store.commit(large)
    assert await store.head("lobby") == Head("e", 1)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    outcomes = await store.commit(large)
    assert [outcome.message.offset for outcome in outcomes] == list(range(2, 102))
    await store.close()


def test_what_is_undispatched_is_found_without_reading_the_history(tmp_path):
    engine = opened(tmp_path / "a.db").engine
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {_LOWEST_UNDISPATCHED.compile(engine)}", (1,)
        ).all()
    steps = [step[-1] for step in plan]
    assert not any(step.startswith("SCAN messages") for step in steps), steps
    engine.dispose()


async def test_ids_go_on_where_deleted_rows_have_left_off(tmp_path):
    database = opened(tmp_path / "a.db")
    store = SqlStore(database, node="n")
    (first,) = await store.commit([new("a")])
    with database.engine.connect() as connection:
        connection.execute(text("DELETE FROM messages"))
        connection.commit()
    (second,) = await store.commit([new("b")])
    assert second.message.message_id > first.message.message_id
    await store.close()
