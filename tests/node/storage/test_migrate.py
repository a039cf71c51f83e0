"""From an empty or an old database to the tables that the code expects, on each engine."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select
from support.databases import ENGINES, Place, new_database

from greenroom.node.errors import DatabaseError
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.storage import Pool, SqlStore, open_database
from greenroom.node.storage.engine import inspect_database, migrate_database
from greenroom.node.storage.tables import METADATA, accounts, history, messages, rooms

OLD = Path(__file__).with_name("old_history.sql")
HEAD = "0006"


@pytest.fixture(params=ENGINES)
def empty(request, tmp_path):
    """A database without any tables."""
    file = tmp_path / "greenroom.db"
    if request.param == "sqlite":
        yield Place(name="sqlite", url=None, file=file)
        return
    with new_database(request.param) as url:
        yield Place(name=request.param, url=url, file=file)


def migrated(place: Place, **options) -> list[str]:
    steps = migrate_database(place.url, place.file, Pool(), **({"epoch": "e1"} | options))
    return [step.revision for step in steps]


def test_the_steps_make_what_the_code_expects_and_only_once(empty):
    assert migrated(empty) == ["0001", "0002", "0003", "0004", "0005", "0006"]
    assert migrated(empty, epoch="e2") == []
    assert inspect_database(empty.url, empty.file, Pool()) == []
    database = open_database(empty.url, empty.file, Pool())
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []
        assert connection.execute(select(history.c.epoch)).scalar() == "e1"
    database.engine.dispose()


def recorded(path: Path) -> None:
    """A file as the first nodes made it: two rooms, three messages, no revision."""
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.close()


async def test_a_file_from_before_there_were_migrations_is_adopted_when_a_node_starts(tmp_path):
    path = tmp_path / "greenroom.db"
    recorded(path)
    database = open_database(None, path, Pool())
    assert [step.revision for step in database.migrated] == ["0002", "0003", "0004", "0005", "0006"]
    store = SqlStore(database, node="n")
    assert [(m.offset, m.content) for m in await store.read("lobby", limit=9)] == [
        (1, "hello"),
        (2, "grüße 🌱"),
    ]
    assert (await store.head("other")).offset == 1
    assert await store.undispatched(after=0, limit=9) == []
    await store.close()


@pytest.mark.parametrize("empty", ENGINES[1:], indirect=True)
def test_a_server_s_database_is_not_migrated_by_a_start(empty):
    with pytest.raises(
        DatabaseError, match="lacks the migrations 0001, 0002, 0003, 0004, 0005, 0006: run"
    ):
        open_database(empty.url, empty.file, Pool())
    assert len(inspect_database(empty.url, empty.file, Pool())) == 6


def test_a_newer_node_s_database_is_refused(tmp_path):
    path = tmp_path / "greenroom.db"
    open_database(None, path, Pool()).engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match=f"revision 9999, which a newer .* knows {HEAD}"):
        open_database(None, path, Pool())


def test_a_new_epoch_reaches_every_room_and_leaves_offsets_and_messages(tmp_path):
    path = tmp_path / "greenroom.db"
    recorded(path)
    migrate_database(None, path, Pool(), epoch="after", replace_epoch=True)
    engine = open_database(None, path, Pool()).engine
    with engine.connect() as connection:
        for table in (history, rooms, messages):
            assert set(connection.execute(select(table.c.epoch)).scalars()) == {"after"}
        assert connection.execute(select(rooms.c.offset)).scalars().all() == [2, 1]
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
def test_a_server_that_is_away_is_one_line_without_the_password(scheme, tmp_path):
    url = DatabaseUrl(f"{scheme}://ann:s3cret@127.0.0.1:1/chat")
    with pytest.raises(DatabaseError) as caught:
        open_database(url, tmp_path / "a.db", Pool(statement_seconds=1))
    line = str(caught.value)
    assert line.startswith(f"database {scheme}://ann:***@127.0.0.1:1/chat: ")
    assert "refused" in line
    assert "s3cret" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("scheme", "module", "extra"),
    [("postgresql", "postgres", "postgres"), ("mariadb", "mariadb", "mariadb")],
)
def test_a_driver_that_is_missing_is_one_line_that_names_the_extra(
    monkeypatch, tmp_path, scheme, module, extra
):
    monkeypatch.setitem(__import__("sys").modules, f"greenroom.node.storage.{module}", None)
    with pytest.raises(DatabaseError, match=rf"pip install 'greenroom\[{extra}\]'"):
        open_database(DatabaseUrl(f"{scheme}://a@b/c"), tmp_path / "a.db", Pool())


def test_a_driver_s_engine_says_what_it_was_asked_for(tmp_path):
    """Types that every engine compares byte by byte."""
    for name, kind in (("postgresql", '"C"'), ("mariadb", "utf8mb4_nopad_bin")):
        dialect = sqlalchemy.create_engine(
            {"postgresql": "postgresql+psycopg://", "mariadb": "mariadb+pymysql://"}[name]
        ).dialect
        assert kind in rooms.c.room.type.compile(dialect)


@pytest.mark.parametrize("empty", ["mariadb"], indirect=True)
@pytest.mark.service
def test_mariadb_compares_every_text_of_a_key_byte_by_byte_spaces_at_its_end_too(empty):
    """Nobody outside chooses an epoch, or the name of a node."""
    migrated(empty)
    engine = open_database(empty.url, empty.file, Pool()).engine
    query = sqlalchemy.text(
        "SELECT CONCAT(table_name, '.', column_name), collation_name"
        " FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name <> 'alembic_version' AND data_type = 'varchar'"
    )
    with engine.connect() as connection:
        collations = dict(list(connection.execute(query)))
    engine.dispose()
    others = {name for name, kind in collations.items() if kind != "utf8mb4_nopad_bin"}
    assert others == {
        "dead_callbacks.reason",
        "history.epoch",
        "messages.epoch",
        "messages.node",
        "rooms.epoch",
    }


@pytest.mark.parametrize("empty", ["mariadb"], indirect=True)
@pytest.mark.service
def test_names_that_were_compared_without_spaces_on_mariadb_are_told_apart_from_then_on(empty):
    migrated(empty)
    engine = open_database(empty.url, empty.file, Pool()).engine
    with engine.begin() as connection:
        for statement in (
            "ALTER TABLE accounts MODIFY name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL",
            "UPDATE alembic_version SET version_num = '0005'",
        ):
            connection.execute(sqlalchemy.text(statement))
        row = {"key": "ann", "password": "", "disabled": 0, "created": 1, "password_changed": 1}
        connection.execute(sqlalchemy.insert(accounts), [row | {"name": "Ann"}])

    def found(name: str) -> int:
        with engine.connect() as connection:
            query = select(accounts.c.key).where(accounts.c.name == name)
            return len(connection.execute(query).all())

    assert (found("Ann"), found("Ann ")) == (1, 1)
    assert migrated(empty) == ["0006"]
    assert (found("Ann"), found("Ann ")) == (1, 0)
    engine.dispose()
