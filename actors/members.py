"""Who is in a room: connections, the users behind them, and what the others have to be told.

Pure: a room asks it questions and sends the answers.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar

import attrs

from greenroom.protocol import Joined, Left, Member

NAMED_CHANGES_UP_TO = 100
"""Users in a room up to which changes are told by name; beyond that only the count is told."""


class HasUser(Hashable, Protocol):
    """A member: one connection of a user. Compared by identity."""

    @property
    def user(self) -> str:
        """Whose connection it is."""
        ...


S = TypeVar("S", bound=HasUser)


@attrs.define(eq=False)
class Members(Generic[S]):
    """The members of one room, and the changes not told yet.

    A user who comes and goes between two tellings is not told at all, so a crowd that reconnects
    costs the others one push per telling and user, whatever it does in between.
    """

    room: str
    _connections: dict[S, None] = attrs.field(
        factory=dict[S, None]
    )  # insertion order: delivery order
    _tabs: dict[str, int] = attrs.field(factory=dict[str, int])  # {user: connections in the room}
    _changes: dict[str, bool] = attrs.field(
        factory=dict[str, bool]
    )  # {user: came (True) or went (False)}

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

    @property
    def changed(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._changes)

    def add(self, member: S, *, silently: bool = False) -> None:
        """A connection has joined. `silently`: it was here before the room crashed."""
        if member in self._connections:
            return
        self._connections[member] = None
        tabs = self._tabs.get(member.user, 0)
        self._tabs[member.user] = tabs + 1
        if tabs == 0 and not silently:
            self._note(member.user, came=True)

    def remove(self, member: S) -> bool:
        """A connection has left or vanished; False if it was not here."""
        if member not in self._connections:
            return False
        del self._connections[member]
        tabs = self._tabs[member.user] - 1
        if tabs:
            self._tabs[member.user] = tabs
        else:
            del self._tabs[member.user]
            self._note(member.user, came=False)
        return True

    def present(self) -> tuple[Member, ...]:
        """Everybody who is here, in the order in which they came."""
        return tuple(Member(user, tabs) for user, tabs in self._tabs.items())

    def take_changes(self) -> list[Joined | Left]:
        """What to tell the members now; asking again brings only what is new."""
        changes, self._changes = self._changes, {}
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

    def _note(self, user: str, *, came: bool) -> None:
        if self._changes.get(user, came) is not came:
            del self._changes[user]  # the opposite was not told yet: nothing happened
        else:
            self._changes[user] = came
