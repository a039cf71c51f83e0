"""What is SQLite's own: the file, its pragmas, and trouble with either."""

import sqlite3
import stat

import pytest
from sqlalchemy import text

from greenroom.actors.ports import NewMessage, StoreUnavailable
from greenroom.node.errors import DataDirectoryError
from greenroom.node.storage import SqlStore, open_sqlite
from greenroom.node.storage import engine as engine_module
from greenroom.node.storage.keys import select_known
from greenroom.node.storage.tables import messages


def new(key):
    return NewMessage(
        room="lobby", user="ann", key=key, content="x", timestamp=1, content_hash=b"h" * 32
    )


def test_a_connection_writes_ahead_and_syncs_fully(tmp_path):
    engine = open_sqlite(tmp_path / "a.db", new_epoch="e")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_the_epoch_of_a_database_is_made_once(tmp_path):
    for epoch in ("first", "second"):
        engine = open_sqlite(tmp_path / "a.db", new_epoch=epoch)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT epoch FROM history")).scalar() == "first"
        engine.dispose()


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"this is not a database, but long enough to look like a file" * 20)
    with pytest.raises(DataDirectoryError, match="file is not a database") as caught:
        open_sqlite(path, new_epoch="e")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(DataDirectoryError, match="unable to open database file"):
        open_sqlite(tmp_path, new_epoch="e")


def test_a_database_with_somebody_elses_table_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "a.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE messages (x)")
    with pytest.raises(DataDirectoryError, match="no database of ours: its table messages") as told:
        open_sqlite(path, new_epoch="e")
    assert "\n" not in str(told.value)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("messages",)]
    other.close()


def test_a_new_database_is_for_its_owner_alone(tmp_path):
    engine = open_sqlite(tmp_path / "a.db", new_epoch="e")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}
    engine.dispose()


def test_keys_are_looked_up_by_index(tmp_path):
    """The list of keys is walked and each row is searched; the table is never read through."""
    engine = open_sqlite(tmp_path / "a.db", new_epoch="e")
    query = select_known(engine.dialect, messages.c.id).compile(engine)
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {query}", ("[]", "$[0]", "$[1]", "$[2]")
        ).all()
    steps = [step[-1] for step in plan]
    assert any(step.startswith("SEARCH messages USING") for step in steps), steps
    assert not any(step.startswith("SCAN messages") for step in steps), steps
    engine.dispose()


async def test_a_file_locked_by_others_is_trouble_that_may_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_SECONDS", 0)
    path = tmp_path / "a.db"
    store = SqlStore(open_sqlite(path, new_epoch="e"), node="n")
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
    store = SqlStore(open_sqlite(path, new_epoch="e"), node="n")
    await store.commit([new("a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await store.head("lobby")).offset == 1
    other.close()
    await store.close()
