"""Who may do what where: the whole table, and that no room is decided about in two ways."""

import itertools

import pytest

from greenroom.actors.rights.access import (
    SOURCES,
    RoomKind,
    RoomPolicies,
    RoomPolicy,
    Source,
    Word,
    refusal,
    rights_in,
    source_of,
)
from greenroom.protocol import ALL_RIGHTS, NO_RIGHTS, Claims, ErrorCode, Right

JOIN, PUBLISH, READ = Right
LISTEN = frozenset({JOIN, READ})
ROOMS = {
    RoomKind.PUBLIC: "lobby",
    RoomKind.EPHEMERAL: "ephemeral:a",
    RoomKind.PRIVATE: "private:a",
    RoomKind.DIRECT: "direct:ann:bob",
}
POLICIES = RoomPolicies()


def claims(user="ann", **rooms):
    return Claims(subject=user, expires_at=1.0, rooms=rooms.get("rooms", {}))


def rights(room, who, **more):
    return rights_in(room, POLICIES.of(room), who, **more)


def test_every_case_is_decided():
    assert set(SOURCES) == set(itertools.product(RoomKind, Word))


@pytest.mark.parametrize(
    ("kind", "user", "rooms", "answer", "expected"),
    [
        (RoomKind.PUBLIC, "eve", {}, None, ALL_RIGHTS),
        (RoomKind.PUBLIC, "eve", {"lobby": LISTEN}, None, LISTEN),
        (RoomKind.PUBLIC, "eve", {"*": NO_RIGHTS}, None, NO_RIGHTS),
        (RoomKind.PUBLIC, "eve", {"*": NO_RIGHTS, "lobby": LISTEN}, None, LISTEN),
        (RoomKind.PUBLIC, "eve", {"team:red": NO_RIGHTS}, None, ALL_RIGHTS),
        (RoomKind.EPHEMERAL, "eve", {}, None, ALL_RIGHTS),
        (RoomKind.EPHEMERAL, "eve", {"ephemeral:*": LISTEN}, None, LISTEN),
        (RoomKind.PRIVATE, "eve", {}, None, NO_RIGHTS),
        (RoomKind.PRIVATE, "eve", {}, LISTEN, LISTEN),
        (RoomKind.PRIVATE, "eve", {"private:b": ALL_RIGHTS}, None, NO_RIGHTS),
        (RoomKind.PRIVATE, "eve", {"private:a": LISTEN}, ALL_RIGHTS, LISTEN),
        (RoomKind.PRIVATE, "eve", {"private:*": ALL_RIGHTS}, None, ALL_RIGHTS),
        (RoomKind.PRIVATE, "eve", {"private:a": NO_RIGHTS}, ALL_RIGHTS, NO_RIGHTS),
        (RoomKind.DIRECT, "ann", {}, None, ALL_RIGHTS),
        (RoomKind.DIRECT, "bob", {"*": LISTEN}, None, LISTEN),
        (RoomKind.DIRECT, "eve", {}, ALL_RIGHTS, NO_RIGHTS),
        (RoomKind.DIRECT, "eve", {"*": ALL_RIGHTS}, None, NO_RIGHTS),
        (RoomKind.DIRECT, "eve", {"direct:ann:*": ALL_RIGHTS}, None, NO_RIGHTS),
        (RoomKind.DIRECT, "eve", {"direct:ann:bob": LISTEN}, None, LISTEN),
    ],
)
def test_rights_come_from_where_the_table_says(kind, user, rooms, answer, expected):
    assert POLICIES.of(ROOMS[kind]).kind is kind
    assert rights(ROOMS[kind], claims(user, rooms=rooms), answer=answer) == expected


def test_the_gate_is_asked_about_private_rooms_only_and_where_the_token_is_silent():
    asked = {
        (kind, bool(rooms))
        for kind, room in ROOMS.items()
        for rooms in ({}, {"*": ALL_RIGHTS})
        if source_of(room, POLICIES.of(room), claims(rooms=rooms)) is Source.GATE
    }
    assert asked == {(RoomKind.PRIVATE, False)}


def test_what_is_not_allowed_is_103_whatever_it_is():
    for right in Right:
        assert refusal(right, ALL_RIGHTS) is None
        assert refusal(right, NO_RIGHTS) is ErrorCode.PERMISSION_DENIED


def test_everybody_has_in_a_public_room_what_its_policy_says():
    policy = RoomPolicy(anyone=LISTEN)
    assert rights_in("news:today", policy, claims()) == LISTEN
    writer = claims(rooms={"news:*": ALL_RIGHTS})
    assert rights_in("news:today", policy, writer) == ALL_RIGHTS


@pytest.mark.parametrize(
    ("room", "kind"),
    [
        ("lobby", RoomKind.PUBLIC),
        ("ephemeral", RoomKind.PUBLIC),
        ("ephemeral:", RoomKind.EPHEMERAL),
        ("private:a:b", RoomKind.PRIVATE),
        ("Private:a", RoomKind.PUBLIC),
        (":private:a", RoomKind.PUBLIC),
        ("team:red", RoomKind.PUBLIC),
    ],
)
def test_the_first_prefix_says_the_kind(room, kind):
    assert POLICIES.of(room).kind is kind
