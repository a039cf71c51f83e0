"""What every codec does: turn the payload of one WebSocket message into one of ours, and back.

The subprotocol a client offers (RFC 6455, 4.2.2) chooses the codec.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from greenroom.protocol._codes import ErrorCode
from greenroom.protocol._messages import Answer, Command
from greenroom.protocol._pushes import Message


class DecodeError(Exception):
    """A frame holds no message of version 1; the only exception that decoding raises.

    `detail` names the field and what was expected there, never what the frame held: it may be
    logged and sent to the peer.
    """

    def __init__(self, code: ErrorCode, detail: str, id: int | None = None) -> None:
        super().__init__(code, detail, id)
        self.code = code
        """`BAD_REQUEST`, or `UNKNOWN_TYPE` for a type this side does not take."""
        self.detail = detail
        self.id = id
        """The frame's `id` where it could be read, for the ERROR that answers it."""

    def __str__(self) -> str:
        return f"{self.code.message}: {self.detail}"


class Codec(Protocol):
    """Payload to message and back. Stateless, so one object serves every connection."""

    @property
    def subprotocol(self) -> str:
        """The name in `Sec-WebSocket-Protocol` (RFC 6455, 1.9)."""
        ...

    @property
    def binary(self) -> bool:
        """Whether frames are binary (opcode 2) or text (opcode 1; RFC 6455, 5.6)."""
        ...

    def decode_command(self, frame: str | bytes) -> Command:
        """The message a client sent.

        Raises:
            DecodeError: There is none in the frame.
        """
        ...

    def decode_answer(self, frame: str | bytes) -> Answer:
        """The message a node sent.

        Raises:
            DecodeError: There is none in the frame.
        """
        ...

    def encode(self, message: Command | Answer) -> bytes:
        """The frame's payload: UTF-8 for a text codec."""
        ...

    def encode_ack(self, message: Message, id: int, *, status: int, duplicate: bool) -> bytes:
        """As `encode` of the ACK that tells a sender that its PUBLISH `id` became `message`."""
        ...


def pick_codec(offered: Sequence[str], codecs: Sequence[Codec]) -> Codec | None:
    """The codec of the first offered subprotocol that we know (RFC 6455, 4.2.2).

    A client that offers none gets the first of `codecs`; one that offers only unknown ones gets
    None, and the caller answers with HTTP 400.
    """
    if not offered:
        return codecs[0]
    known: Final = {codec.subprotocol: codec for codec in codecs}
    return next((known[name] for name in offered if name in known), None)
