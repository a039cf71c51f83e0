"""Which message goes which way under which `type`: tables that codecs and docs are built from."""

from typing import Final, TypeAlias

from greenroom.protocol._commands import (
    Auth,
    Heartbeat,
    History,
    Join,
    Leave,
    Presence,
    Publish,
    Refresh,
    Typing,
)
from greenroom.protocol._pushes import (
    Drain,
    Error,
    Gap,
    Joined,
    Left,
    Message,
    Removed,
    TokenExpiring,
    TypingPush,
)
from greenroom.protocol._replies import (
    Ack,
    AuthOk,
    HistoryOk,
    JoinOk,
    Ok,
    PresenceOk,
    RefreshOk,
)

Command: TypeAlias = (
    Auth | Refresh | Join | Leave | Publish | Typing | History | Presence | Heartbeat
)
"""What a client sends."""

Reply: TypeAlias = AuthOk | RefreshOk | JoinOk | Ok | Ack | HistoryOk | PresenceOk
"""What answers a command, by its `id`. An `Error` with an `id` does too."""

Push: TypeAlias = (
    Message | Joined | Left | TypingPush | TokenExpiring | Removed | Gap | Drain | Heartbeat | Error
)
"""What a node sends unasked."""

Answer: TypeAlias = Reply | Push
"""What a client receives."""

COMMANDS: Final[dict[str, type[Command]]] = {
    "AUTH": Auth,
    "REFRESH": Refresh,
    "JOIN": Join,
    "LEAVE": Leave,
    "PUBLISH": Publish,
    "TYPING": Typing,
    "HISTORY": History,
    "PRESENCE": Presence,
    "HEARTBEAT": Heartbeat,
}

REPLIES: Final[dict[str, type[Reply]]] = {
    "AUTH_OK": AuthOk,
    "REFRESH_OK": RefreshOk,
    "JOIN_OK": JoinOk,
    "OK": Ok,
    "ACK": Ack,
    "HISTORY_OK": HistoryOk,
    "PRESENCE_OK": PresenceOk,
}

PUSHES: Final[dict[str, type[Push]]] = {
    "MESSAGE": Message,
    "JOINED": Joined,
    "LEFT": Left,
    "TYPING": TypingPush,
    "TOKEN_EXPIRING": TokenExpiring,
    "REMOVED": Removed,
    "GAP": Gap,
    "DRAIN": Drain,
    "HEARTBEAT": Heartbeat,
    "ERROR": Error,
}

ANSWERS: Final[dict[str, type[Answer]]] = {**REPLIES, **PUSHES}

TAGS: Final[dict[type[Command] | type[Answer], str]] = {
    message: tag for table in (COMMANDS, ANSWERS) for tag, message in table.items()
}
"""The `type` of each class: `Typing` and `TypingPush` share one, each in its direction."""
