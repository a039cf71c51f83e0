"""What `greenroom migrate` does: brings the database's tables up to date, and says how."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from greenroom.node.datadir import DataDirectory, open_data_directory
from greenroom.node.errors import DatabaseError
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.settings.record import Settings
from greenroom.node.storage import Pool
from greenroom.node.storage.engine import inspect_database, migrate_database, new_epoch

# A step may rewrite a large table, and nobody waits for it but its operator.
PATIENCE = Pool(size=1, statement_seconds=86_400)


def check_migrations(settings: Settings) -> str:
    """Return that nothing is to be done.

    Raises:
        DatabaseError: Something is; or the database can't be opened.
    """
    url, file = _address(settings)
    steps = inspect_database(url, file, PATIENCE)
    if steps:
        lacks = "; ".join(str(step) for step in steps)
        raise DatabaseError(f"database {url or file} lacks {lacks}")
    return f"database {url or file}: up to date"


def run_migrations(settings: Settings, *, replace_epoch: bool) -> Iterator[str]:
    """Do what is to be done, and yield a line for each thing that was.

    Raises:
        DataDirectoryError: A node is running on the directory.
        DatabaseError: The database can't be opened or is not ours.
    """
    url, file = _address(settings)
    epoch = new_epoch()
    # A server's database is shared: the directory's lock says nothing about it.
    with open_data_directory(settings.data) if url is None else nullcontext():
        steps = migrate_database(url, file, PATIENCE, epoch=epoch, replace_epoch=replace_epoch)
    for step in steps:
        yield f"database {url or file}: {step}"
    if not steps:
        yield f"database {url or file}: nothing to migrate"
    if replace_epoch:
        yield f"database {url or file}: all rooms begin the epoch {epoch}"


def _address(settings: Settings) -> tuple[DatabaseUrl | None, Path]:
    return settings.database, DataDirectory(settings.data).database
