"""The accounts in a node's database: `AccountStore`, and what its operator does with them.

All nodes on a database share them. An operator's command works on the table itself, whether a node
runs or not: a node looks an account up each time it needs one, and keeps none in memory.
"""

import attrs
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from greenroom.node.storage.store import SqlStore
from greenroom.node.storage.tables import accounts

_ACCOUNT = (
    accounts.c.key,
    accounts.c.name,
    accounts.c.password,
    accounts.c.disabled,
    accounts.c.created,
    accounts.c.password_changed,
)


@attrs.frozen(kw_only=True)
class Account:
    """One user's account."""

    key: str
    """What all spellings of the name have in common; see `names.name_key`."""
    name: str
    """As it is shown, and as tokens have it."""
    password_hash: str = attrs.field(repr=False)
    """Argon2's encoded form."""
    disabled: bool = False
    created_ms: int
    changed_ms: int
    """When the password became what it is; both ms since 1970."""


class NameTaken(Exception):
    """There is an account of that name already, or of another spelling of it."""


class SqlAccounts:
    """The accounts in a store's database.

    Each method raises `StoreUnavailable` for trouble that may pass.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def find(self, key: str) -> Account | None:
        """Return the account with this key; see `AccountStore.find`."""
        return await self._store.look(lambda connection: find(connection, key))

    async def add(self, account: Account) -> None:
        """Make an account; see `AccountStore.add`."""
        try:
            await self._store.run(lambda connection: add(connection, account))
        except IntegrityError:  # another one was made meanwhile
            raise NameTaken(account.name) from None

    async def replace_password(self, key: str, *, old: str, new: str, changed_ms: int) -> bool:
        """Put a hash in the place of another; see `AccountStore.replace_password`."""
        return await self._store.run(
            lambda connection: set_password(
                connection, key, new, changed_ms=changed_ms, instead_of=old
            )
        )


def find(connection: Connection, key: str) -> Account | None:
    """Return the account with this key, None where there is none."""
    row = connection.execute(select(*_ACCOUNT).where(accounts.c.key == key)).first()
    return None if row is None else _account(row)


def add(connection: Connection, account: Account) -> None:
    """Make an account.

    Raises:
        NameTaken: There is one with its key.
        IntegrityError: Somebody else is making one at this moment.
    """
    if find(connection, account.key) is not None:
        raise NameTaken(account.name)
    connection.execute(
        insert(accounts).values(
            key=account.key,
            name=account.name,
            password=account.password_hash,
            disabled=int(account.disabled),
            created=account.created_ms,
            password_changed=account.changed_ms,
        )
    )


def set_password(
    connection: Connection,
    key: str,
    password_hash: str,
    *,
    changed_ms: int,
    instead_of: str | None = None,
) -> bool:
    """Write a hash, and return whether there was an account to write it to.

    Args:
        connection: In a transaction that writes.
        key: The account's.
        password_hash: The new one.
        changed_ms: When the password became what it is.
        instead_of: Write only where this one stands now.
    """
    change = update(accounts).where(accounts.c.key == key)
    if instead_of is not None:
        change = change.where(accounts.c.password == instead_of)
    change = change.values(password=password_hash, password_changed=changed_ms)
    return connection.execute(change).rowcount > 0


def set_disabled(connection: Connection, key: str, *, disabled: bool) -> bool:
    """Write whether an account is disabled, and return whether there is one."""
    # Looked up: MariaDB counts the rows that it changed, and this one may stand so already.
    if find(connection, key) is None:
        return False
    change = update(accounts).where(accounts.c.key == key)
    connection.execute(change.values(disabled=int(disabled)))
    return True


def list_accounts(connection: Connection) -> list[Account]:
    """Return all accounts, by name."""
    rows = connection.execute(select(*_ACCOUNT).order_by(accounts.c.key))
    return [_account(row) for row in rows]


def _account(row: Row[str, str, str, int, int, int]) -> Account:
    key, name, password_hash, disabled, created_ms, changed_ms = row
    return Account(
        key=key,
        name=name,
        password_hash=password_hash,
        disabled=bool(disabled),
        created_ms=created_ms,
        changed_ms=changed_ms,
    )
