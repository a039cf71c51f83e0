"""A room's lane: order, bounds, and that forgetting loses nothing."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.cast_pieces import stored

from greenroom.actors.callbacks.courier import retry_delay
from greenroom.actors.callbacks.events import EventKind, presence_event
from greenroom.actors.callbacks.lane import Budget, Lane


def lane(*, done=0, max_moments=10, max_events=100, max_bytes=10**6):
    return Lane(budget=Budget(max_events, max_bytes), max_moments=max_moments, done=done)


def joined(name):
    return presence_event(EventKind.JOINED, name, id=name, room="lobby", now_ms=0)


def ids(batch):
    return [] if batch is None else [event.id.removeprefix("lobby/e/") for event in batch.events]


def next_ids(of, **bounds):
    """What the next request carries; it is then delivered."""
    batch = of.batch(**{"max_events": 100, "max_bytes": 10**6, **bounds})
    if batch is not None:
        of.finish(batch)
    return ids(batch)


def test_who_comes_between_two_messages_is_told_between_them():
    it = lane()
    it.stored([stored(1)])
    it.happened(joined("ann"), after=1)
    it.stored([stored(2)])
    assert next_ids(it) == ["1", "ann", "2"]
    assert it.idle


def test_the_same_message_told_twice_is_sent_once():
    it = lane()
    it.stored([stored(1), stored(2)])
    it.stored([stored(1), stored(2), stored(3)])
    assert next_ids(it) == ["1", "2", "3"]


def test_a_message_behind_a_gap_is_read_and_not_kept():
    """What is in the gap comes first: the lane was not told of it."""
    it = lane()
    it.stored([stored(1), stored(4)])
    assert next_ids(it) == ["1"]
    assert it.unread
    assert it.read([stored(2), stored(3), stored(4)], up_to=4) == 0
    assert next_ids(it) == ["2", "3", "4"]
    assert it.idle


def test_beyond_the_budget_messages_are_read_when_their_turn_comes():
    it = lane(max_events=2)
    it.stored([stored(n) for n in range(1, 6)])
    assert it.waiting == 2
    assert next_ids(it) == ["1", "2"]
    assert it.unread
    it.read([stored(3), stored(4), stored(5)], up_to=5)
    assert next_ids(it) == ["3", "4", "5"]


def test_a_request_tried_again_is_the_same_request_though_more_has_come():
    it = lane()
    it.stored([stored(1)])
    it.happened(joined("ann"))
    first = it.batch(max_events=100, max_bytes=10**6)
    it.forget()
    it.stored([stored(2)])
    it.happened(joined("bob"))
    assert it.unread
    it.read([stored(1), stored(2)], up_to=2)
    assert ids(it.batch(max_events=100, max_bytes=10**6)) == ids(first)


def test_forgetting_gives_the_budget_back():
    budget = Budget(100, 10**6)
    it = Lane(budget=budget, max_moments=10)
    it.stored([stored(1), stored(2)])
    it.happened(joined("ann"))
    it.forget()
    assert budget.events == 1
    it.read([stored(1), stored(2)], up_to=2)
    it.finish(it.batch(max_events=100, max_bytes=10**6))
    assert (budget.events, budget.size, it.idle) == (0, 0, True)


def test_what_finds_no_room_is_counted_in_its_place():
    it = lane(max_moments=2)
    assert [it.happened(joined(name)) for name in "abcd"] == [0, 0, 1, 1]
    batch = it.batch(max_events=100, max_bytes=10**6)
    assert ids(batch) == ["a", "b", "c/dropped"]
    assert batch.events[-1].fields["count"] == 2


def test_a_count_that_is_on_its_way_does_not_change():
    it = lane(max_moments=1)
    it.happened(joined("a"))
    it.happened(joined("b"))
    first = it.batch(max_events=100, max_bytes=10**6)
    it.happened(joined("c"))
    it.happened(joined("d"))
    again = it.batch(max_events=100, max_bytes=10**6)
    assert [event.fields for event in again.events] == [event.fields for event in first.events]
    it.finish(again)
    (rest,) = it.batch(max_events=100, max_bytes=10**6).events
    assert (rest.id, rest.fields["count"]) == ("c/dropped", 2)


def test_messages_deleted_meanwhile_are_counted_and_passed_over():
    it = lane(done=10)
    it.stored([stored(20)], keep=False)
    assert it.read([stored(18), stored(19), stored(20)], up_to=20) == 7
    assert next_ids(it) == ["18", "19", "20"]
    it.stored([stored(25)], keep=False)
    assert it.read([], up_to=25) == 5
    assert it.idle


def test_a_request_ends_at_its_bytes_but_is_never_empty():
    it = lane()
    it.stored([stored(n) for n in range(1, 5)])
    assert next_ids(it, max_bytes=300) == ["1", "2"]
    assert next_ids(it, max_bytes=1) == ["3"]


def test_a_split_request_is_half_as_large_and_the_next_one_full_again():
    it = lane()
    it.stored([stored(n) for n in range(1, 9)])
    it.batch(max_events=100, max_bytes=10**6)
    it.split()
    it.split()
    assert next_ids(it) == ["1", "2"]
    assert next_ids(it) == ["3", "4", "5", "6", "7", "8"]


def test_a_lane_rewound_reads_what_it_did_not_know_of():
    it = lane(done=7)
    it.stored([stored(8)])
    it.rewind(4)
    assert it.unread
    it.read([stored(n) for n in (5, 6, 7, 8)], up_to=8)
    assert next_ids(it) == ["5", "6", "7", "8"]


class LaneMachine(RuleBasedStateMachine):
    """A lane between a history and a receiver, against a list of what happened.

    Whatever is told, missed, forgotten and tried again: the receiver gets every message, in order;
    and of everything else what found room, in its place, with the others counted.
    """

    @initialize(
        max_events=st.integers(0, 6), max_moments=st.integers(0, 3), known=st.integers(0, 3)
    )
    def begin(self, max_events, max_moments, known):
        self.budget = Budget(max_events, 10**6)
        self.lane = Lane(budget=self.budget, max_moments=max_moments, done=known)
        self.offset = known
        self.first = known
        self.came = 0
        self.dropped = 0
        self.received = []
        self.under_way = None

    @rule(count=st.integers(1, 4), told=st.booleans())
    def message(self, count, told):
        """Stored; the telling may be lost, if somebody tells of something later."""
        rows = [stored(self.offset + n) for n in range(1, count + 1)]
        self.offset += count
        if told:
            self.lane.stored(rows)

    @rule()
    def somebody_comes(self):
        self.came += 1
        self.dropped += self.lane.happened(joined(f"u{self.came}"), after=self.offset)

    @rule(most=st.integers(1, 5), taken=st.booleans())
    def send(self, most, taken):
        if self.lane.unread:
            rows = [stored(n) for n in range(self.lane.done + 1, self.offset + 1)]
            self.lane.read(rows[: self.lane.size or most], up_to=self.lane.head)
        batch = self.lane.batch(max_events=most, max_bytes=10**6)
        if batch is None:
            return
        if self.under_way is not None:
            assert ids(batch) == self.under_way
        self.under_way = ids(batch)
        if taken:
            self.received += batch.events
            self.lane.finish(batch)
            self.under_way = None
        else:
            self.lane.forget()

    @precondition(lambda self: hasattr(self, "lane"))
    @invariant()
    def every_message_in_order(self):
        offsets = [e.fields["offset"] for e in self.received if e.fields["type"] == "message"]
        assert offsets == list(range(self.first + 1, self.first + 1 + len(offsets)))

    @precondition(lambda self: hasattr(self, "lane"))
    @invariant()
    def the_rest_in_order_and_counted(self):
        came, at = [], 0
        for event in self.received:
            match event.fields["type"]:
                case "joined":
                    came.append(int(event.fields["user"][1:]))
                case "dropped":
                    at += event.fields["count"]
        assert came == sorted(set(came))
        assert at <= self.dropped

    @precondition(lambda self: hasattr(self, "lane"))
    @invariant()
    def within_its_bounds(self):
        assert self.budget.events <= self.budget.max_events

    def teardown(self):
        if not hasattr(self, "lane"):
            return
        self.lane.stored([stored(self.offset)] if self.offset > self.first else [])
        for _ in range(10_000):
            if self.lane.idle:
                break
            self.send(3, True)
        messages = [e for e in self.received if e.fields["type"] == "message"]
        came = [e for e in self.received if e.fields["type"] == "joined"]
        counted = sum(e.fields["count"] for e in self.received if e.fields["type"] == "dropped")
        assert len(messages) == self.offset - self.first
        assert counted == self.dropped
        assert len(came) + counted == self.came
        assert (self.budget.events, self.budget.size) == (0, 0)


TestLane = LaneMachine.TestCase
TestLane.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1), (2, 2), (5, 16), (7, 60), (1_000, 60)])
def test_pauses_double_up_to_the_last_and_vary_by_half(attempt, longest):
    pauses = [
        retry_delay(attempt, first=1.0, last=60.0, random=random.Random(seed))
        for seed in range(200)
    ]
    assert longest / 2 <= min(pauses) < 0.6 * longest
    assert 0.9 * longest < max(pauses) <= longest


def test_a_receiver_that_wishes_a_longer_pause_gets_it():
    assert retry_delay(1, first=1.0, last=60.0, random=random.Random(0), wish=30.0) == 30.0
