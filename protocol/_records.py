"""Records that messages carry as fields."""

import attrs

from greenroom.protocol._fields import Bytes, Count, Label, Offset, UserName
from greenroom.protocol._limits import (
    MAX_CONTENT_BYTES,
    MAX_FRAME_BYTES,
    MAX_HISTORY_MESSAGES,
    MAX_PUBLISH_BYTES_IN_FLIGHT,
    MAX_PUBLISHES_IN_FLIGHT,
    MAX_ROOMS_PER_CONNECTION,
)


@attrs.frozen
class Position:
    """A place in one room's history: the last message a client has, or has to see before."""

    epoch: Label
    """Changes only when the room's history was lost or put back; offsets compare within one."""

    offset: Offset
    """0 stands before the first message; messages are 1, 2, 3, ... without holes."""


@attrs.frozen
class Member:
    """A user who is in a room."""

    user: UserName
    connections: Count
    """How many of the user's connections are in the room; at least 1."""


@attrs.frozen(kw_only=True)
class Limits:
    """What a node allows one connection, told in AUTH_OK."""

    frame_bytes: Bytes = MAX_FRAME_BYTES
    """Largest frame the client may send (1009 beyond it)."""

    content_bytes: Bytes = MAX_CONTENT_BYTES
    """Largest content of a PUBLISH in UTF-8 (ERROR 121)."""

    rooms: Count = MAX_ROOMS_PER_CONNECTION
    """Rooms this connection may be in (ERROR 106)."""

    publishes_in_flight: Count = MAX_PUBLISHES_IN_FLIGHT
    """Commands without an answer, PUBLISHes above all; beyond it the node stops reading."""

    publish_bytes_in_flight: Bytes = MAX_PUBLISH_BYTES_IN_FLIGHT
    """Their frames together; beyond it the node stops reading."""

    history: Count = MAX_HISTORY_MESSAGES
    """Most messages in one HISTORY_OK."""
