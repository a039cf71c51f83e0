"""Members: tabs, and what the others are told."""

import attrs

from greenroom.actors.members import Members


@attrs.define(eq=False)
class Tab:
    user: str


def told(members: Members) -> list[tuple[str, str | None, int]]:
    return [(type(c).__name__, c.user, c.members) for c in members.take_changes()]


def test_the_first_and_the_last_tab_count():
    members = Members("lobby")
    one, two = Tab("ann"), Tab("ann")
    members.add(one)
    members.add(two)
    assert told(members) == [("Joined", "ann", 1)]
    assert members.remove(one)
    assert told(members) == []
    assert members.remove(two)
    assert not members.remove(two)
    assert told(members) == [("Left", "ann", 0)]


def test_changes_that_cancel_each_other_out_are_not_told():
    members = Members("lobby")
    ann = Tab("ann")
    members.add(ann)
    members.remove(ann)
    assert told(members) == []
    members.add(ann)
    told(members)
    members.remove(ann)
    members.add(ann)
    assert told(members) == []


def test_after_a_crash_who_is_back_is_not_told_and_who_is_not_has_left():
    before = Members("lobby")
    before.add(Tab("ann"))
    before.add(Tab("bob"))
    told(before)
    members = Members("lobby", told=before.told)
    members.add(Tab("ann"))
    members.add(Tab("carl"))
    assert sorted(told(members)) == [("Joined", "carl", 2), ("Left", "bob", 2)]
    assert [(m.user, m.connections) for m in members.present()] == [("ann", 1), ("carl", 1)]


def test_above_100_users_only_the_count_is_told():
    members = Members("lobby")
    for number in range(101):
        members.add(Tab(f"u{number}"))
    assert told(members) == [("Joined", None, 101)]
