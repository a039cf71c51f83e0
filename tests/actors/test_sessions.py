"""Sessions: who had which connection, and for how long that counts."""

import itertools
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.actors.sessions import MOST_WAITING_PER_USER, Session, Sessions, is_goodbye
from greenroom.protocol import Claims, CloseCode


def session(id: str, *, user: str = "ann", connection: object | None = None) -> Session:
    claims = Claims(subject=user, expires_at=1_000.0)
    return Session(id=id, claims=claims, connection=connection or object(), end=lambda code: None)


def empty(sessions: Sessions) -> bool:
    """Whether nothing is left in any of its tables."""
    return not any(value for value in vars(sessions).values() if isinstance(value, dict))


@pytest.mark.parametrize(
    ("said", "heard", "goodbye"),
    [
        (None, 1000, True),
        (None, 1005, True),
        (None, 1001, False),
        (None, 1006, False),
        (None, None, False),
        (None, 4005, False),
        (CloseCode.NO_HEARTBEAT, None, False),
        (CloseCode.SLOW_CONSUMER, None, False),
        (CloseCode.TOKEN_EXPIRED, None, False),
        (CloseCode.SHUTDOWN, None, False),
        (CloseCode.ACTOR_CRASHED, 1000, False),
        (CloseCode.KICKED, None, True),
        (CloseCode.PROTOCOL_ERROR, None, True),
        (CloseCode.SESSION_REPLACED, None, False),
    ],
)
def test_a_close_that_no_client_comes_back_from_is_a_goodbye(said, heard, goodbye):
    assert is_goodbye(said=said, heard=heard) is goodbye


def test_a_session_that_said_goodbye_ends_at_once_and_another_one_waits():
    sessions = Sessions(seconds=15, max_waiting=10)
    gone, lost = session("1"), session("2")
    sessions.open(gone)
    sessions.open(lost)
    gone.goodbye = True
    assert sessions.down(gone.connection, now=0) == []
    assert sessions.down(lost.connection, now=0) == []
    assert (sessions.has("1", user="ann"), sessions.has("2", user="ann")) == (False, True)
    assert sessions.of("ann") == ()
    assert sessions.expire(now=14.9) == []
    assert sessions.expire(now=15) == ["ann"]
    assert empty(sessions)


def test_a_session_that_waits_keeps_nothing_of_the_connection_it_had():
    """It waits for 15 s, and 10,000 may: what a connection consists of would be 12 kB each."""
    sessions, lost = Sessions(seconds=15, max_waiting=10), session("1")
    whole_connection = weakref.ref(lost.end)
    sessions.open(lost)
    sessions.down(lost.connection, now=0)
    assert sessions.waits("1")
    assert whole_connection() is None


def test_a_session_is_its_users_only():
    sessions = Sessions(seconds=15, max_waiting=10)
    sessions.open(session("1", user="ann"))
    assert sessions.has("1", user="ann")
    assert not sessions.has("1", user="bob")
    assert not sessions.has("2", user="ann")


def test_of_more_than_may_wait_the_oldest_ends():
    sessions = Sessions(seconds=15, max_waiting=3)
    opened = [session(str(number), user=f"u{number}") for number in range(4)]
    for each in opened:
        sessions.open(each)
    assert [sessions.down(each.connection, now=0) for each in opened] == [[], [], [], ["u0"]]


def test_a_user_who_reconnects_without_end_crowds_out_nobody():
    sessions = Sessions(seconds=15, max_waiting=MOST_WAITING_PER_USER + 1)
    bob = session("b", user="bob")
    sessions.open(bob)
    sessions.down(bob.connection, now=0)
    for number in range(1000):
        ann = session(str(number))
        sessions.open(ann)
        sessions.down(ann.connection, now=0)
    assert sessions.has("b", user="bob")
    assert len(sessions) == MOST_WAITING_PER_USER + 1


class SessionsAgainstAModel(RuleBasedStateMachine):
    """One table of what there is: {id: [user, connection or None, until]}."""

    def __init__(self):
        super().__init__()
        self.sessions = Sessions(seconds=10, max_waiting=4)
        self.model = {}
        self.opened = {}  # {connection: session}, those that are not down yet
        self.ids = itertools.count()
        self.now = 0.0

    def users(self):
        return {user for user, _, _ in self.model.values()}

    def end(self, ids):
        before = self.users()
        for id in ids:
            del self.model[id]
        return before - self.users()

    @rule(user=st.sampled_from(["ann", "bob"]))
    def open(self, user):
        new = session(str(next(self.ids)), user=user)
        assert self.sessions.open(new) is None
        self.model[new.id] = [user, new.connection, None]
        self.opened[new.connection] = new

    @rule(user=st.sampled_from(["ann", "bob"]), number=st.integers(0, 10))
    def resume(self, user, number):
        id = str(number)
        had = id in self.model and self.model[id][0] == user
        assert self.sessions.has(id, user=user) is had
        if not had:
            return
        again = session(id, user=user)
        before = self.model[id][1]
        replaced = self.sessions.open(again)
        assert (replaced and replaced.connection) is before
        self.model[id] = [user, again.connection, None]
        self.opened[again.connection] = again

    @rule(data=st.data(), goodbye=st.booleans())
    def down(self, data, goodbye):
        if not self.opened:
            return
        connection = data.draw(st.sampled_from(list(self.opened)))
        ended = self.opened.pop(connection)
        ended.goodbye = goodbye
        gone = self.sessions.down(connection, now=self.now)
        if self.model.get(ended.id, [None, None])[1] is not connection:
            assert gone == []
            return
        if goodbye:
            assert set(gone) == self.end([ended.id])
            return
        user = self.model.pop(ended.id)[0]
        self.model[ended.id] = [user, None, self.now + 10]  # last of those that wait
        waiting = [id for id, (_, at, _) in self.model.items() if at is None]
        assert set(gone) == self.end(waiting[:-4])

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0]))
    def wait(self, seconds):
        self.now += seconds
        due = [id for id, (_, _, until) in self.model.items() if until and until <= self.now]
        assert set(self.sessions.expire(now=self.now)) == self.end(due)

    @invariant()
    def the_same_are_known(self):
        assert len(self.sessions) == len(self.model)
        for user in ["ann", "bob"]:
            live = {id for id, (who, at, _) in self.model.items() if who == user and at}
            assert {each.id for each in self.sessions.of(user)} == live
        waiting = [until for _, _, until in self.model.values() if until]
        assert self.sessions.next_expiry == min(waiting, default=None)

    def teardown(self):
        for connection in self.opened:
            self.sessions.down(connection, now=self.now)
        self.sessions.expire(now=self.now + 10)
        assert empty(self.sessions)


TestSessionsAgainstAModel = SessionsAgainstAModel.TestCase
TestSessionsAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40)
