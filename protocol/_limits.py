"""Sizes of the wire, with their units in the name: bytes are bytes of UTF-8, `CHARS` code points.

What a node may set lower or higher travels to the client in `Limits`; what stands only here is part
of version 1. This module imports nothing.
"""

MAX_UINT32 = 2**32 - 1
"""Largest `id`: a number the client picks and the reply echoes."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest offset, message id or time in ms: what every JSON reader holds exactly (RFC 8259, 6)."""

MAX_FRAME_BYTES = 64 * 1024
"""Largest frame a client may send; a larger one ends the connection with 1009 (RFC 6455, 7.4.1)."""

MAX_ANSWER_BYTES = 1024 * 1024
"""Largest frame a node sends: JOIN_OK and HISTORY_OK carry fewer messages to stay below."""

MAX_CONTENT_BYTES = 32 * 1024
"""Largest `content` of a PUBLISH; a larger one is ERROR 121."""

MAX_ROOM_CHARS = 100
MAX_KEY_CHARS = 64
MAX_USER_CHARS = 128
MAX_TOKEN_CHARS = 8192
MAX_LABEL_CHARS = 200
"""Longest `client`, `session`, `connection`, `node`, `epoch` or `reason`."""

MAX_DEPTH = 16
"""Deepest nesting of a frame. Version 1 needs three; the rest is room for fields to come."""

MAX_CONTAINERS = 4096
"""Objects and arrays of a frame. The largest answer has 1,000; the rest is room, and a bound for
what one frame may cost its reader."""

MAX_FIELD_NAME_CHARS = 100
"""Longest name of a field, also of one that nobody knows."""

MAX_HISTORY_MESSAGES = 1000
"""Largest `limit` of a HISTORY; a node may answer with fewer."""

DEFAULT_HISTORY_MESSAGES = 50

MAX_PUBLISHES_IN_FLIGHT = 64
"""Commands of one connection without an answer; beyond it the node stops reading."""

MAX_PUBLISH_BYTES_IN_FLIGHT = 256 * 1024
"""Their frames together, in bytes; beyond it the node stops reading."""

MAX_ROOMS_PER_CONNECTION = 100
"""Rooms one connection may be in; one more is ERROR 106."""

MAX_ERRORS_IN_A_ROW = 8
"""Frames in a row that could not be decoded, or were a bad request, before the connection is closed
with 4509."""
