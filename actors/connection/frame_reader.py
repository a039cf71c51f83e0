"""Frames off the wire (RFC 6455, section 5): the easy ones as fast as Python can, and the rest.

Easy is one unfragmented, masked data frame without reserved bits that is here as a whole. The rest
is read frame by frame: fragments, pings, closes, and whatever breaks the rules, each with the close
code that the standard names for it. Whatever a client sends, a frame costs a bounded amount of work
and a client holds a bounded amount of memory: at most one message of `max_bytes` and one segment.

Knows neither sockets nor the clock, and no extensions: none is ever agreed on.
"""

import codecs
from typing import Final

import attrs

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frames import close_frame
from greenroom.protocol import CloseCode

_FIN: Final = 0x80
_FIN_TEXT: Final = 0x81
_FIN_BINARY: Final = 0x82
_RESERVED_BITS: Final = 0x70
_OPCODE: Final = 0x0F
_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_CONTROL: Final = 0x8  # the bit that all control opcodes have
_CLOSE: Final = 0x8
_PING: Final = 0x9
_OPCODES: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})
_MASKED: Final = 0x80
_MOST_CONTROL_BYTES: Final = 125
_SHORT_HEAD: Final = 6  # two bytes and the masking key
_LENGTHS: Final = {126: (2, 126), 127: (8, 0x10000)}  # {mark: (bytes of the length, the least)}
_TOP_BIT: Final = 1 << 63
_SHIFT: Final = 12  # 4 KiB

WAITING_BYTES: Final = 4 * 1024
"""An unfragmented frame of so many bytes is waited for and read in one go; of a larger one, and of
fragments, the payload is read as it comes."""

MAX_FRAGMENTS: Final = 1_024
"""Of one message; no client sends 64 KiB in pieces of less than 64 bytes. One costs 3 µs."""

# RFC 6455, 7.4.1 and 7.4.2, and what IANA has registered since: 1000-1003, 1007-1014, 3000-4999.
_CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_OWN_CLOSE_CODES: Final = range(3000, 5000)
_NO_CODE: Final = 1005  # stands for a close frame without one (RFC 6455, 7.1.5)

_EMPTY_CLOSE: Final = bytes((_FIN | _CLOSE, 0))


@attrs.frozen
class Ping:
    """A ping, to be answered with a pong of the same payload (RFC 6455, 5.5.2)."""

    payload: bytes


def unmask(payload: bytes, key: bytes) -> bytes:
    """`payload` with every byte XORed with its byte of `key` (RFC 6455, 5.3).

    One XOR of two long integers: of all ways without C code the fastest from a dozen bytes on.
    """
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    whole = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return whole.to_bytes(size, "little")


@attrs.frozen
class _Head:
    """One frame's head, which is sound in itself and may come now (RFC 6455, 5.2)."""

    first: int
    size: int
    """In bytes, of the payload."""
    key: bytes
    end: int
    """Where in the data the payload begins."""


class _Violation(Exception):
    """The peer breaks the rules, or is too much for us."""

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


def _wrong(detail: str) -> _Violation:
    return _Violation(CloseCode.PROTOCOL_ERROR, detail)


class _Message:
    """A message that does not come in one easy piece: fragments, or a large frame."""

    __slots__ = ("_check", "_key", "data", "fragments", "in_frame", "is_last", "left")

    def __init__(self, *, text: bool) -> None:
        # Checks as it goes, so that bad UTF-8 is told at once; what it returns is dropped: kept as
        # text, some characters would take four times their bytes.
        self._check = codecs.getincrementaldecoder("utf-8")() if text else None
        self._key = b""  # turned so that its first byte is the next one's
        self.data = bytearray()
        self.fragments = 0
        self.in_frame = False
        """Whether the present frame's payload is to be read."""
        self.left = 0
        """Bytes of it that are still to come."""
        self.is_last = False
        """Whether the present frame ends the message."""

    def begin(self, head: _Head) -> None:
        """A frame's head has been read."""
        self.fragments += 1
        self.is_last = bool(head.first & _FIN)
        self.left, self._key = head.size, head.key
        self.in_frame = True

    def take(self, data: bytes, start: int) -> int:
        """Read payload from `start` on; how much was there.

        Raises:
            UnicodeDecodeError: This can't be the text of any message.
        """
        payload = data[start : start + self.left]
        size = len(payload)
        self.left -= size
        self.in_frame = self.left > 0
        if size:
            plain = unmask(payload, self._key)
            turn = size % 4
            self._key = self._key[turn:] + self._key[:turn]
            self.data += plain
            if self._check is not None:
                self._check.decode(plain)
        return size

    def whole(self) -> str | bytes:
        """The message; raises UnicodeDecodeError where its text ends within a character."""
        return bytes(self.data) if self._check is None else self.data.decode()


class FrameReader:
    """What one client has sent and nobody has taken yet.

    Args:
        max_bytes: A larger message ends with 1009, as soon as a head says so.
        max_seconds: A message that takes longer ends with 4005: no heartbeat gets past it.
        max_fragments: A message in more pieces ends with 1009.
    """

    __slots__ = (
        "_begun_at",
        "_data",
        "_max_fragments",
        "_max_seconds",
        "_message",
        "_now",
        "_start",
        "frames",
        "max_bytes",
        "size",
    )

    def __init__(
        self, max_bytes: int, *, max_seconds: float = 60.0, max_fragments: int = MAX_FRAGMENTS
    ) -> None:
        self.max_bytes = max_bytes
        """May be changed at any time; holds for the frames that begin then."""
        self._max_seconds = max_seconds
        self._max_fragments = max_fragments
        self._data = b""
        self._start = 0
        self._now = 0.0
        self._begun_at: float | None = (
            None  # when we first waited for the rest of what is not whole
        )
        self._message: _Message | None = None
        self.size = 0
        """Payload bytes of the message that was returned last."""
        self.frames = 0
        """How many frames have come, of whatever kind; for whoever counts them. A large one counts
        once more for each 4 KiB, as what it costs grows with its size."""

    def feed(self, data: bytes, now: float) -> None:
        """Add what came in at `now`, in seconds."""
        rest = self._data[self._start :]
        self._data = rest + data if rest else data
        self._start = 0
        self._now = now

    @property
    def has_more(self) -> bool:
        """Whether there are bytes that nobody has taken."""
        return len(self._data) > self._start

    def next_message(self) -> str | bytes | Ping | Ending | None:
        """The next message, ping or end; None when more bytes are needed. Nothing follows an end.

        Pongs are read and dropped.
        """
        data, start = self._data, self._start
        have = len(data) - start
        if have < _SHORT_HEAD or self._message is not None:
            if have or self._message is not None:
                return self._read_on()
            self._data, self._start = b"", 0
            return None
        first, second = data[start], data[start + 1]
        if not _FIN_TEXT <= first <= _FIN_BINARY or second < _MASKED:
            return self._read_on()
        size = second & 0x7F
        head = _SHORT_HEAD
        if size > _MOST_CONTROL_BYTES:
            extra, least = _LENGTHS[size]
            head += extra
            size = int.from_bytes(data[start + 2 : start + 2 + extra], "big")
            if have < head or size < least:
                return self._read_on()
        if have < head + size or size > self.max_bytes:
            return self._read_on()
        body = start + head
        end = body + size
        payload = unmask(data[body:end], data[body - 4 : body])
        message: str | bytes = payload
        if first == _FIN_TEXT:
            try:
                message = payload.decode()
            except UnicodeDecodeError:
                return self._end(CloseCode.INVALID_DATA, "bad UTF-8")
        self._start, self.size = end, size
        self._begun_at = None
        self.frames += 1 + (size >> _SHIFT)
        return message

    def drop(self) -> None:
        """Forget what came and nobody took: nobody will."""
        self._data, self._start, self._message = b"", 0, None

    # Everything that is not easy.

    def _read_on(self) -> str | bytes | Ping | Ending | None:
        try:
            found = self._read_frames()
        except _Violation as violation:
            return self._end(violation.code, violation.detail)
        except UnicodeDecodeError:
            return self._end(CloseCode.INVALID_DATA, "bad UTF-8")
        if found is None:
            if not self.has_more:
                self._data, self._start = b"", 0
                if self._message is None:
                    return None
            if self._begun_at is None:
                self._begun_at = self._now
            elif self._now - self._begun_at > self._max_seconds:
                return self._end(CloseCode.NO_HEARTBEAT, "a message without end")
        return found

    def _read_frames(self) -> str | bytes | Ping | Ending | None:
        """Read frame by frame, until there is something to say or nothing left to read."""
        while True:
            message = self._message
            if message is not None and message.in_frame:
                self._start += message.take(self._data, self._start)
                if message.left:
                    return None
                if message.is_last:
                    self._message = self._begun_at = None
                    self.size = len(message.data)
                    return message.whole()
            head = self._read_head()
            if head is None:
                return None
            if head.first & _CONTROL:
                found = self._control(head)
                if found is not None:
                    return found
            else:
                self._begin(head)

    def _read_head(self) -> _Head | None:
        """The next frame's head, once the frame can be read: a control frame is read as a whole.

        Raises:
            _Violation: No such frame may come here.
        """
        data, start = self._data, self._start
        have = len(data) - start
        if have < 2:
            return None
        first, second = data[start], data[start + 1]
        self._check_beginning(first, second)
        size = second & 0x7F
        head = _SHORT_HEAD
        if size > _MOST_CONTROL_BYTES:
            extra, least = _LENGTHS[size]
            head += extra
            if have < 2 + extra:
                return None
            size = int.from_bytes(data[start + 2 : start + 2 + extra], "big")
            if size & _TOP_BIT:
                raise _wrong("a length of 64 bits")
            if size < least:
                raise _wrong("a length in more bytes than it takes")
        if not first & _CONTROL:
            self._check_size(size)
        waits = first & _CONTROL or (first & _FIN and first & _OPCODE and size <= WAITING_BYTES)
        if have < head or (waits and have < head + size):
            return None
        end = start + head
        return _Head(first, size, data[end - 4 : end], end)

    def _check_beginning(self, first: int, second: int) -> None:
        """Hold a frame's first two bytes against RFC 6455, 5.2, 5.4 and 5.5."""
        opcode = first & _OPCODE
        if first & _RESERVED_BITS:
            raise _wrong("a reserved bit")
        if opcode not in _OPCODES:
            raise _wrong("a reserved opcode")
        if not second & _MASKED:
            raise _wrong("not masked")
        if opcode & _CONTROL:
            if not first & _FIN:
                raise _wrong("a fragment of a control frame")
            if second & 0x7F > _MOST_CONTROL_BYTES:
                raise _wrong("a long control frame")
        elif opcode == _CONTINUATION and self._message is None:
            raise _wrong("a continuation of nothing")
        elif opcode != _CONTINUATION and self._message is not None:
            raise _wrong("a message within a message")

    def _check_size(self, size: int) -> None:
        if self._message is not None:
            size += len(self._message.data)
            if self._message.fragments >= self._max_fragments:
                raise _Violation(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        if size > self.max_bytes:
            raise _Violation(CloseCode.MESSAGE_TOO_BIG, f"{size} bytes")

    def _begin(self, head: _Head) -> None:
        self.frames += 1 + (head.size >> _SHIFT)
        self._start = head.end
        if self._message is None:
            self._message = _Message(text=head.first & _OPCODE == _TEXT)
        self._message.begin(head)

    def _control(self, head: _Head) -> Ping | Ending | None:
        self.frames += 1
        end = self._start = head.end + head.size
        if self._message is None:
            self._begun_at = None
        payload = unmask(self._data[head.end : end], head.key)
        opcode = head.first & _OPCODE
        if opcode == _PING:
            return Ping(payload)
        if opcode != _CLOSE:
            return None
        ending = _closing(payload)
        self.drop()
        return ending

    def _end(self, code: CloseCode, detail: str) -> Ending:
        self.drop()
        return Ending(code, detail=detail)


def _closing(payload: bytes) -> Ending:
    """What the peer's close frame means, and what to answer (RFC 6455, 5.5.1 and 7.4)."""
    if not payload:
        return Ending(heard=_NO_CODE, answer=_EMPTY_CLOSE)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CLOSE_CODES or code in _OWN_CLOSE_CODES):
        raise _wrong("no close code that may be sent")
    payload[2:].decode()
    return Ending(heard=code, answer=close_frame(code))
