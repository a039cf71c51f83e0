"""Rights in rooms, as a token names them, and the rooms of two users."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import (
    ALL_RIGHTS,
    NO_RIGHTS,
    Right,
    direct_room,
    is_direct_room_of,
    is_valid_room_name,
    issue_token,
    match_room,
    read_room_rights,
    verify_token,
)

SECRET = "s" * 32
users = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())


def test_a_token_carries_the_rights_it_was_issued_with():
    rooms = {"team:red": ALL_RIGHTS, "news*": frozenset({Right.JOIN}), "*": NO_RIGHTS}
    token = issue_token("ada", secret=SECRET, now=0, lifetime_seconds=60, rooms=rooms)
    assert verify_token(token, secret=SECRET, now=1).rooms == rooms


@pytest.mark.parametrize(
    "rooms", [{"team red": ALL_RIGHTS}, {f"team:{n}": ALL_RIGHTS for n in range(300)}]
)
def test_rooms_that_no_node_would_take_are_not_issued(rooms):
    with pytest.raises(ValueError, match=r"room|longer"):
        issue_token("ada", secret=SECRET, now=0, lifetime_seconds=60, rooms=rooms)


def test_the_longest_pattern_decides_and_a_whole_name_before_any():
    rooms = read_room_rights(
        {"*": [], "team:*": ["join"], "team:red*": ["read"], "team:red": ["publish"]}
    )
    assert match_room("lobby", rooms) == ("*", NO_RIGHTS)
    assert match_room("team:blue", rooms) == ("team:*", {Right.JOIN})
    assert match_room("team:reds", rooms) == ("team:red*", {Right.READ})
    assert match_room("team:red", rooms) == ("team:red", {Right.PUBLISH})
    assert match_room("lobby", {"team:*": ALL_RIGHTS}) is None


def test_two_users_have_one_room_whoever_asks():
    assert direct_room("bob", "ann") == direct_room("ann", "bob") == "direct:ann:bob"
    assert direct_room("Ann Lee", "josé", prefix="dm") == "dm:Ann.20Lee:jos.c3.a9"
    assert direct_room("a" * 46, "b" * 46) is not None
    assert direct_room("a" * 47, "b" * 46) is None
    assert direct_room("ann", "ann") is None


@given(users, users, users)
def test_a_direct_room_is_of_its_two_users_and_of_nobody_else(one, two, third):
    room = direct_room(one, two)
    if room is None:
        return
    assert is_valid_room_name(room)
    assert is_direct_room_of(room, one)
    assert is_direct_room_of(room, two)
    assert is_direct_room_of(room, third) is (third in {one, two})


@pytest.mark.parametrize(
    "room",
    [
        "direct:bob:ann",
        "direct:ann:ann",
        "direct:ann",
        "direct::ann",
        "direct:ann:",
        "direct:ann:bob:carl",
        "direct",
        "ann:bob",
        "direct:ann:.62ob",
    ],
)
def test_a_room_named_otherwise_is_nobodys(room):
    assert not is_direct_room_of(room, "bob")


@given(st.text(alphabet=string.ascii_letters + ":._*-", max_size=8))
def test_every_name_of_a_room_matches_its_own_pattern_and_each_beginning(room):
    for end in range(len(room) + 1):
        pattern = room[:end] + "*"
        assert match_room(room, {pattern: ALL_RIGHTS}) == (pattern, ALL_RIGHTS)
