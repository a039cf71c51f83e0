"""What a client has to remember between a command and its reply.

Handles for you: ids, decoding, finding what a reply answers, what stays open when a socket is lost.
Will not handle: sockets, time, when to send what again.
"""

from typing import Generic, TypeVar

from greenroom.protocol._codec import Codec
from greenroom.protocol._limits import MAX_UINT32
from greenroom.protocol._messages import Answer

T = TypeVar("T")


class ClientMachine(Generic[T]):
    """The open requests of one connection; `T` is whatever the caller keeps about each.

    Args:
        codec: What the handshake agreed on.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._open: dict[int, T] = {}  # in the order of sending
        self._last_id = 0

    def request(self, about: T) -> int:
        """An id for a command that is about to be sent, unlike that of any open one."""
        while True:
            self._last_id = self._last_id % MAX_UINT32 + 1
            if self._last_id not in self._open:
                self._open[self._last_id] = about
                return self._last_id

    def receive(self, frame: str | bytes) -> tuple[Answer, T | None]:
        """Decode `frame`; with it comes what it answers, which is then no longer open.

        Raises:
            DecodeError: The node sent what we cannot read. `UNKNOWN_TYPE` is a message of a later
                version, to be ignored; after any other the connection is of no use.
        """
        answer = self.codec.decode_answer(frame)
        number: int | None = getattr(answer, "id", None)
        return answer, None if number is None else self._open.pop(number, None)

    def forget(self, number: int) -> None:
        """Nobody waits for the reply to `number` any more; it will come as a push, unclaimed."""
        self._open.pop(number, None)

    def lost(self) -> list[T]:
        """The socket is gone: what was open, in the order of sending, is open no longer."""
        waiting, self._open = list(self._open.values()), {}
        return waiting
