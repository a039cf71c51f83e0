"""Small things that several tests of pure parts build."""

from wsproto.connection import Connection, ConnectionType

from greenroom.actors.ports import NewMessage, StoredMessage
from greenroom.actors.ring import Remembered
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


class Answers:
    """Stands in for a ReplyTo: what was answered."""

    def __init__(self) -> None:
        self.value = None
        self.error = None

    def reply(self, value) -> None:
        self.value = value

    def fail(self, error) -> None:
        self.error = error
