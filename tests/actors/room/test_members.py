"""Members: tabs, sessions that may come back, and what the others are told."""

import itertools

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.actors.room.members import MOST_AWAY_PER_USER, Members

NUMBERS = itertools.count()


@attrs.define(eq=False)
class Tab:
    user: str
    session: str = attrs.field(factory=lambda: f"session {next(NUMBERS)}")


def told(members: Members) -> list[tuple[str, str | None, int]]:
    return [(type(c).__name__, c.user, c.members) for c in members.pushes(members.take_changes())]


def present(members: Members) -> list[tuple[str, int]]:
    return [(member.user, member.connections) for member in members.present()]


def test_the_first_and_the_last_tab_count():
    members = Members("lobby")
    one, two = Tab("ann", "1"), Tab("ann", "2")
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
    members = Members("lobby", before.known)
    members.add(Tab("ann"))
    members.add(Tab("carl"))
    assert sorted(told(members)) == [("Joined", "carl", 2), ("Left", "bob", 2)]
    assert present(members) == [("ann", 1), ("carl", 1)]


def test_above_100_users_only_the_count_is_told():
    members = Members("lobby")
    for number in range(101):
        members.add(Tab(f"u{number}"))
    assert told(members) == [("Joined", None, 101)]


def test_a_lost_session_is_here_until_its_time_is_over():
    members = Members("lobby")
    ann = Tab("ann")
    members.add(ann)
    told(members)
    members.lose(ann, until=15)
    assert (len(members), members.next_expiry, present(members)) == (0, 15, [("ann", 1)])
    members.expire(now=14.9)
    assert told(members) == []
    members.expire(now=15)
    assert told(members) == [("Left", "ann", 0)]
    assert (members.next_expiry, present(members)) == (None, [])


def test_a_lost_session_that_comes_back_was_never_gone():
    members = Members("lobby")
    first, second = Tab("ann", "s"), Tab("ann", "s")
    members.add(first)
    told(members)
    members.lose(first, until=15)
    members.add(second)
    members.expire(now=20)
    assert (told(members), present(members)) == ([], [("ann", 1)])
    members.remove(second)
    assert told(members) == [("Left", "ann", 0)]


def test_a_session_on_a_second_connection_replaces_the_first_and_counts_once():
    members = Members("lobby")
    first, second = Tab("ann", "s"), Tab("ann", "s")
    members.add(first)
    assert members.add(second) is first
    assert (list(members), present(members)) == ([second], [("ann", 1)])
    assert not members.lose(first, until=15)
    assert not members.remove(first)
    assert present(members) == [("ann", 1)]


def test_the_last_tab_to_leave_does_not_take_a_lost_one_along():
    members = Members("lobby")
    lost, here = Tab("ann", "1"), Tab("ann", "2")
    members.add(lost)
    members.add(here)
    told(members)
    members.lose(lost, until=15)
    members.remove(here)
    assert (told(members), present(members)) == ([], [("ann", 1)])
    members.expire(now=15)
    assert told(members) == [("Left", "ann", 0)]


def test_who_was_lost_before_a_crash_of_the_room_may_still_come_back_after_it():
    before = Members("lobby")
    ann = Tab("ann", "s")
    before.add(ann)
    told(before)
    before.lose(ann, until=15)
    members = Members("lobby", before.known)
    assert (told(members), present(members)) == ([], [("ann", 1)])
    members.add(Tab("ann", "s"))
    members.expire(now=15)
    assert told(members) == []


def test_one_user_can_lose_no_more_than_a_few_sessions():
    members = Members("lobby")
    for number in range(1000):
        tab = Tab("ann", str(number))
        members.add(tab)
        members.lose(tab, until=15 + number)
    assert len(members.known.away["ann"]) == MOST_AWAY_PER_USER
    members.expire(now=2000)
    told(members)
    assert members.known.away == {}
    assert members.known.told == set()


class MembersAgainstAModel(RuleBasedStateMachine):
    """Sessions as a plain table: {session: (user, tab or None, until)}."""

    def __init__(self):
        super().__init__()
        self.members = Members("lobby")
        self.model = {}
        self.heard = set()
        self.now = 0.0

    sessions = st.sampled_from(["ann-1", "ann-2", "ann-3", "bob-1", "bob-2"])

    def live(self):
        return {s: tab for s, (tab, _) in self.model.items() if tab is not None}

    @rule(session=sessions)
    def join(self, session):
        tab = Tab(session.partition("-")[0], session)
        former = self.members.add(tab)
        assert former is self.live().get(session)
        self.model[session] = (tab, None)

    @rule(session=sessions)
    def leave(self, session):
        if (tab := self.live().get(session)) is not None:
            assert self.members.remove(tab)
            del self.model[session]

    @rule(session=sessions)
    def lose(self, session):
        if (tab := self.live().get(session)) is not None:
            assert self.members.lose(tab, until=self.now + 15)
            self.model[session] = (None, self.now + 15)

    @rule(seconds=st.sampled_from([1.0, 7.0, 15.0]))
    def wait(self, seconds):
        self.now += seconds
        self.members.expire(now=self.now)
        self.model = {s: (t, u) for s, (t, u) in self.model.items() if u is None or u > self.now}

    @rule()
    def tell(self):
        for kind, user, _ in told(self.members):
            assert (user in self.heard) is (kind == "Left")
            self.heard ^= {user}
        assert self.heard == {session.partition("-")[0] for session in self.model}

    @rule()
    def crash(self):
        self.members = Members("lobby", self.members.known)
        for tab in self.live().values():
            self.members.add(tab)

    @invariant()
    def the_same_are_here(self):
        live = [session.partition("-")[0] for session in self.live()]
        users = {session.partition("-")[0] for session in self.model}
        assert dict(present(self.members)) == {user: live.count(user) or 1 for user in users}
        assert len(self.members) == len(live)
        away = [until for tab, until in self.model.values() if tab is None]
        assert self.members.next_expiry == min(away, default=None)


TestMembersAgainstAModel = MembersAgainstAModel.TestCase
TestMembersAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40)
