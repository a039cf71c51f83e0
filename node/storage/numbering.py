"""Which message of a batch gets which offset: the decision of a commit, without the database.

The transaction reads what is there, asks `number_batch`, writes what the answer says and calls
`outcomes` with the new rows' ids. Pure: run again over its own result it finds only duplicates.
"""

from collections.abc import Mapping, Sequence

import attrs

from greenroom.actors.ports import Committed, Head, KeyConflict, NewMessage, StoredMessage

MessageKey = tuple[str, str, str]
"""(room, user, key): what makes a message the same message."""


@attrs.frozen
class KnownMessage:
    """A stored message that has one of the batch's keys."""

    message: StoredMessage
    content_hash: bytes


@attrs.frozen
class NumberedMessage:
    """A new message and the place it gets."""

    message: NewMessage
    epoch: str
    offset: int


@attrs.frozen
class Place:
    """Where a room stands."""

    head: Head
    dispatched: int
    """The offset up to which everything has been handed on."""


@attrs.frozen
class _Insert:
    """The outcome is a row to be inserted: which one, and whether somebody before was first."""

    index: int
    duplicate: bool


@attrs.frozen(kw_only=True)
class Numbering:
    """What one commit has to write, and what to answer afterwards."""

    inserts: Sequence[NumberedMessage]
    heads: Mapping[str, Head]
    """The rooms that got something new, and their newest place then."""
    answers: Sequence[_Insert | Committed | KeyConflict]
    """In the order of the batch; `outcomes` fills in the ids."""

    def outcomes(self, message_ids: Sequence[int]) -> list[Committed | KeyConflict]:
        """Return one outcome for each message of the batch, given the ids of `inserts`."""
        return [
            self._committed(answer, message_ids) if isinstance(answer, _Insert) else answer
            for answer in self.answers
        ]

    def _committed(self, outcome: _Insert, message_ids: Sequence[int]) -> Committed:
        numbered = self.inserts[outcome.index]
        new = numbered.message
        return Committed(
            StoredMessage(
                message_id=message_ids[outcome.index],
                room=new.room,
                epoch=numbered.epoch,
                offset=numbered.offset,
                user=new.user,
                key=new.key,
                content=new.content,
                timestamp=new.timestamp,
            ),
            duplicate=outcome.duplicate,
        )


def key_of(message: NewMessage) -> MessageKey:
    """Return what makes `message` the same as another one."""
    return (message.room, message.user, message.key)


def number_batch(
    batch: Sequence[NewMessage],
    *,
    heads: Mapping[str, Head],
    known: Mapping[MessageKey, KnownMessage],
) -> Numbering:
    """Give the next offset of its room to each message whose key nobody used before.

    Args:
        batch: Messages in the order in which they are to stand in their rooms.
        heads: Where each room of the batch stands now.
        known: What is stored already under keys of the batch.
    """
    now_at = dict(heads)
    inserts: list[NumberedMessage] = []
    first_uses: dict[MessageKey, int] = {}  # {key: index in inserts}
    answers: list[_Insert | Committed | KeyConflict] = []
    for message in batch:
        key = key_of(message)
        if (stored := known.get(key)) is not None:
            same = stored.content_hash == message.content_hash
            answers.append(
                Committed(stored.message, duplicate=True) if same else KeyConflict(message.key)
            )
        elif (index := first_uses.get(key)) is not None:
            same = inserts[index].message.content_hash == message.content_hash
            answers.append(_Insert(index, duplicate=True) if same else KeyConflict(message.key))
        else:
            head = now_at[message.room]
            head = now_at[message.room] = Head(head.epoch, head.offset + 1)
            first_uses[key] = len(inserts)
            answers.append(_Insert(len(inserts), duplicate=False))
            inserts.append(NumberedMessage(message, head.epoch, head.offset))
    moved = {room: head for room, head in now_at.items() if head != heads[room]}
    return Numbering(inserts=inserts, heads=moved, answers=answers)


def advances(dispatched: Mapping[str, Head], places: Mapping[str, Place]) -> dict[str, int]:
    """Return how far each room's watermark rises: never beyond the head, nor in another epoch.

    Args:
        dispatched: What has been handed on, as the commit was told.
        places: Where those rooms stood before the commit.
    """
    return {
        room: min(told.offset, places[room].head.offset)
        for room, told in dispatched.items()
        if room in places
        and told.epoch == places[room].head.epoch
        and min(told.offset, places[room].head.offset) > places[room].dispatched
    }
