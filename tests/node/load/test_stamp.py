"""A message's number and time, found again in whatever frame a codec makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.load.plan import MAX_MESSAGES, MAX_SECONDS
from greenroom.node.load.stamp import MIN_CONTENT_BYTES, Stamper
from greenroom.protocol import CODECS, Message

NUMBERS = st.integers(0, MAX_MESSAGES)
TIMES = st.integers(0, 2 * MAX_SECONDS * 10**6)


def frame(codec, content, *, user="load-1"):
    return codec.encode(
        Message(
            room="ephemeral:load-abc123-0",
            epoch="e",
            offset=7,
            message_id=7,
            user=user,
            content=content,
            timestamp=1_800_000_000_000,
        )
    )


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
@given(number=NUMBERS, due=TIMES, size=st.integers(MIN_CONTENT_BYTES, 500))
def test_a_stamp_is_found_in_a_frame_of_any_codec(codec, number, due, size):
    stamper = Stamper("abc123", size)
    content = stamper.write(number, due)
    assert len(content.encode()) == size
    assert stamper.find(frame(codec, content)) == (number, due)


@pytest.mark.parametrize("content", ["hello", "~", "~~~~~~", "~abc123~x~1~", "~other1~1~2~", ""])
def test_what_somebody_else_says_is_no_stamp(content):
    for codec in CODECS:
        assert Stamper("abc123", 100).find(frame(codec, content)) is None
