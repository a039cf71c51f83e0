"""The hot path by hand: reading a PUBLISH, writing its MESSAGE and its ACK; in JSON HEARTBEATs too.

The codecs can do all this from the fields' rules alone; what is written out here does the same in
two thirds of the time, and a node does little else. A reader takes what is plainly good and leaves
everything else (what is wrong, absent or only written oddly) to the rules, which know what to say.
"""

from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson

from greenroom.protocol._commands import Heartbeat, Publish
from greenroom.protocol._fields import ROOM_NAME
from greenroom.protocol._limits import MAX_KEY_CHARS, MAX_SAFE_INTEGER, MAX_UINT32
from greenroom.protocol._pushes import Message

Json: TypeAlias = dict[str, Any]  # any JSON object
Wire: TypeAlias = Any  # a message of the Protobuf runtime, whose attributes are made at run time

_is_room_name: Final = ROOM_NAME.fullmatch


@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    """A JSON string; for what a node itself has named or checked, which is short."""
    return orjson.dumps(name).decode()


def publish_from_json(value: Json) -> Publish | None:
    """The PUBLISH that a JSON object holds, with an `id` and nothing unknown; None: ask the rules.

    So every value in it has been looked at: there is no container and no number but `id`.
    """
    get = value.get
    id, room, content = get("id"), get("room"), get("content")
    key, echo = get("key"), get("echo")
    if (
        type(id) is int
        and 0 <= id <= MAX_UINT32
        and type(room) is str
        and _is_room_name(room)
        and type(content) is str
        and "\0" not in content
        and (
            key is None or (type(key) is str and 1 <= len(key) <= MAX_KEY_CHARS and "\0" not in key)
        )
        and (echo is None or echo is False or echo is True)
        and len(value) == 4 + (key is not None) + (echo is not None)  # the fourth is the `type`
    ):
        return Publish(id=id, room=room, key=key, content=content, echo=echo is True)
    return None


def heartbeat_from_json(value: Json) -> Heartbeat | None:
    """The HEARTBEAT that a JSON object holds, with nothing unknown; None: ask the rules."""
    timestamp, echo = value.get("timestamp"), value.get("echo")
    if (
        type(timestamp) is int
        and 0 <= timestamp <= MAX_SAFE_INTEGER
        and (echo is None or (type(echo) is int and 0 <= echo <= MAX_SAFE_INTEGER))
        and len(value) == 2 + (echo is not None)
    ):
        return Heartbeat(timestamp=timestamp, echo=echo)
    return None


def publish_from_wire(wire: Wire, id: int | None) -> Publish | None:
    """The PUBLISH that a body holds, with `key` and some content; None: ask the rules."""
    room, key, content = wire.room, wire.key, wire.content
    if (
        _is_room_name(room)
        and 1 <= len(key) <= MAX_KEY_CHARS
        and "\0" not in key
        and content
        and "\0" not in content
    ):
        return Publish(id=id, room=room, key=key, content=content, echo=wire.echo)
    return None


def message_to_json(message: Message) -> Json:
    """The JSON object of a MESSAGE."""
    return {
        "type": "MESSAGE",
        "room": message.room,
        "epoch": message.epoch,
        "offset": message.offset,
        "message_id": message.message_id,
        "user": message.user,
        "content": message.content,
        "timestamp": message.timestamp,
    }


def message_to_wire(message: Message, wire: Wire) -> None:
    """Fill the body of a MESSAGE."""
    wire.room = message.room
    wire.epoch = message.epoch
    wire.offset = message.offset
    wire.message_id = message.message_id
    wire.user = message.user
    wire.content = message.content
    wire.timestamp = message.timestamp


def ack_text(message: Message, id: int, *, status: int, duplicate: bool) -> str:
    """The JSON text of an ACK, as `orjson` would write it."""
    return (
        f'{{"type":"ACK","id":{id},"room":{_quoted(message.room)}'
        f',"message_id":{message.message_id},"epoch":{_quoted(message.epoch)}'
        f',"offset":{message.offset},"timestamp":{message.timestamp},"status":{status}'
        f',"duplicate":{"true" if duplicate else "false"}}}'
    )


def ack_to_wire(message: Message, wire: Wire, *, status: int, duplicate: bool) -> None:
    """Fill the body of an ACK; its `id` is the frame's."""
    wire.room = message.room
    wire.message_id = message.message_id
    wire.epoch = message.epoch
    wire.offset = message.offset
    wire.timestamp = message.timestamp
    wire.status = status
    wire.duplicate = duplicate
