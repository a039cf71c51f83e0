"""Brings a database's tables to what this code expects, step by step, and says which.

The steps are Alembic revisions in `migrations`. A database that was made before there were any is
adopted as the first of them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, cast

import attrs
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text, update

from greenroom.node.errors import DatabaseError
from greenroom.node.storage.tables import history, messages, rooms

FIRST_REVISION: Final = "0001"
FIRST_TABLES: Final = {
    "history": {"id", "epoch"},
    "rooms": {"room", "epoch", "offset"},
    "messages": {
        "id",
        "room",
        "epoch",
        "offset",
        "user",
        "key",
        "content",
        "content_hash",
        "timestamp",
        "node",
        "status",
    },
}
"""What the first revision looks like: a table of the right name passes for ours otherwise."""
LOCKS: Final = {
    "postgresql": "SELECT pg_advisory_xact_lock(7177067)",
    "mysql": "SELECT GET_LOCK('greenroom_migrate', 60)",
    "mariadb": "SELECT GET_LOCK('greenroom_migrate', 60)",
}
"""Two that migrate at once wait for each other; SQLite's write transaction does it by itself."""


@attrs.frozen
class Step:
    """One revision."""

    revision: str
    what: str
    """What it does, in a line."""

    def __str__(self) -> str:
        return f"{self.revision}: {self.what}"


def pending(connection: Connection) -> Sequence[Step]:
    """Return the steps that the database lacks, in order.

    Raises:
        DatabaseError: It is a newer node's, or its tables are somebody else's.
    """
    scripts = _scripts()
    present = _revision(connection)
    steps: list[Step] = []
    for script in scripts.walk_revisions():
        if script.revision == present:
            return steps[::-1]
        steps.append(Step(script.revision, (script.doc or "").splitlines()[0]))
    if present is not None:
        raise DatabaseError(
            f"its tables are of revision {present}, which a newer greenroom made; this one knows "
            f"{scripts.get_current_head()}"
        )
    return steps[::-1]


def migrate(connection: Connection, *, epoch: str) -> Sequence[Step]:
    """Do all steps that are pending, in the connection's transaction, and return them.

    Args:
        connection: In a transaction that writes.
        epoch: The epoch of the whole history, should this be its beginning.

    Raises:
        DatabaseError: As `pending`.
    """
    lock = LOCKS.get(connection.dialect.name)
    if lock is not None:
        connection.execute(text(lock))
    steps = pending(connection)
    if steps:
        _run(connection)
    if connection.execute(select(history.c.epoch)).scalar() is None:
        connection.execute(insert(history).values(id=1, epoch=epoch))
    return steps


def begin_epoch(connection: Connection, epoch: str) -> None:
    """Give all rooms and all that was said in them a new epoch; offsets go on from where they are.

    For a history that was put back from a backup: clients may have seen messages that are not in it
    any more, and their positions must not pass for positions in this one.
    """
    for table in (history, rooms, messages):
        connection.execute(update(table).values(epoch=epoch))


def _revision(connection: Connection) -> str | None:
    """Return where the database stands; None where it has no tables of ours."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None:
        return revision
    inspector = inspect(connection)
    there = set(inspector.get_table_names()) & FIRST_TABLES.keys()
    if not there:
        return None
    for table in sorted(FIRST_TABLES):
        found = (
            {column["name"] for column in inspector.get_columns(table)}
            if table in there
            else set[str]()
        )
        if found != FIRST_TABLES[table]:
            raise DatabaseError(
                f"it is no database of ours: its table {table} has the columns "
                f"{', '.join(sorted(found)) or 'of none: it is missing'}"
            )
    return FIRST_REVISION


def _run(connection: Connection) -> None:
    scripts = _scripts()
    present = _revision(connection)  # without Alembic's own table, the first
    context = EnvironmentContext(_config(), scripts)

    # Any: Alembic's own, handed through. Its types do not know that None is the beginning.
    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(
            "head", cast("str", revision or present)
        )  # as its own commands do

    context.configure(connection=connection, fn=steps, transactional_ddl=True)
    context.run_migrations()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "greenroom.node.storage:migrations")
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
