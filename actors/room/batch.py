"""One batch on its way to the members of a room: encoded once, written once per member."""

from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from greenroom.actors.connection.frames import frame_of
from greenroom.protocol import Codec, Message

S = TypeVar("S", bound=Hashable)


class Batch(Generic[S]):
    """Messages of one room with consecutive offsets, and who sent each.

    Args:
        messages: At least one, offsets ascending without holes.
        senders: For each message the member to leave out, or None (an echo, or a sender that is
            no member any more).
    """

    __slots__ = (
        "_encoded",
        "_own",
        "epoch",
        "first",
        "last",
        "messages",
    )

    def __init__(self, messages: Sequence[Message], senders: Sequence[S | None]) -> None:
        self.messages = messages
        self.epoch = messages[0].epoch
        self.first = messages[0].offset
        self.last = messages[-1].offset
        self._own: dict[S, list[int]] = {}  # {sender: which it said, in order}
        for number, sender in enumerate(senders):
            if sender is not None:
                self._own.setdefault(sender, []).append(number)
        # {subprotocol: (the whole batch as one write, where each frame in it begins, and the end)}
        self._encoded: dict[str, tuple[bytes, list[int]]] = {}

    def write_for(self, member: S, codec: Codec, *, next_offset: int) -> tuple[bytes, int]:
        """The bytes for one member and how many messages they hold.

        The member's own messages and those below its `next_offset` are left out.
        """
        own: Sequence[int] = self._own.get(member, ())
        known = next_offset - self.first
        if known > 0:
            own = [number for number in own if number >= known]
        else:
            known = 0
        count = len(self.messages) - known - len(own)
        if count <= 0:  # nothing is encoded for nobody: one who talks to itself
            return b"", 0
        joined, begins = self._encoded.get(codec.subprotocol) or self._encode(codec)
        if count == len(self.messages):
            return joined, count
        begin = begins[known]
        pieces: list[bytes] = []
        for number in own:
            pieces.append(joined[begin : begins[number]])
            begin = begins[number + 1]
        pieces.append(joined[begin:])
        return b"".join(pieces), count

    def _encode(self, codec: Codec) -> tuple[bytes, list[int]]:
        frames = [frame_of(codec, message) for message in self.messages]
        begins = list(accumulate(map(len, frames), initial=0))
        encoded = self._encoded[codec.subprotocol] = b"".join(frames), begins
        return encoded
