"""WebSocket frames as a server sends them: RFC 6455, section 5, whole messages, no extensions.

A server does not mask (RFC 6455, 5.1), so a frame is the same bytes for whoever gets it: a room
builds it once for all its members. What reads frames is `frame_reader`.
"""

from greenroom.protocol import Answer, Codec

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
_FIN_CLOSE = 0x88
_FIN_PONG = 0x8A
_MAX_REASON_BYTES = 123  # a control frame carries at most 125, two of them the code


def message_frame(payload: bytes, *, binary: bool) -> bytes:
    """One unfragmented data frame around `payload` (for text: UTF-8 already)."""
    first = _FIN_BINARY if binary else _FIN_TEXT
    size = len(payload)
    if size <= 125:
        return bytes((first, size)) + payload
    if size <= 0xFFFF:
        return bytes((first, 126, size >> 8, size & 0xFF)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A CLOSE frame; a reason too long for a control frame is cut at a character's end."""
    text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return bytes((_FIN_CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


def pong_frame(payload: bytes) -> bytes:
    """A PONG frame; `payload` is a ping's, so it has at most 125 bytes."""
    return bytes((_FIN_PONG, len(payload))) + payload


def is_close_frame(data: bytes | memoryview) -> bool:
    """Whether `data`, which begins at a frame's first byte, begins with a CLOSE frame."""
    return bool(data) and data[0] == _FIN_CLOSE


def frame_of(codec: Codec, message: Answer) -> bytes:
    """A whole frame around one message of the protocol."""
    return message_frame(codec.encode(message), binary=codec.binary)
