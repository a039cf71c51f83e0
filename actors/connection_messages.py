"""What a connection understands: its own reader and timers, completions, a word from elsewhere."""

from typing import Any

import attrs

from greenroom.actors.websocket import Ending
from greenroom.actors.window import Ticket
from greenroom.protocol import Codec, Drain
from greenroom.supervisor import Completion, Down


@attrs.frozen(kw_only=True)
class Opening:
    """What is known of a connection before its actor starts."""

    received: bytes = b""
    """What was read from the stream already; it is read again from here."""
    peer: str = ""
    """Where it comes from, for the log."""
    handshake_until: float
    """When the handshake must be over, on Trio's clock: the deadline covers TLS and peeking too."""


@attrs.frozen
class Opened:
    """The handshake is done."""

    codec: Codec


@attrs.frozen
class FrameIn:
    """The client sent a message."""

    frame: str | bytes
    ticket: Ticket


@attrs.frozen
class Ended:
    """The client's side is over."""

    ending: Ending


@attrs.frozen
class AuthOverdue:
    """Timer: AUTH should have come by now."""


@attrs.frozen
class Beat:
    """Timer: the heartbeat clock may have something to say."""


@attrs.frozen
class ExpiryNear:
    """Timer: the token ends soon."""


@attrs.frozen
class Expired:
    """Timer: the token has ended."""


@attrs.frozen
class RejoinSoon:
    """Timer: try again to get back into a room."""

    room: str


ConnectionMessage = (
    Opened
    | FrameIn
    | Ended
    | AuthOverdue
    | Beat
    | ExpiryNear
    | Expired
    | RejoinSoon
    | Drain
    | Completion[Any, Any]  # Any: of every question that is asked here
    | Down
)
