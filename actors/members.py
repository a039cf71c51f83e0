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
    told: set[str] = attrs.field(factory=set[str])
    """Users whom the members believe to be here. A room keeps it over a crash: who is then back at
    the next telling was never gone, and who is not has left."""
    _connections: dict[S, None] = attrs.field(factory=dict[S, None], init=False)  # delivery order
    _tabs: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    # {user: connections in the room}
    _to_check: dict[str, None] = attrs.field(init=False)  # users, in the order of their changes

    def __attrs_post_init__(self) -> None:
        self._to_check = dict.fromkeys(self.told)

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
        """Whether there may be something to tell."""
        return bool(self._to_check)

    def add(self, member: S) -> None:
        """A connection has joined."""
        if member in self._connections:
            return
        self._connections[member] = None
        tabs = self._tabs.get(member.user, 0)
        self._tabs[member.user] = tabs + 1
        if tabs == 0:
            self._to_check[member.user] = None

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
            self._to_check[member.user] = None
        return True

    def present(self) -> tuple[Member, ...]:
        """Everybody who is here, in the order in which they came."""
        return tuple(Member(user, tabs) for user, tabs in self._tabs.items())

    def take_changes(self) -> list[Joined | Left]:
        """What to tell the members now; asking again brings only what is new."""
        changes = {
            user: came
            for user in self._to_check
            if (came := user in self._tabs) is not (user in self.told)
        }
        self._to_check.clear()
        self.told.symmetric_difference_update(changes)
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
