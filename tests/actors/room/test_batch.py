"""A batch: one write for most members, a cut one for senders and for who is further on."""

import json

from support.cast_pieces import message, read_frames

from greenroom.actors.room.batch import Batch
from greenroom.protocol import JSON_CODEC


def contents(data: bytes) -> list[str]:
    return [json.loads(text)["content"] for text in read_frames(data)]


def batch_of(*senders):
    return Batch([message(offset) for offset in range(1, len(senders) + 1)], senders)


def test_everybody_who_sent_nothing_gets_the_very_same_bytes():
    batch = batch_of("ann", "bob", None)
    one, count = batch.write_for("carl", JSON_CODEC, next_offset=1)
    other, _ = batch.write_for("dora", JSON_CODEC, next_offset=0)
    assert one is other
    assert count == 3
    assert contents(one) == ["m1", "m2", "m3"]


def test_a_sender_gets_all_but_its_own():
    batch = batch_of("ann", "bob", "ann", None)
    data, count = batch.write_for("ann", JSON_CODEC, next_offset=1)
    assert (contents(data), count) == (["m2", "m4"], 2)


def test_what_a_member_had_already_is_left_out():
    data, count = batch_of(None, None, None).write_for("carl", JSON_CODEC, next_offset=3)
    assert (contents(data), count) == (["m3"], 1)


def test_a_batch_of_ones_own_is_nothing():
    assert batch_of("ann").write_for("ann", JSON_CODEC, next_offset=1) == (b"", 0)
