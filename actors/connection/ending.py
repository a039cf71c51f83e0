"""How a client's side of a connection ends, and what the client is to be told of it."""

import attrs

from greenroom.protocol import CloseCode


@attrs.frozen
class Ending:
    """The client's side of the connection is over."""

    close: CloseCode | None = None
    """What to tell the peer; None if it knows, or can't hear it."""
    heard: int | None = None
    """What the peer's own close frame told us, if there was one; 1005 where it held no code."""
    answer: bytes = b""
    """What to send instead: an HTTP answer, or the answer to the peer's close frame."""
    detail: str = ""
    """For the log."""
