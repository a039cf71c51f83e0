"""What a client sends. A command without `id` gets no reply; its errors come without `id` too."""

import attrs

from greenroom.protocol._fields import (
    Content,
    HistoryLimit,
    Key,
    Label,
    RequestId,
    RoomName,
    Token,
    UnixMilliseconds,
)
from greenroom.protocol._limits import DEFAULT_HISTORY_MESSAGES
from greenroom.protocol._records import Position


@attrs.frozen(kw_only=True)
class Auth:
    """Say who is connecting; the first command of a connection. Reply: `AuthOk`."""

    id: RequestId | None = None
    token: Token | None = attrs.field(default=None, repr=False)
    """A JWT (RFC 7519). None: the one that the handshake brought, in a header or a cookie."""
    client: Label | None = None
    """Name and version of the client's software, for the node's logs."""
    session: Label | None = attrs.field(default=None, repr=False)
    """The session of an earlier AUTH_OK, to take it up again."""


@attrs.frozen(kw_only=True)
class Refresh:
    """Replace the token before it expires. Reply: `RefreshOk`."""

    id: RequestId | None = None
    token: Token = attrs.field(repr=False)
    """A JWT with the same `sub` as the one in AUTH."""


@attrs.frozen(kw_only=True)
class Join:
    """Enter a room, from now on or from where the client was. Reply: `JoinOk`."""

    id: RequestId | None = None
    room: RoomName
    since: Position | None = None
    """The last message the client has; what came after it is in the reply."""


@attrs.frozen(kw_only=True)
class Leave:
    """Leave a room. Reply: `Ok`."""

    id: RequestId | None = None
    room: RoomName


@attrs.frozen(kw_only=True)
class Publish:
    """Say something in a room. Reply: `Ack`, once it is stored."""

    id: RequestId | None = None
    room: RoomName
    key: Key | None = None
    """Makes the PUBLISH repeatable: the same user's same key in a room is stored once."""
    content: Content
    echo: bool = False
    """Also send the MESSAGE to this connection, which has the ACK."""


@attrs.frozen(kw_only=True)
class Typing:
    """Show the others in a room that the user is typing. Never stored, never answered."""

    room: RoomName


@attrs.frozen(kw_only=True)
class History:
    """Read a room's messages: the latest, those before, or those after. Reply: `HistoryOk`.

    At most one of `before` and `since` is given; with both it is a bad request.
    """

    id: RequestId | None = None
    room: RoomName
    before: Position | None = None
    """Messages with a lower offset than this, the nearest ones."""
    since: Position | None = None
    """Messages with a higher offset than this, the nearest ones."""
    limit: HistoryLimit = DEFAULT_HISTORY_MESSAGES


@attrs.frozen(kw_only=True)
class Presence:
    """Ask who is in a room. Reply: `PresenceOk`."""

    id: RequestId | None = None
    room: RoomName


@attrs.frozen(kw_only=True)
class Heartbeat:
    """Ask the other side for a sign of life, or give one. The same message both ways.

    One without `echo` is answered by one with; one with `echo` is never answered.
    """

    timestamp: UnixMilliseconds
    """The sender's clock."""
    echo: UnixMilliseconds | None = None
    """The `timestamp` of the HEARTBEAT that this one answers."""
