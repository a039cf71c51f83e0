"""Small things that several tests of pure parts build."""

import json

from wsproto.connection import Connection, ConnectionType

from greenroom.actors.ports import NewMessage, StoredMessage
from greenroom.actors.room.ring import Remembered
from greenroom.protocol import Message


def message(offset: int, *, user: str = "u", epoch: str = "e", content: str | None = None):
    return Message(
        room="lobby",
        epoch=epoch,
        offset=offset,
        message_id=offset,
        user=user,
        content=f"m{offset}" if content is None else content,
        timestamp=0,
    )


def remembered(offset: int, *, key: str = "", **fields) -> Remembered:
    return Remembered(message(offset, **fields), key or f"k{offset}")


def new_message(content: str = "x", *, room: str = "lobby", key: str = "k") -> NewMessage:
    return NewMessage(
        room=room, user="u", key=key, content=content, timestamp=0, content_hash=content.encode()
    )


def stored(offset: int) -> StoredMessage:
    return StoredMessage(
        message_id=offset,
        room="lobby",
        epoch="e",
        offset=offset,
        user="u",
        key=f"k{offset}",
        content=f"m{offset}",
        timestamp=0,
    )


def read_frames(data: bytes) -> list[str]:
    reader = Connection(ConnectionType.CLIENT)
    reader.receive_data(data)
    return [event.data for event in reader.events()]


class Sink:
    """Stands in for an outbox: what was pushed."""

    def __init__(self) -> None:
        self.data = b""
        self.full = False

    def push(self, frames: bytes) -> bool:
        if not self.full:
            self.data += frames
        return not self.full

    def messages(self) -> list[dict]:
        return [json.loads(text) for text in read_frames(self.data)]

    def offsets(self) -> list[int]:
        return [message["offset"] for message in self.messages()]


class Answers:
    """Stands in for a ReplyTo: what was answered."""

    def __init__(self) -> None:
        self.value = None
        self.error = None

    def reply(self, value) -> None:
        self.value = value

    def fail(self, error) -> None:
        self.error = error
