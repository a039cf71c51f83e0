"""What a node sends unasked."""

from enum import StrEnum

import attrs

from greenroom.protocol._codes import ErrorCode
from greenroom.protocol._fields import (
    Code,
    Content,
    Count,
    Label,
    MessageId,
    Milliseconds,
    Offset,
    RequestId,
    RoomName,
    UnixMilliseconds,
    UserName,
)


@attrs.frozen(kw_only=True)
class Message:
    """Somebody said something in a room. Stored before anybody receives it."""

    room: RoomName
    epoch: Label
    offset: Offset
    message_id: MessageId
    user: UserName
    content: Content
    timestamp: UnixMilliseconds
    """When the node took it."""


@attrs.frozen(kw_only=True)
class Joined:
    """A user's first connection entered the room."""

    room: RoomName
    user: UserName | None = None
    """None in a room of more than 100 members, where only the count is told."""
    members: Count


@attrs.frozen(kw_only=True)
class Left:
    """A user's last connection left the room."""

    room: RoomName
    user: UserName | None = None
    """None in a room of more than 100 members, where only the count is told."""
    members: Count


@attrs.frozen(kw_only=True)
class TypingPush:
    """A user is typing in the room."""

    room: RoomName
    user: UserName


@attrs.frozen(kw_only=True)
class TokenExpiring:
    """Send a REFRESH before `expires`, or be closed with 4003."""

    expires: UnixMilliseconds


@attrs.frozen(kw_only=True)
class Removed:
    """The client is no longer in the room, and did not ask to leave."""

    room: RoomName
    code: Code
    """Why: an error code."""
    rejoin: bool
    """Whether a JOIN may be tried at once."""


class GapReason(StrEnum):
    """Why messages are missing. A client treats one it does not know as `EXPIRED`."""

    EXPIRED = "expired"
    """Older than what the room keeps."""
    EPOCH = "epoch"
    """The position is of another epoch: the history was lost or put back."""
    TOO_MANY = "too_many"
    """More than one recovery carries. They can be read by HISTORY."""
    DROPPED = "dropped"
    """An ephemeral room lost them: it promises at most once."""


@attrs.frozen(kw_only=True)
class Gap:
    """Messages that this connection will not be sent, said aloud instead of left out silently."""

    room: RoomName
    epoch: Label
    """The room's present epoch."""
    from_offset: Offset = attrs.field(metadata={"wire": "from"})
    """First offset missed (`from` on the wire)."""
    to_offset: Offset = attrs.field(metadata={"wire": "to"})
    """Last offset missed (`to` on the wire); below `from` when it is not known what was missed."""
    reason: Label
    """A `GapReason`, or one of a later version."""


@attrs.frozen(kw_only=True)
class Drain:
    """The node is about to stop: connect again after a while, not all at once."""

    after_ms: Milliseconds
    """Earliest time to connect again, counted from now."""
    spread_ms: Milliseconds
    """Add a random time below this."""


@attrs.frozen(kw_only=True)
class Error:
    """A command failed (`id` says which), or something the client sent could not be understood."""

    id: RequestId | None = None
    code: Code
    """An `ErrorCode`, or one of a later version."""
    message: Label
    temporary: bool
    """Whether the same command may succeed later, unchanged."""
    retry_after_ms: Milliseconds | None = None

    @classmethod
    def of(
        cls,
        code: ErrorCode,
        *,
        id: int | None = None,
        retry_after_ms: int | None = None,
    ) -> "Error":
        """The ERROR for `code`, with the table's text and `temporary`."""
        return cls(
            id=id,
            code=int(code),
            message=code.message,
            temporary=code.temporary,
            retry_after_ms=retry_after_ms,
        )
