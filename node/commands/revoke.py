"""What `greenroom revoke` does: writes a revocation into the database, where running nodes find it.

A process that holds the node itself calls `revoking.Revoker` instead, which is at once.
"""

import time

from greenroom.actors.rights.revocations import Revocations
from greenroom.node.commands.beside import open_beside
from greenroom.node.errors import SettingsError
from greenroom.node.settings.record import Settings
from greenroom.node.storage.revocations import add


def throw_out(settings: Settings, *, user: str | None, token_id: str | None) -> str:
    """Revoke a user or a token, and say so.

    Raises:
        SettingsError: Not one of the two, or one that can't be.
        DatabaseError: The database can't be opened or written.
    """
    if (user is None) is (token_id is None):
        raise SettingsError("name either a --user or a --token-id")
    _write(settings, user, token_id)
    if user is not None:
        # The tokens that a node has renewed before the first was to be seen.
        _write(settings, user, token_id)
    whom = f"user {user}" if user is not None else f"token {token_id}"
    return f"{whom}: revoked; running nodes follow within a few seconds"


def _write(settings: Settings, user: str | None, token_id: str | None) -> None:
    now = time.time()
    known = Revocations(keep_seconds=settings.revocation_seconds)
    try:
        if user is not None:
            revocation = known.of_user(user, now=now)
        else:
            revocation = known.of_token(token_id or "", expires=None, now=now)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    with open_beside(settings) as connection:
        add(connection, [revocation], now_ms=int(now * 1000))
