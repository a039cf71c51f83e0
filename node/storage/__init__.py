"""Storage adapters: the history of rooms in a relational database, behind `actors.ports`."""

from greenroom.node.storage.engine import open_sqlite
from greenroom.node.storage.store import SqlStore

__all__ = ["SqlStore", "open_sqlite"]
