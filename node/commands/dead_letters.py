"""What `greenroom callbacks` does: shows the dead-letter list, replays entries, drops them.

Works on the database itself, so it does not matter whether the node runs. The node sends what is
marked: at once when it runs, else after its next start.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Final

import orjson
from sqlalchemy import Connection

from greenroom.node.commands.beside import open_beside
from greenroom.node.errors import DatabaseError
from greenroom.node.settings.record import Settings
from greenroom.node.storage.dead import Entry, drop, entries_of, mark

PAGE: Final = 1_000_000
"""More than the list may hold."""


def show(settings: Settings, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each entry of the node's list, oldest first.

    Raises:
        DatabaseError: The database can't be opened.
    """
    with open_beside(settings) as connection:
        entries = entries_of(connection, settings.name, limit=PAGE)
    line = _as_json if as_json else _as_text
    return (line(entry) for entry in entries)


def replay(settings: Settings, ids: Collection[str] | None) -> str:
    """Mark entries (None: all) to be sent again, and say how many.

    Raises:
        DatabaseError: The database can't be opened, or an id is on no list.
    """
    return f"{_change(settings, ids, mark)} to be sent again"


def discard(settings: Settings, ids: Collection[str] | None) -> str:
    """Take entries (None: all) off the list for good, and say how many.

    Raises:
        DatabaseError: The database can't be opened, or an id is on no list.
    """
    return f"{_change(settings, ids, drop)} dropped"


def _change(
    settings: Settings,
    ids: Collection[str] | None,
    change: Callable[[Connection, str, Collection[str] | None], int],
) -> int:
    with open_beside(settings) as connection:
        if ids is not None:
            known = {
                entry.dead.callback.id
                for entry in entries_of(connection, settings.name, limit=PAGE)
            }
            if not known.issuperset(ids):
                unknown = ", ".join(sorted(set(ids) - known))
                raise DatabaseError(f"not on the dead-letter list of {settings.name}: {unknown}")
        return change(connection, settings.name, ids)


def _as_text(entry: Entry) -> str:
    dead = entry.dead
    since = datetime.fromtimestamp(dead.first_failed_ms / 1000, UTC)
    where = dead.callback.room or "(the node)"
    again = ", to be sent again" if entry.wanted else ""
    return (
        f"{dead.callback.id}  {since:%Y-%m-%d %H:%M:%S}Z  {where}  {dead.callback.events} events  "
        f"{dead.attempts} attempts  {dead.reason}{again}"
    )


def _as_json(entry: Entry) -> str:
    dead = entry.dead
    return orjson.dumps(
        {
            "id": dead.callback.id,
            "room": dead.callback.room,
            "first_failed": dead.first_failed_ms,
            "attempts": dead.attempts,
            "reason": dead.reason,
            "wanted": entry.wanted,
            "body": orjson.Fragment(dead.callback.body),
        }
    ).decode()
