"""Sessions: authenticated clients, each of which may outlive its connection for a while.

Pure: the registry asks it, tells it who came and went at what time, and does what it says.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from greenroom.protocol import Claims, CloseCode, may_reconnect
from greenroom.supervisor import Ref

MOST_WAITING_PER_USER: Final = 16
"""Sessions of one user that wait for their client; of more the oldest ends. So one user who
reconnects without end can't crowd out the sessions of the others."""

_GOODBYES: Final = frozenset({1000, 1005})  # with 1005 a close frame came, and gave no code


@attrs.define(eq=False, kw_only=True)
class Session:
    """An authenticated client on this node, on the connection that it has or had last."""

    id: str = attrs.field(repr=False)
    """Unguessable; as good as the token."""
    claims: Claims = attrs.field(repr=False)
    """Of the token in force, or of the last that was: the connection keeps it so."""
    connection: Ref[Any]  # Any: whoever finds it decides what to tell it
    end: Callable[[CloseCode], object]
    """Closes the connection. May be called from anywhere and never waits."""
    goodbye: bool = False
    """Its connection ends, and no other will take the session up: the connection says so itself,
    before it is down."""
    rooms: tuple[str, ...] = ()
    """Where it is waited for: the connection that was lost says so itself, before it is down."""

    @property
    def user(self) -> str:
        """Whose it is; a token of somebody else is never put in force here."""
        return self.claims.subject


def is_goodbye(*, said: CloseCode | None, heard: int | None) -> bool:
    """Whether a connection that ends so is not followed by another of the same session.

    Args:
        said: Our close code, if we end it.
        heard: The client's, if it does: 1000, or a close without a code. A page that is closed or
            loaded again says 1001, and who knows which; it may come back.
    """
    if said is not None:
        return not may_reconnect(said) and said is not CloseCode.SESSION_REPLACED
    return heard in _GOODBYES


def _nobody_to_end(_: CloseCode) -> None:
    """Stand where `Session.end` was, which would keep all that a lost connection consisted of."""


class Sessions:
    """Who is connected, and who was just now.

    Bounded by the number of connections and by `max_waiting` sessions that wait for their client;
    of more, the one that has waited longest ends. `now` is on any clock that never goes back.

    Args:
        seconds: How long a session waits for its client to come back.
        max_waiting: How many sessions may wait at a time.
    """

    def __init__(self, *, seconds: float, max_waiting: int) -> None:
        self._seconds = seconds
        self._max_waiting = max_waiting
        self._by_id: dict[str, Session] = {}
        self._by_connection: dict[Ref[Any], Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}  # {user: {session id: session}}
        self._waiting: dict[str, float] = {}  # {session id: until}, the earliest first
        self._waiting_of: dict[str, dict[str, None]] = {}  # {user: ids}, in the same order

    def __len__(self) -> int:
        return len(self._by_id)

    def has(self, id: str, *, user: str) -> bool:
        """Whether `user` has this session: the id alone lets nobody in."""
        session = self._by_id.get(id)
        return session is not None and session.user == user

    def knows(self, user: str) -> bool:
        """Whether `user` has a session, be it one that waits."""
        return user in self._by_user

    def open(self, session: Session) -> Session | None:
        """Note a session, or that it goes on with another connection.

        Returns:
            The session as it was, on a connection that may still live and has to end now.
        """
        other = self._by_connection.get(session.connection)
        if other is not None and other.id != session.id:
            self._end(other.id)
        before = self._by_id.get(session.id)
        if before is not None:
            self._by_connection.pop(before.connection, None)
        waited = self._stop_waiting(session)
        self._by_id[session.id] = session
        self._by_connection[session.connection] = session
        self._by_user.setdefault(session.user, {})[session.id] = session
        if before is None or waited or before.connection is session.connection:
            return None
        return before

    def down(self, connection: Ref[Any], *, now: float) -> list[str]:
        """A connection has ended; its session waits for the next one, unless it said goodbye.

        Returns:
            The users whose last session has ended.
        """
        session = self._by_connection.pop(connection, None)
        if session is None:
            return []  # another connection has the session by now
        if session.goodbye:
            return self._end(session.id)
        session.end = _nobody_to_end
        self._waiting[session.id] = now + self._seconds
        waiting = self._waiting_of.setdefault(session.user, {})
        waiting[session.id] = None
        if len(waiting) > MOST_WAITING_PER_USER:
            return self._end(next(iter(waiting)))
        if len(self._waiting) > self._max_waiting:
            return self._end(next(iter(self._waiting)))
        return []

    def waits(self, id: str) -> bool:
        """Whether a session waits for its client."""
        return id in self._waiting

    def connected(self, user: str) -> int:
        """How many of a user's sessions have a connection."""
        return len(self._by_user.get(user, ())) - len(self._waiting_of.get(user, ()))

    def revoke(self, revoked: Callable[[Claims], bool]) -> tuple[list[Session], list[str]]:
        """End the sessions that wait and whose token is `revoked`.

        Those that have a connection end with it, which is ended elsewhere: none of them waits then.

        Returns:
            The sessions, both kinds, and the users whose last session has ended.
        """
        over = [session for session in self._by_id.values() if revoked(session.claims)]
        users: list[str] = []
        for session in over:
            session.goodbye = True
            if session.id in self._waiting:
                users += self._end(session.id)
        return over, users

    def expire(self, *, now: float) -> list[str]:
        """End the sessions that have waited long enough.

        Returns:
            The users whose last session has ended.
        """
        over = list(self._due(now))
        return [user for id in over for user in self._end(id)]

    @property
    def next_expiry(self) -> float | None:
        """When the next session will have waited long enough; None while none waits."""
        return next(iter(self._waiting.values()), None)

    def of(self, user: str) -> tuple[Session, ...]:
        """A user's sessions that have a connection, oldest first."""
        return tuple(
            session
            for session in self._by_user.get(user, {}).values()
            if session.id not in self._waiting
        )

    def _due(self, now: float) -> Iterator[str]:
        for id, until in self._waiting.items():
            if until > now:
                return
            yield id

    def _stop_waiting(self, session: Session) -> bool:
        if self._waiting.pop(session.id, None) is None:
            return False
        waiting = self._waiting_of[session.user]
        del waiting[session.id]
        if not waiting:
            del self._waiting_of[session.user]
        return True

    def _end(self, id: str) -> list[str]:
        session = self._by_id.pop(id)
        self._by_connection.pop(session.connection, None)
        self._stop_waiting(session)
        sessions = self._by_user[session.user]
        del sessions[id]
        if sessions:
            return []
        del self._by_user[session.user]
        return [session.user]
