"""Storage adapters: what a node keeps in a relational database, behind the ports of `actors`."""

from greenroom.node.storage.accounts import SqlAccounts
from greenroom.node.storage.dead import SqlDeadCallbacks
from greenroom.node.storage.dialect import Pool
from greenroom.node.storage.engine import Database, open_database
from greenroom.node.storage.revocations import SqlRevocations
from greenroom.node.storage.store import SqlStore

__all__ = [
    "Database",
    "Pool",
    "SqlAccounts",
    "SqlDeadCallbacks",
    "SqlRevocations",
    "SqlStore",
    "open_database",
]
