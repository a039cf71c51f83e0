"""What JOIN with `since` brings: exactly what was missed, or a GAP that says what not."""

import pytest
from support.cast_pieces import remembered

from greenroom.actors.ports import Head
from greenroom.actors.room.recovery import Lost, MustRead, Recovered, join_up, plan
from greenroom.actors.room.ring import Ring
from greenroom.protocol import GapReason, Position

LIMITS = {"max_messages": 50, "max_bytes": 2000}


def ring_of(first: int, last: int) -> Ring:
    ring = Ring(max_messages=1000, max_bytes=100_000)
    for offset in range(first, last + 1):
        ring.append(remembered(offset))
    return ring


def offsets(outcome) -> list[int]:
    return [entry.message.offset for entry in outcome.entries]


@pytest.mark.parametrize(
    ("since", "outcome"),
    [
        (None, Recovered((), complete=False)),
        (Position("e", 10), Recovered(())),
        (Position("old", 10), Lost(GapReason.EPOCH, 11, 10)),
        (Position("e", 11), Lost(GapReason.EPOCH, 12, 10)),
        (Position("x", 2**53 - 1), Lost(GapReason.EPOCH, 2**53 - 1, 10)),
        (Position("e", 3), MustRead(3, 7)),
    ],
)
def test_plan(since, outcome):
    assert plan(since, Head("e", 10), ring_of(6, 10), **LIMITS) == outcome


def test_plan_takes_from_the_ring_what_is_there():
    outcome = plan(Position("e", 7), Head("e", 10), ring_of(6, 10), **LIMITS)
    assert offsets(outcome) == [8, 9, 10]


def test_plan_refuses_more_than_one_answer_carries():
    outcome = plan(Position("e", 0), Head("e", 51), ring_of(1, 51), **LIMITS)
    assert outcome == Lost(GapReason.TOO_MANY, 1, 51)


@pytest.mark.parametrize("forgotten", [GapReason.EXPIRED, GapReason.DROPPED])
def test_plan_does_not_promise_to_history_what_is_gone(forgotten):
    """Of 51 missed, one is there no more: `too_many` would say that HISTORY has them all."""
    gone = {"first": 2, "forgotten": forgotten}
    outcome = plan(Position("e", 0), Head("e", 51), ring_of(2, 51), **LIMITS, **gone)
    assert outcome == Lost(forgotten, 1, 51)


def test_plan_counts_bytes_as_they_go_over_the_wire():
    """400 control characters are 2,400 bytes of JSON escapes."""
    ring = Ring(max_messages=10, max_bytes=10_000)
    ring.append(remembered(1, content="\x01" * 400))
    outcome = plan(Position("e", 0), Head("e", 1), ring, **LIMITS)
    assert outcome == Lost(GapReason.TOO_MANY, 1, 1)


def test_what_was_read_meets_the_ring():
    read = [remembered(offset) for offset in range(4, 9)]
    outcome = join_up(MustRead(3, 9), read, Head("e", 12), ring_of(6, 12), **LIMITS)
    assert offsets(outcome) == list(range(4, 13))


def test_behind_a_stream_that_outran_the_ring_the_rest_is_read_too():
    read = [remembered(offset) for offset in range(4, 9)]
    outcome = join_up(MustRead(3, 9), read, Head("e", 12), ring_of(10, 12), **LIMITS)
    assert outcome == MustRead(3, 4, read)
    assert outcome.after == 8
    page = [remembered(offset) for offset in range(9, 13)]
    outcome = join_up(outcome, page, Head("e", 14), ring_of(12, 14), **LIMITS)
    assert offsets(outcome) == list(range(4, 15))


def test_history_that_is_gone_when_it_is_read_on_is_a_gap():
    plan = MustRead(3, 4, [remembered(offset) for offset in range(4, 9)])
    outcome = join_up(plan, [], Head("e", 12), ring_of(10, 12), **LIMITS)
    assert outcome == Lost(GapReason.EXPIRED, 4, 12)


def test_a_stream_that_outran_what_one_answer_carries_is_a_gap_that_history_can_fill():
    read = [remembered(offset) for offset in range(4, 50)]
    outcome = join_up(MustRead(3, 51), read, Head("e", 54), ring_of(53, 54), **LIMITS)
    assert outcome == Lost(GapReason.TOO_MANY, 4, 54)


def test_a_hole_in_what_was_read_is_a_gap():
    read = [remembered(offset) for offset in (4, 6, 7, 8)]
    outcome = join_up(MustRead(3, 9), read, Head("e", 12), ring_of(9, 12), **LIMITS)
    assert outcome == Lost(GapReason.EXPIRED, 4, 12)


def test_history_that_is_gone_is_a_gap():
    outcome = join_up(MustRead(3, 9), [], Head("e", 12), ring_of(10, 12), **LIMITS)
    assert outcome == Lost(GapReason.EXPIRED, 4, 12)


def test_a_read_that_ended_because_it_was_full_is_too_many_and_not_expired():
    read = [remembered(offset, content="x" * 900) for offset in (4, 5, 6)]
    outcome = join_up(MustRead(3, 27), read, Head("e", 30), ring_of(29, 30), **LIMITS)
    assert outcome == Lost(GapReason.TOO_MANY, 4, 30)
