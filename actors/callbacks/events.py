"""What a callback tells: the events, their ids, and the JSON body of one request.

Pure. The body is made here and nowhere else; `docs/how-to/receive-callbacks.md` describes it to
those who receive it. Fields are only ever added.
"""

import enum
import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import attrs

from greenroom.actors.callbacks.ports import Callback
from greenroom.actors.ports import StoredMessage
from greenroom.protocol import Message

VERSION: Final = 1
FIELDS_BYTES: Final = 200
"""What an event takes beside its content, roughly."""


class EventKind(enum.Enum):
    """What can be called back about; the value is the event's `type`."""

    MESSAGE = "message"
    """Somebody published in a room, and it is stored (in an ephemeral room: was sent)."""
    JOINED = "joined"
    """A user's first connection has joined a room."""
    LEFT = "left"
    """A user's last connection has left a room, or is gone."""
    FIRST_CONNECTION = "first_connection"
    """A user who had no session on this node has one now."""
    LAST_CONNECTION = "last_connection"
    """A user's last session on this node has ended."""


DROPPED: Final = "dropped"
"""The `type` of the event that stands where others had to be left out."""


@attrs.frozen
class Event:
    """One thing that happened, as its receiver reads it."""

    fields: Mapping[str, object]
    """JSON: `id` and `type` first."""
    size: int
    """Bytes, roughly."""

    @property
    def id(self) -> str:
        """The same whenever this is told; who has seen it may leave it."""
        return str(self.fields["id"])


def message_event(message: StoredMessage | Message) -> Event:
    """A message, under an id that is its place."""
    return Event(
        {
            "id": f"{message.room}/{message.epoch}/{message.offset}",
            "type": EventKind.MESSAGE.value,
            "room": message.room,
            "epoch": message.epoch,
            "offset": message.offset,
            "message_id": message.message_id,
            "user": message.user,
            "content": message.content,
            "timestamp": message.timestamp,
        },
        FIELDS_BYTES + len(message.content.encode()),
    )


def presence_event(kind: EventKind, user: str, *, id: str, room: str | None, now_ms: int) -> Event:
    """Somebody came or went, in a room or on the whole node."""
    fields: dict[str, object] = {"id": id, "type": kind.value}
    if room is not None:
        fields["room"] = room
    return Event({**fields, "user": user, "timestamp": now_ms}, FIELDS_BYTES)


def dropped_event(first: Event, count: int) -> Event:
    """Stands for `count` events that had to be left out, the first of which was `first`."""
    fields = {"id": f"{first.id}/dropped", "type": DROPPED, "count": count}
    return Event(fields, FIELDS_BYTES)


def callback_of(events: Sequence[Event], *, node: str, room: str | None) -> Callback:
    """One request about one room. The same events always make the same request, under one id."""
    body = {
        "version": VERSION,
        "node": node,
        "room": room,
        "events": [event.fields for event in events],
    }
    ids = "\n".join(event.id for event in events)
    return Callback(
        # Of no letter that a user chose: the signature's parts are joined by full stops.
        id="cb_" + blake2b(ids.encode(), digest_size=16).hexdigest(),
        room=room,
        events=len(events),
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    )
