"""Answers to commands; `id` is the command's own."""

import attrs

from greenroom.protocol._fields import (
    Count,
    Label,
    MessageId,
    Milliseconds,
    Offset,
    RequestId,
    RoomName,
    Status,
    UnixMilliseconds,
    UserName,
)
from greenroom.protocol._pushes import Message
from greenroom.protocol._records import Limits, Member


@attrs.frozen(kw_only=True)
class AuthOk:
    """The connection is authenticated and may use every command."""

    id: RequestId
    connection: Label
    """Names this connection in the node's logs."""
    session: Label = attrs.field(repr=False)
    """Give it in the next AUTH to take up this session; as secret as the token."""
    node: Label
    user: UserName
    """The token's `sub`."""
    expires: UnixMilliseconds
    """When the token expires."""
    heartbeat_ms: Milliseconds
    """Silence after which either side counts the other UNREACHABLE."""
    limits: Limits


@attrs.frozen(kw_only=True)
class RefreshOk:
    """The new token is in force."""

    id: RequestId
    expires: UnixMilliseconds


@attrs.frozen(kw_only=True)
class JoinOk:
    """The connection is in the room; `messages` end at `offset`, and pushes go on after it."""

    id: RequestId
    room: RoomName
    epoch: Label
    offset: Offset
    """The room's last offset at the moment of joining; 0 when it is empty."""
    recovered: bool
    """Whether `messages` is all that came after `since`."""
    messages: tuple[Message, ...] = ()
    members: Count
    """Users in the room, this one included."""


@attrs.frozen(kw_only=True)
class Ok:
    """Done; nothing to tell."""

    id: RequestId


@attrs.frozen(kw_only=True)
class Ack:
    """The PUBLISH is stored (in an ephemeral room: was sent to those there)."""

    id: RequestId
    room: RoomName
    message_id: MessageId
    epoch: Label
    offset: Offset
    timestamp: UnixMilliseconds
    status: Status
    """0 accepted, 1 handed to fan-out and callbacks."""
    duplicate: bool
    """The key was known: the other fields are those of the first PUBLISH."""


@attrs.frozen(kw_only=True)
class HistoryOk:
    """A stretch of a room's history, in ascending offsets."""

    id: RequestId
    room: RoomName
    epoch: Label
    messages: tuple[Message, ...] = ()
    more: bool
    """Whether there are more in the direction asked for."""


@attrs.frozen(kw_only=True)
class PresenceOk:
    """Who is in the room."""

    id: RequestId
    room: RoomName
    members: tuple[Member, ...] = ()
