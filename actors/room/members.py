"""Who is in a room: connections, the users behind them, and what the others have to be told.

A user is here while a connection of theirs is, and as long after it was lost as its session may
come back. Pure: a room asks it questions and sends the answers.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

import attrs

from greenroom.protocol import Joined, Left, Member

NAMED_CHANGES_UP_TO = 100
"""Users in a room up to which changes are told by name; beyond that only the count is told."""

MOST_AWAY_PER_USER: Final = 8
"""Lost sessions of one user that a room waits for; of more, the one lost first has left. A user who
connects and drops without end costs a room no more than this."""
MOST_AWAY_USERS: Final = 10_000
"""Users with lost sessions that a room waits for; one more has left at once."""


class HasSession(Hashable, Protocol):
    """A member: one connection of a user. Compared by identity."""

    @property
    def user(self) -> str:
        """Whose connection it is."""
        ...

    @property
    def session(self) -> str:
        """Which one of the user's; another connection may go on with it."""
        ...


S = TypeVar("S", bound=HasSession)


@attrs.define(eq=False)
class Known:
    """What a room keeps of its members over a crash; the connections register again themselves."""

    told: set[str] = attrs.field(factory=set[str])
    """Users whom the members believe to be here."""
    away: dict[str, dict[str, float]] = attrs.field(factory=dict[str, dict[str, float]], repr=False)
    # {user: {session: until}}, the sessions lost first come first


@attrs.define(eq=False)
class Members(Generic[S]):
    """The members of one room, and the changes not told yet.

    A user who comes and goes between two tellings is not told at all, so a crowd that reconnects
    costs the others one push per telling and user, whatever it does in between. After a crash of
    the room, who is back at the next telling was never gone, and who is not has left.
    """

    room: str
    known: Known = attrs.field(factory=Known)
    _connections: dict[S, None] = attrs.field(factory=dict[S, None], init=False)  # delivery order
    _by_session: dict[str, S] = attrs.field(factory=dict[str, S], init=False, repr=False)
    _tabs: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    # {user: connections in the room}; 0 for one of whom only lost sessions are waited for
    _to_check: dict[str, None] = attrs.field(init=False)  # users, in the order of their changes

    def __attrs_post_init__(self) -> None:
        self._to_check = dict.fromkeys([*self.known.told, *self.known.away])
        self._tabs.update(dict.fromkeys(self.known.away, 0))

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[S]:
        return iter(self._connections)

    def __contains__(self, member: object) -> bool:
        return member in self._connections

    @property
    def users(self) -> int:
        """How many different users are here."""
        return len(self._tabs)

    def has_user(self, user: str) -> bool:
        """Whether `user` is here already."""
        return user in self._tabs

    def has_session(self, session: str) -> bool:
        """Whether a connection of `session` is here, which another one would replace."""
        return session in self._by_session

    def of_session(self, session: str) -> S | None:
        """The member on the connection of `session`, if one is here."""
        return self._by_session.get(session)

    @property
    def changed(self) -> bool:
        """Whether there may be something to tell."""
        return bool(self._to_check)

    def add(self, member: S) -> S | None:
        """A connection has joined.

        Returns:
            The member on the former connection of the same session, which it replaces.
        """
        if member in self._connections:
            return None
        former = self._by_session.get(member.session)
        if former is not None:
            del self._connections[former]
            self._tabs[former.user] -= 1
        self._connections[member] = None
        self._by_session[member.session] = member
        self._forget_away(member.user, member.session)
        if member.user not in self._tabs:
            self._tabs[member.user] = 0
            self._to_check[member.user] = None
        self._tabs[member.user] += 1
        return former

    def remove(self, member: S) -> bool:
        """A connection has left for good; False if it was not here."""
        if member not in self._connections:
            return False
        del self._connections[member]
        del self._by_session[member.session]
        self._tabs[member.user] -= 1
        self._check_gone(member.user)
        return True

    def lose(self, member: S, *, until: float) -> bool:
        """A connection was lost; its session may come back `until` then. False: it was not here.

        `until` is never earlier than that of any call before.
        """
        if member not in self._connections:
            return False
        if member.user in self.known.away or len(self.known.away) < MOST_AWAY_USERS:
            away = self.known.away.setdefault(member.user, {})
            away[member.session] = until
            if len(away) > MOST_AWAY_PER_USER:
                del away[next(iter(away))]
        return self.remove(member)

    def forsake(self, user: str, session: str) -> None:
        """A lost session is waited for no longer."""
        if user in self.known.away:
            self._forget_away(user, session)
            self._check_gone(user)

    def expire(self, *, now: float) -> None:
        """Who has not come back by now has left."""
        for user, sessions in list(self.known.away.items()):
            for session, until in list(sessions.items()):
                if until > now:
                    break
                self._forget_away(user, session)
            self._check_gone(user)

    @property
    def next_expiry(self) -> float | None:
        """When the next lost session will have been waited for long enough; None without any."""
        if not self.known.away:
            return None
        return min(next(iter(away.values())) for away in self.known.away.values())

    def present(self) -> tuple[Member, ...]:
        """Everybody who is here, in the order in which they came."""
        return tuple(Member(user, tabs or 1) for user, tabs in self._tabs.items())

    def take_changes(self) -> dict[str, bool]:
        """Who has come (True) and who has gone since the last time, by user."""
        changes = {
            user: came
            for user in self._to_check
            if (came := user in self._tabs) is not (user in self.known.told)
        }
        self._to_check.clear()
        self.known.told.symmetric_difference_update(changes)
        return changes

    def pushes(self, changes: Mapping[str, bool]) -> list[Joined | Left]:
        """What to tell the members of `changes`: by name, or in a large room how many are here."""
        if not changes:
            return []
        count = self.users
        if count <= NAMED_CHANGES_UP_TO:
            return [
                (Joined if came else Left)(room=self.room, user=user, members=count)
                for user, came in changes.items()
            ]
        kind = Joined if any(changes.values()) else Left
        return [kind(room=self.room, members=count)]

    def _forget_away(self, user: str, session: str) -> None:
        away = self.known.away.get(user)
        if away is not None:
            away.pop(session, None)
            if not away:
                del self.known.away[user]

    def _check_gone(self, user: str) -> None:
        if not self._tabs.get(user, 1) and user not in self.known.away:
            del self._tabs[user]
            self._to_check[user] = None
