"""One batch on its way to the members of a room: encoded once, written once per member."""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from greenroom.actors.frames import frame_of
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
        "_frames",
        "_joined",
        "_sender_set",
        "_senders",
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
        self._senders = senders
        self._sender_set = frozenset(senders)
        self._frames: dict[str, list[bytes]] = {}  # {subprotocol: one frame a message}
        self._joined: dict[str, bytes] = {}  # {subprotocol: the whole batch as one write}

    def write_for(self, member: S, codec: Codec, *, next_offset: int) -> tuple[bytes, int]:
        """The bytes for one member and how many messages they hold.

        The member's own messages and those below its `next_offset` are left out.
        """
        name = codec.subprotocol
        if next_offset <= self.first and member not in self._sender_set:
            joined = self._joined.get(name)
            if joined is None:
                joined = self._joined[name] = b"".join(self._encoded(codec))
            return joined, len(self.messages)
        wanted = [
            frame
            for frame, message, sender in zip(
                self._encoded(codec), self.messages, self._senders, strict=True
            )
            if sender is not member and message.offset >= next_offset
        ]
        return b"".join(wanted), len(wanted)

    def _encoded(self, codec: Codec) -> list[bytes]:
        frames = self._frames.get(codec.subprotocol)
        if frames is None:
            frames = [frame_of(codec, message) for message in self.messages]
            self._frames[codec.subprotocol] = frames
        return frames
