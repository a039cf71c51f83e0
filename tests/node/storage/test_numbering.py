"""The numbering of a batch, held against a naive model."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.ports import Committed, Head, KeyConflict, NewMessage
from greenroom.node.storage.numbering import KnownMessage, key_of, number_batch

ROOMS = ["x", "y"]

message_strategy = st.builds(
    NewMessage,
    room=st.sampled_from(ROOMS),
    user=st.sampled_from(["ann", "bob"]),
    key=st.sampled_from("abc"),
    content=st.sampled_from(["one", "two"]),
    timestamp=st.just(1),
    content_hash=st.just(b""),
).map(lambda m: NewMessage(**{**_fields(m), "content_hash": m.content.encode()}))


def _fields(message):
    return {
        name: getattr(message, name) for name in ("room", "user", "key", "content", "timestamp")
    }


@given(st.lists(st.lists(message_strategy, max_size=12), max_size=4))
def test_numbering_agrees_with_a_dictionary_of_first_uses(batches):
    """Over any batches: holes nowhere, one row a key, others' content refused."""
    heads = {room: Head("e", 0) for room in ROOMS}
    known = {}
    first_uses = {}
    next_id = 1
    for batch in batches:
        numbering = number_batch(batch, heads=heads, known=known)
        ids = list(range(next_id, next_id + len(numbering.inserts)))
        next_id += len(ids)
        outcomes = numbering.outcomes(ids)
        heads |= numbering.heads
        for message, outcome in zip(batch, outcomes, strict=True):
            first = first_uses.get(key_of(message))
            if first is None:
                assert isinstance(outcome, Committed)
                assert not outcome.duplicate
                assert outcome.message.content == message.content
                first_uses[key_of(message)] = outcome.message
                known[key_of(message)] = KnownMessage(outcome.message, message.content_hash)
            elif first.content == message.content:
                assert outcome == Committed(first, duplicate=True)
            else:
                assert outcome == KeyConflict(message.key)
    for room in ROOMS:
        stored = sorted(m.offset for m in first_uses.values() if m.room == room)
        assert stored == list(range(1, len(stored) + 1))
        assert heads[room].offset == len(stored)
