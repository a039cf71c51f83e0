"""One room's queue: what a reader gets, whatever the node sends in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakenode import EPOCH, ack, join_ok, message

from greenroom.client._feed import Feed
from greenroom.protocol import Gap, HistoryOk, Join, Message, Position, Publish

JOIN = Join(id=1, room="lobby")


def joined(offset=0, **options):
    feed = Feed("lobby", capacity=options.pop("capacity", 100))
    feed.joined(join_ok(JOIN, offset, **options))
    return feed


def drain(feed):
    return [
        item.offset if isinstance(item, Message) else (item.from_offset, item.to_offset)
        for item in iter(lambda: feed.pop() if feed else None, None)
    ]


def own(offset):
    return ack(Publish(id=1, room="lobby", content=""), offset)


def page(*offsets, more=False, epoch=EPOCH):
    return HistoryOk(
        id=1,
        room="lobby",
        epoch=epoch,
        messages=tuple(message(offset, epoch=epoch) for offset in offsets),
        more=more,
    )


def gap(first, last, *, epoch=EPOCH, reason="expired"):
    return Gap(room="lobby", epoch=epoch, from_offset=first, to_offset=last, reason=reason)


def test_first_join_starts_with_what_comes_next():
    feed = joined(7)
    feed.message(message(8))
    assert drain(feed) == [8]


def test_message_that_came_before_is_dropped():
    feed = joined(0)
    for offset in (1, 2, 2, 1, 3):
        feed.message(message(offset))
    assert drain(feed) == [1, 2, 3]


def test_own_acks_move_the_position_over_their_offsets():
    feed = joined(0)
    feed.acknowledged(own(2))
    assert feed.position == Position(EPOCH, 0)
    feed.message(message(1))
    assert feed.position == Position(EPOCH, 2)


def test_new_epoch_is_a_gap_and_then_the_new_messages():
    feed = joined(5)
    feed.joined(join_ok(JOIN, 1, [message(1, epoch="e2")], False, "e2"))
    assert drain(feed) == [(1, 0), 1]
    assert feed.position == Position("e2", 1)


@pytest.mark.parametrize("read_at_once", [False, True])
def test_position_that_the_node_never_gave_out_is_a_gap_and_then_what_comes(read_at_once):
    """A database put back without a new epoch: what is said next has offsets that we had before."""
    feed = joined(99)
    feed.acknowledged(own(101))
    feed.joined(join_ok(JOIN, 3))
    items = drain(feed) if read_at_once else []
    feed.gap(gap(100, 3, reason="epoch"))
    for offset in (4, 5):
        feed.message(message(offset))
    assert items + drain(feed) == [(1, 3) if read_at_once else (100, 3), 4, 5]
    assert feed.position == Position(EPOCH, 5)


def test_gap_of_another_history_in_the_stream_forgets_the_offsets():
    feed = joined(99)
    feed.gap(gap(100, 3, reason="epoch"))
    feed.message(message(4))
    assert drain(feed) == [(100, 3), 4]


@pytest.mark.parametrize("read_at_once", [False, True])
def test_gap_of_the_node_after_an_unrecovered_join_is_told_once(read_at_once):
    feed = joined(5)
    feed.joined(join_ok(JOIN, 20))
    items = drain(feed) if read_at_once else []
    feed.gap(gap(6, 20))
    feed.message(message(21))
    assert items + drain(feed) == [(6, 20), 21]


def test_gap_takes_the_reason_that_the_node_gives():
    feed = joined(5)
    feed.joined(join_ok(JOIN, 20))
    feed.gap(gap(6, 20, reason="expired"))
    assert feed.pop().reason == "expired"


def test_full_queue_falls_behind_and_is_completed_by_pages():
    feed = joined(0, capacity=3)
    for offset in range(1, 9):
        feed.message(message(offset))
    assert drain(feed) == [1, 2, 3]
    assert feed.behind
    feed.page(page(4, 5, 6, more=True))
    feed.page(page(7, 8))
    assert not feed.behind
    assert drain(feed) == [4, 5, 6, 7, 8]


def test_what_the_history_no_longer_has_is_a_gap():
    feed = joined(0, capacity=1)
    for offset in range(1, 9):
        feed.message(message(offset))
    feed.page(page(6, 7, 8))
    assert drain(feed) == [1, (2, 5), 6, 7, 8]


def test_room_without_history_says_what_was_dropped():
    feed = joined(0, capacity=1)
    for offset in range(1, 9):
        feed.message(message(offset))
    feed.give_up()
    feed.message(message(9))
    assert drain(feed) == [1, (2, 8)]


def test_page_that_ends_before_the_newest_keeps_the_feed_behind():
    feed = joined(0, capacity=1)
    for offset in range(1, 5):
        feed.message(message(offset))
    feed.page(page(2, 3))
    assert feed.behind
    feed.page(page(4))
    assert not feed.behind


def test_queue_stays_bounded_whatever_epochs_come():
    feed = joined(0, capacity=10)
    for number in range(1000):
        feed.message(message(1, epoch=f"e{number}"))
    assert len(feed) <= 12


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("message"), st.integers(1, 12)),
            st.tuples(st.just("ack"), st.integers(1, 12)),
            st.tuples(st.just("page"), st.integers(0, 12)),
            st.tuples(st.just("rejoin"), st.integers(0, 12)),
            st.tuples(st.just("read"), st.just(0)),
        )
    )
)
def test_no_offset_is_ever_given_twice_or_out_of_order(steps):
    feed = joined(0, capacity=3)
    seen = []
    for step, number in steps:
        match step:
            case "message":
                feed.message(message(number))
            case "ack":
                feed.acknowledged(own(number))
            case "page" if feed.position is not None:
                after = feed.position.offset
                feed.page(page(*range(after + 1, min(after + 4, number + 1))))
            case "rejoin" if feed.position is not None:
                after = feed.position.offset
                missed = [message(offset) for offset in range(after + 1, number + 1)]
                feed.joined(join_ok(JOIN, max(number, after), missed, True))
            case _:
                seen += [item for item in drain(feed) if isinstance(item, int)]
    seen += [item for item in drain(feed) if isinstance(item, int)]
    assert seen == sorted(set(seen))
