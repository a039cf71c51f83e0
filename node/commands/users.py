"""What `greenroom user` does: makes accounts, gives them passwords, disables and enables them.

Works on the database itself, so it does not matter whether a node runs. What ends somebody's access
is written together with the revocation of the tokens they have, in one transaction, and the tokens
that were signed before that was to be seen are revoked after it; nodes that run follow within
seconds.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from greenroom.actors.rights.revocations import Revocations
from greenroom.node.commands.beside import open_beside
from greenroom.node.errors import DatabaseError, SettingsError
from greenroom.node.identity.names import NameRefused, clean_account_name, name_key
from greenroom.node.identity.passwords import PasswordRefused, check_new_password, make_argon2
from greenroom.node.settings.record import Settings
from greenroom.node.storage import accounts, revocations
from greenroom.node.storage.accounts import Account, NameTaken


def check_name(name: str) -> str:
    """Return the name of a new account as it is shown.

    Raises:
        SettingsError: No account can have it; the text says why.
    """
    try:
        return clean_account_name(name)
    except NameRefused as refused:
        raise SettingsError(f"{name!r}: {refused}") from None


def add_user(settings: Settings, name: str, password: str) -> str:
    """Make an account, and say so.

    Raises:
        SettingsError: The name or the password can't be one.
        DatabaseError: The name is taken, or the database can't be opened.
    """
    cleaned = check_name(name)
    hashed = _hash(settings, cleaned, password)
    now = time.time()
    account = Account(
        key=name_key(cleaned),
        name=cleaned,
        password_hash=hashed,
        created_ms=int(now * 1000),
        changed_ms=int(now * 1000),
    )
    # It seems to be a development node then, where a guest may have the name.
    guests = settings.jwt_secret is None and not settings.has_issuer
    with open_beside(settings) as connection:
        try:
            accounts.add(connection, account)
        except (NameTaken, IntegrityError):
            raise DatabaseError(f"there is a user {cleaned} already") from None
        if guests:
            _revoke(connection, settings, cleaned)
    if guests:
        _revoke_the_last(settings, cleaned)
    return f"user {cleaned}: added"


def change_password(settings: Settings, name: str, password: str) -> str:
    """Give an account another password, end the tokens it has, and say so.

    Raises:
        SettingsError: The password can't be one.
        DatabaseError: There is no such user, or the database can't be opened.
    """
    hashed = _hash(settings, name, password)
    now = time.time()
    with open_beside(settings) as connection:
        account = _find(connection, name)
        accounts.set_password(connection, account.key, hashed, changed_ms=int(now * 1000))
        _revoke(connection, settings, account.name)
    _revoke_the_last(settings, account.name)
    return f"user {account.name}: password changed, and signed out everywhere"


def set_disabled(settings: Settings, name: str, *, disabled: bool) -> str:
    """Disable an account and end the tokens it has, or enable it; and say so.

    Raises:
        DatabaseError: There is no such user, or the database can't be opened.
    """
    with open_beside(settings) as connection:
        account = _find(connection, name)
        accounts.set_disabled(connection, account.key, disabled=disabled)
        if disabled:
            _revoke(connection, settings, account.name)
    if disabled:
        _revoke_the_last(settings, account.name)
        return f"user {account.name}: disabled, and signed out everywhere"
    return f"user {account.name}: enabled"


def list_users(settings: Settings, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each account, by name.

    Raises:
        DatabaseError: The database can't be opened.
    """
    with open_beside(settings) as connection:
        found = accounts.list_accounts(connection)
    line = _as_json if as_json else _as_text
    return (line(account) for account in found)


def require_user(settings: Settings, name: str) -> str:
    """Return the name of a user as it is shown, before a password is asked for.

    Raises:
        DatabaseError: There is no such user, or the database can't be opened.
    """
    with open_beside(settings) as connection:
        return _find(connection, name).name


def _hash(settings: Settings, name: str, password: str) -> str:
    try:
        checked = check_new_password(password, name=name, least=settings.password_characters)
    except PasswordRefused as refused:
        raise SettingsError(str(refused)) from None
    return make_argon2(settings.hash_cost).hash(checked)


def _find(connection: Connection, name: str) -> Account:
    account = accounts.find(connection, name_key(name))
    if account is None:
        raise DatabaseError(f"there is no user {name!r}")
    return account


def _revoke(connection: Connection, settings: Settings, user: str) -> None:
    now = time.time()
    known = Revocations(keep_seconds=settings.revocation_seconds)
    revocations.add(connection, [known.of_user(user, now=now)], now_ms=int(now * 1000))


def _revoke_the_last(settings: Settings, user: str) -> None:
    """End the tokens that a node has signed before it could see what was done."""
    with open_beside(settings) as connection:
        _revoke(connection, settings, user)


def _as_text(account: Account) -> str:
    created = datetime.fromtimestamp(account.created_ms / 1000, UTC)
    state = "disabled" if account.disabled else "enabled "
    return f"{state}  {created:%Y-%m-%d %H:%M}Z  {account.name}"


def _as_json(account: Account) -> str:
    return orjson.dumps(
        {
            "name": account.name,
            "disabled": account.disabled,
            "created": account.created_ms,
            "password_changed": account.changed_ms,
        }
    ).decode()
