"""What the terminal client shows for each event."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.client import Gap, Joined, Left, Member, Message, State, Status
from greenroom.node.commands.terminal import (
    gap_line,
    members_line,
    message_line,
    presence_line,
    status_line,
    visible,
)


def message(user="ann", content="hello"):
    return Message(
        room="lobby",
        epoch="e",
        offset=1,
        message_id=1,
        user=user,
        content=content,
        timestamp=1_717_036_800_000,
    )


def gap(first, last):
    return Gap(room="lobby", epoch="e", from_offset=first, to_offset=last, reason="expired")


def test_a_message_has_a_time_a_name_and_one_line():
    assert message_line(message(content="two\nlines"), UTC) == "02:40 ann: two / lines"


@given(st.text())
def test_nothing_of_a_message_can_command_the_terminal(text):
    line = message_line(message(user=text, content=text), UTC)
    assert line.isprintable()


def test_control_characters_leave_a_mark():
    assert visible("a\x1b[31mb\u202ec") == "a\ufffd[31mb\ufffdc"


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (gap(3, 5), "-- 3 messages are missing here --"),
        (gap(3, 3), "-- 1 message is missing here --"),
        (gap(3, 2), "-- some messages are missing here --"),
    ],
)
def test_a_gap_says_how_much_is_missing(missing, line):
    assert gap_line(missing) == line


def test_who_comes_and_goes_is_named_where_the_node_names_them():
    assert presence_line(Joined(room="x", user="ann", members=2)) == (
        "-- ann is here (2 in the room) --"
    )
    assert presence_line(Left(room="x", user="ann", members=1)) == (
        "-- ann has left (1 in the room) --"
    )
    assert presence_line(Left(room="x", members=500)) is None


def test_members_are_listed_by_name():
    members = (Member(user="bob", connections=1), Member(user="ann", connections=2))
    assert members_line(members) == "-- here: ann, bob --"


async def test_a_lost_connection_says_when_it_tries_again(mock_clock):
    status = Status(state=State.DISCONNECTED, retry_at=4.0, detail="connection refused")
    assert status_line(status) == "-- no connection: connection refused; next try in 4 s --"
    assert status_line(Status(state=State.CONNECTED)) == "-- connected --"


@pytest.mark.parametrize(("seconds", "when"), [(0.0, "now"), (0.4, "in 0.4 s"), (1.6, "in 2 s")])
async def test_a_wait_of_less_than_a_second_is_not_rounded_to_none(mock_clock, seconds, when):
    status = Status(state=State.DISCONNECTED, retry_at=seconds)
    assert status_line(status) == f"-- no connection; next try {when} --"
