"""Who may do what in which room: the one place that decides, pure, from a table.

Today there are public and ephemeral rooms, and both are open to every authenticated user. Further
kinds are further rows here; nobody else asks what kind a room is in order to refuse something.
"""

import enum
from typing import Final

from greenroom.protocol import Claims, ErrorCode


class RoomKind(enum.Enum):
    """What a room's name says about it."""

    PUBLIC = "public"
    """Stored, open to every authenticated user."""
    EPHEMERAL = "ephemeral"
    """The same, but nothing is stored: at most once."""


class Action(enum.Enum):
    """What a client wants to do with a room."""

    JOIN = "join"
    PUBLISH = "publish"
    READ = "read"
    """HISTORY, and what JOIN with `since` brings."""


# None: allowed.
RULES: Final[dict[tuple[RoomKind, Action], ErrorCode | None]] = {
    (RoomKind.PUBLIC, Action.JOIN): None,
    (RoomKind.PUBLIC, Action.PUBLISH): None,
    (RoomKind.PUBLIC, Action.READ): None,
    (RoomKind.EPHEMERAL, Action.JOIN): None,
    (RoomKind.EPHEMERAL, Action.PUBLISH): None,
    (RoomKind.EPHEMERAL, Action.READ): None,
}


def room_kind(room: str, *, ephemeral_prefix: str) -> RoomKind:
    """The kind of `room`, by its name alone: every node comes to the same answer."""
    if ephemeral_prefix and room.startswith(ephemeral_prefix):
        return RoomKind.EPHEMERAL
    return RoomKind.PUBLIC


def refusal(action: Action, kind: RoomKind, claims: Claims) -> ErrorCode | None:  # noqa: ARG001
    """The error that answers `action`, or None. `claims` matter as soon as a kind is private."""
    return RULES[kind, action]
