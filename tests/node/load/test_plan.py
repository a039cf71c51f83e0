"""Who sends what when."""

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.load.plan import LoadOptionError, Plan
from greenroom.protocol import is_valid_room_name

PLAN = Plan(
    run="abc123",
    rooms=3,
    members=4,
    rate=60,
    size=100,
    ramp_seconds=6,
    seconds=2,
    prefix="ephemeral:load-",
)
SIZES = st.integers(1, 12)


@given(rooms=SIZES, members=SIZES)
def test_every_connection_takes_its_turn_and_every_room_as_many(rooms, members):
    plan = attrs.evolve(PLAN, rooms=rooms, members=members)
    turns = [plan.sender_of(number) for number in range(3 * plan.connections)]
    assert Counter(turns) == dict.fromkeys(range(plan.connections), 3)
    assert Counter(plan.room_of(c) for c in range(plan.connections)) == dict.fromkeys(
        range(rooms), members
    )


@given(rooms=SIZES, members=SIZES)
def test_the_messages_of_a_room_are_numbered_without_holes(rooms, members):
    plan = attrs.evolve(PLAN, rooms=rooms, members=members)
    numbers = {room: [] for room in range(rooms)}
    for message in range(5 * rooms):
        room = plan.room_of(plan.sender_of(message))
        numbers[room].append(plan.number_in_room(message))
    assert all(each == [0, 1, 2, 3, 4] for each in numbers.values())


def test_messages_are_due_evenly_and_connections_open_over_the_ramp():
    assert PLAN.messages == 120
    assert [PLAN.due_at(n) for n in (0, 60, 90)] == [0, 1, 1.5]
    assert [PLAN.connect_at(n) for n in (0, 6, 11)] == [0, 3, 5.5]
    assert PLAN.deliveries_per_second == 180


def test_rooms_have_names_that_a_node_takes():
    longest = attrs.evolve(PLAN, prefix="x" * 88, rooms=100_000, members=1)
    assert all(is_valid_room_name(longest.room(n)) for n in (0, 99_999))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rooms": 0}, "--rooms must be a number from 1 to 100,000, not 0"),
        ({"members": -1}, "--members must be a number from 1 to 100,000, not -1"),
        (
            {"rooms": 400, "members": 400},
            "--rooms times --members must be at most 100000, not 160000",
        ),
        ({"rate": float("nan")}, "--rate must be a number from 0 to 1,000,000, not nan"),
        ({"size": 5}, "--size must be a number from 32 to 32,768 bytes, not 5"),
        ({"seconds": -1}, "--seconds must be a number from 0 to 86,400 seconds, not -1"),
        (
            {"rate": 1_000_000, "seconds": 3600},
            "--rate times --seconds must be at most 100000000 messages, not 3600000000",
        ),
        (
            {"prefix": "a room"},
            "--prefix must be at most 88 of A-Z a-z 0-9 . _ : -, not 'a room'",
        ),
    ],
)
def test_what_can_not_be_is_one_line_that_names_the_option(change, complaint):
    with pytest.raises(LoadOptionError) as caught:
        attrs.evolve(PLAN, **change)
    assert str(caught.value) == complaint
