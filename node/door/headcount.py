"""How many connections each address has, so that no address takes the place of all others."""

from greenroom.node.door.proxies import counted_as


class Headcount:
    """Counts connections by address, IPv6 by /64; who has as many as allowed gets no further one.

    Holds one number for each address that is here, so it is as bounded as the connections are.
    """

    def __init__(self, most: int) -> None:
        """Args: most: Connections of one address at a time."""
        self.most = most
        self._counts: dict[str, int] = {}  # {address: connections, more than 0}

    def enter(self, address: str) -> "Seat | None":
        """Take a place for one more connection; None: there is none."""
        name = counted_as(address)
        count = self._counts.get(name, 0)
        if count >= self.most:
            return None
        self._counts[name] = count + 1
        return Seat(self, name)

    def count(self, address: str) -> int:
        """How many connections the address has."""
        return self._counts.get(counted_as(address), 0)

    def give_back(self, name: str) -> None:
        """Count one less; a `Seat` calls it."""
        left = self._counts[name] - 1
        if left:
            self._counts[name] = left
        else:
            del self._counts[name]


class Seat:
    """One connection's place among those of its address."""

    __slots__ = ("_headcount", "_name")

    def __init__(self, headcount: Headcount, name: str) -> None:
        """Made by `Headcount.enter` alone."""
        self._headcount: Headcount | None = headcount
        self._name = name

    def leave(self) -> None:
        """Give the place back; more than once does no harm."""
        if self._headcount is not None:
            self._headcount.give_back(self._name)
            self._headcount = None
