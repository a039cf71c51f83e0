"""What a connection understands: its own intake and timers, completions, a word from elsewhere."""

from typing import Any

import attrs

from greenroom.protocol import Drain
from greenroom.supervisor import Completion, Down


@attrs.frozen(kw_only=True)
class Opening:
    """What is known of a connection before its actor starts."""

    received: bytes = attrs.field(default=b"", repr=False)
    """What was read from the stream already; it is read again from here."""
    peer: str = ""
    """Where it comes from, for the log."""
    address: str = ""
    """The client's own IP address, without port, also behind a trusted proxy: what is counted per
    address goes by it."""
    token: str | None = attrs.field(default=None, repr=False)
    """What the handshake itself brought, in a header or a cookie: an AUTH without a token means
    this one."""
    handshake_until: float
    """When the handshake must be over, on Trio's clock: the deadline covers TLS and peeking too."""


@attrs.frozen
class WorkWaits:
    """The client has sent something that may have to wait, or what waited may go on."""


@attrs.frozen
class AuthOverdue:
    """Timer: AUTH should have come by now."""


@attrs.frozen
class RejoinSoon:
    """Timer: try again to get back into a room."""

    room: str


ConnectionMessage = (
    WorkWaits
    | AuthOverdue
    | RejoinSoon
    | Drain
    | Completion[Any, Any]  # Any: of every question that is asked here
    | Down
)
