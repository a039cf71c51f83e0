"""Who is connected now, as an operator sees it, and the way to end one or another.

Written by connections when they begin and end, read by nobody in the cast. What there is to see is
asked for when somebody looks, so a connection costs one entry of a dictionary and nothing later.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs

from greenroom.protocol import CloseCode


@attrs.frozen(kw_only=True)
class Visitor:
    """A connection at one moment; neither its token nor its session."""

    connection: str
    """Its id, as AUTH_OK says it."""
    address: str
    """Where it comes from: as far as is known, the client's own."""
    since: int
    """When it was accepted, ms since 1970."""
    user: str | None
    """None before AUTH."""
    rooms: tuple[str, ...]
    waiting_bytes: int
    """In its outbox: handed over and not yet taken by the kernel."""


class Visited(Protocol):
    """A connection, seen from here."""

    @property
    def user(self) -> str | None:
        """Who it is; None before AUTH."""
        ...

    def look(self) -> Visitor | None:
        """Describe it as it is now, None once it has ended; never waits."""
        ...

    def end(self, code: CloseCode) -> None:
        """Close it; never waits."""
        ...


class Roll:
    """Every connection of the node, in the order in which they came."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[int, Visited]] = {}  # {connection: (number, it)}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def enter(self, connection: str, visited: Visited) -> None:
        """A connection begins."""
        self._last += 1
        self._by_id[connection] = (self._last, visited)

    def leave(self, connection: str) -> None:
        """A connection has ended."""
        del self._by_id[connection]

    def after(self, number: int) -> Sequence[tuple[int, Visited]]:
        """Those that came after the one with this number, each with its own.

        To look at one takes some 10 µs: who looks at all has to let others have their turn.
        """
        return [entry for entry in self._by_id.values() if entry[0] > number]

    def end(
        self, code: CloseCode, *, user: str | None = None, connection: str | None = None
    ) -> int:
        """Close the connections of a user, or one, and return how many there were."""
        if connection is not None:
            entry = self._by_id.get(connection)
            chosen = [] if entry is None else [entry[1]]
        else:
            chosen = [v for _, v in self._by_id.values() if v.user == user]
        for visited in chosen:
            visited.end(code)
        return len(chosen)
