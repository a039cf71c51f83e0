"""WebSocket frames as a client reads and writes them: RFC 6455, section 5. Pure.

Not a WebSocket library: a load tool has to read ten times what a client reads, from a node that it
trusts. So it looks at nothing a good server can't send wrong: no UTF-8, no reserved bits.
"""

import enum
from random import Random
from typing import Final

import attrs

_FIN: Final = 0x80
_MASKED: Final = 0x80
_CONTROL: Final = 0x08


class Opcode(enum.IntEnum):
    """What a frame is (RFC 6455, 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class FrameError(Exception):
    """The peer sent what no server may send."""


@attrs.define(eq=False)
class FrameReader:
    """Cuts a stream of bytes into the payloads of whole messages."""

    max_bytes: int
    """Of one message; a longer one is a `FrameError`."""
    _rest: bytes = b""
    _parts: list[bytes] = attrs.field(factory=list[bytes])  # of a fragmented message
    _kind: int = Opcode.TEXT  # of the fragmented message

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what came in; the messages that are whole now, as (opcode, payload).

        Raises:
            FrameError: A frame is masked, too long, or out of order.
        """
        if self._rest:
            data = self._rest + data
        messages: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= 2:
            first, size = data[at], data[at + 1]
            body = at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                body += wide
                if size > 127:
                    raise FrameError("a masked frame")
                if end < body:
                    break
                size = int.from_bytes(data[body - wide : body])
                if size > self.max_bytes:
                    raise FrameError(f"a frame of {size} bytes")
            if end < body + size:
                break
            at = body + size
            payload = data[body:at]
            opcode = first & 0x0F
            whole = bool(first & _FIN) and bool(opcode)
            if whole and (not self._parts or opcode & _CONTROL):  # as nearly every frame is
                messages.append((opcode, payload))
            else:
                self._fragment(first, payload, messages)
        self._rest = data[at:]
        return messages

    def _fragment(self, first: int, payload: bytes, messages: list[tuple[int, bytes]]) -> None:
        opcode = first & 0x0F
        if opcode & _CONTROL or bool(opcode) == bool(self._parts):
            raise FrameError("a fragment out of order")
        if opcode:
            self._kind = opcode
        self._parts.append(payload)
        if sum(map(len, self._parts)) > self.max_bytes:
            raise FrameError("a message too long")
        if first & _FIN:
            messages.append((self._kind, b"".join(self._parts)))
            self._parts = []


def client_frame(opcode: int, payload: bytes, random: Random) -> bytes:
    """One whole frame, masked with a fresh key (RFC 6455, 5.3)."""
    size = len(payload)
    if size <= 125:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size <= 0xFFFF:
        head = bytes((_FIN | opcode, _MASKED | 126)) + size.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + size.to_bytes(8)
    key = random.getrandbits(32).to_bytes(4)
    # As one large number: twenty times faster than byte by byte.
    mask = int.from_bytes((key * (size // 4 + 1))[:size])
    return head + key + (int.from_bytes(payload) ^ mask).to_bytes(size)


def close_payload(code: int) -> bytes:
    """The payload of a CLOSE frame without a reason."""
    return code.to_bytes(2)


def close_code(payload: bytes) -> int:
    """The code in a CLOSE frame; 1005 where there is none (RFC 6455, 7.1.5)."""
    return int.from_bytes(payload[:2]) if len(payload) >= 2 else 1005
