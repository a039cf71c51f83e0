"""A message as a row: which columns make a `StoredMessage`, and which a new row has."""

from collections.abc import Sequence
from typing import Any

from greenroom.actors.ports import StoredMessage
from greenroom.node.storage.numbering import KnownMessage, MessageKey, NumberedMessage
from greenroom.node.storage.tables import messages

# Spelled out once: the columns that make a StoredMessage, in the order `stored` reads them.
STORED = (
    messages.c.id,
    messages.c.room,
    messages.c.epoch,
    messages.c.offset,
    messages.c.user,
    messages.c.key,
    messages.c.content,
    messages.c.timestamp,
    messages.c.status,
)
KNOWN = (*STORED, messages.c.content_hash)
"""Those of a `KnownMessage`."""
NEW = (
    messages.c.room,
    messages.c.epoch,
    messages.c.offset,
    messages.c.user,
    messages.c.key,
    messages.c.content,
    messages.c.content_hash,
    messages.c.timestamp,
    messages.c.node,
    messages.c.status,
)
"""Those of `new_row`, in its order."""


# Any: a row's columns have one type each, and `STORED` says which.
def stored(row: Sequence[Any]) -> StoredMessage:
    """Read what was selected as `STORED`, or as `KNOWN`."""
    message_id, room, epoch, offset, user, key, content, timestamp, status = row[: len(STORED)]
    return StoredMessage(
        message_id=message_id,
        room=room,
        epoch=epoch,
        offset=offset,
        user=user,
        key=key,
        content=content,
        timestamp=timestamp,
        status=status,
    )


def known(row: Sequence[Any]) -> tuple[MessageKey, KnownMessage]:
    """Read what was selected as `KNOWN`."""
    message = stored(row)
    return (message.room, message.user, message.key), KnownMessage(message, row[len(STORED)])


def new_row(numbered: NumberedMessage, node: str) -> tuple[object, ...]:
    """Return the values of the columns `NEW`."""
    message = numbered.message
    return (
        message.room,
        numbered.epoch,
        numbered.offset,
        message.user,
        message.key,
        message.content,
        message.content_hash,
        message.timestamp,
        node,
        0,
    )
