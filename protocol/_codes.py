"""Error codes and close codes of version 1, with what each asks of the client.

One table per kind. The numbers are the contract: they are only ever added. A close code's range
says what to do (4000-4499: reconnect, 4500-4999: don't), so a client needs no list of them.
"""

from enum import IntEnum
from typing import Final


class ErrorCode(IntEnum):
    """The `code` of an ERROR or REMOVED."""

    INTERNAL = 100
    UNAUTHORIZED = 101
    UNKNOWN_ROOM = 102
    PERMISSION_DENIED = 103
    UNKNOWN_TYPE = 104
    ALREADY_JOINED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107
    NOT_AVAILABLE = 108
    TOKEN_EXPIRED = 109
    TOO_MANY_REQUESTS = 111
    UNRECOVERABLE_POSITION = 112
    NOT_JOINED = 120
    CONTENT_TOO_LARGE = 121
    KEY_CONFLICT = 122
    ROOM_FULL = 123

    @property
    def temporary(self) -> bool:
        """Whether the same command may succeed later, unchanged."""
        return ERRORS[self][0]

    @property
    def message(self) -> str:
        """The text a peer sees; never that of an exception."""
        return ERRORS[self][1]


ERRORS: Final[dict[ErrorCode, tuple[bool, str]]] = {  # code: (temporary, message)
    ErrorCode.INTERNAL: (True, "internal error"),
    ErrorCode.UNAUTHORIZED: (False, "unauthorized"),
    ErrorCode.UNKNOWN_ROOM: (False, "unknown room"),
    ErrorCode.PERMISSION_DENIED: (False, "permission denied"),
    ErrorCode.UNKNOWN_TYPE: (False, "unknown type"),
    ErrorCode.ALREADY_JOINED: (False, "already joined"),
    ErrorCode.LIMIT_EXCEEDED: (False, "limit exceeded"),
    ErrorCode.BAD_REQUEST: (False, "bad request"),
    ErrorCode.NOT_AVAILABLE: (True, "not available"),
    ErrorCode.TOKEN_EXPIRED: (False, "token expired"),
    ErrorCode.TOO_MANY_REQUESTS: (True, "too many requests"),
    ErrorCode.UNRECOVERABLE_POSITION: (False, "unrecoverable position"),
    ErrorCode.NOT_JOINED: (False, "not joined"),
    ErrorCode.CONTENT_TOO_LARGE: (False, "content too large"),
    ErrorCode.KEY_CONFLICT: (False, "same key with other content"),
    ErrorCode.ROOM_FULL: (False, "room full"),
}


class CloseCode(IntEnum):
    """The status code of a WebSocket close frame (RFC 6455, 7.4)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013

    SHUTDOWN = 4001
    ACTOR_CRASHED = 4002
    TOKEN_EXPIRED = 4003
    SLOW_CONSUMER = 4004
    NO_HEARTBEAT = 4005
    POSITION_LOST = 4006
    RATE_LIMITED = 4007
    UNAVAILABLE = 4008
    REBALANCE = 4009

    INVALID_TOKEN = 4500
    BAD_REQUEST = 4501
    NO_AUTH = 4502
    KICKED = 4503
    CONNECTION_LIMIT = 4504
    ROOM_LIMIT = 4505
    WRONG_FRAME_KIND = 4506
    DENIED = 4507
    TOKEN_REVOKED = 4508
    TOO_MANY_ERRORS = 4509
    SESSION_REPLACED = 4510

    @property
    def reconnect(self) -> bool:
        """Whether the client should connect again by itself."""
        return may_reconnect(self)

    @property
    def reason(self) -> str:
        """The text sent in the close frame; short enough for its 123 bytes (RFC 6455, 5.5)."""
        return CLOSES[self]


CLOSES: Final[dict[CloseCode, str]] = {
    CloseCode.NORMAL: "normal closure",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.UNSUPPORTED_DATA: "unsupported data",
    CloseCode.INVALID_DATA: "invalid UTF-8",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.TRY_AGAIN_LATER: "try again later",
    CloseCode.SHUTDOWN: "shutdown",
    CloseCode.ACTOR_CRASHED: "actor crashed",
    CloseCode.TOKEN_EXPIRED: "token expired",
    CloseCode.SLOW_CONSUMER: "slow consumer",
    CloseCode.NO_HEARTBEAT: "no heartbeat",
    CloseCode.POSITION_LOST: "position lost",
    CloseCode.RATE_LIMITED: "rate limited",
    CloseCode.UNAVAILABLE: "storage or bus unavailable",
    CloseCode.REBALANCE: "rebalance",
    CloseCode.INVALID_TOKEN: "invalid token",
    CloseCode.BAD_REQUEST: "bad request",
    CloseCode.NO_AUTH: "no AUTH in time",
    CloseCode.KICKED: "kicked",
    CloseCode.CONNECTION_LIMIT: "connection limit",
    CloseCode.ROOM_LIMIT: "room limit",
    CloseCode.WRONG_FRAME_KIND: "wrong frame kind",
    CloseCode.DENIED: "denied",
    CloseCode.TOKEN_REVOKED: "token revoked",
    CloseCode.TOO_MANY_ERRORS: "too many errors",
    CloseCode.SESSION_REPLACED: "session replaced",
}

# What a bug or a mismatch of versions caused would only be caused again.
_FINAL_RFC_CODES = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_DATA,
        CloseCode.MESSAGE_TOO_BIG,
    }
)


def may_reconnect(code: int | None) -> bool:
    """Whether a client should connect again after a close with `code`, known to us or not.

    None means that no close frame came at all (1005 and 1006 in other APIs; RFC 6455, 7.1.5): the
    network's doing, so yes.
    """
    if code is None:
        return True
    if 4000 <= code <= 4999:
        return code < 4500
    return code not in _FINAL_RFC_CODES
