"""Who has opened how many of the rooms that live, so that nobody opens all that there may be.

A room costs memory while it lives, and a node has places for so many. Whoever opens one has it
counted to the address that the connection came from, until the room ends: users cost nothing where
there are guests. Nothing here waits, and no actor owns it.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager


class Openers:
    """Counts living rooms by who has opened them; bounded by the rooms."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()  # {address: rooms, more than 0}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, opener: str) -> int:
        """How many of the rooms that live the opener has opened."""
        return self._counts[opener]

    @contextmanager
    def counting(self, opener: str) -> Generator[None]:
        """Count one more room while the block runs; for nobody in particular (""), none."""
        if not opener:
            yield
            return
        self._counts[opener] += 1
        try:
            yield
        finally:
            self._counts[opener] -= 1
            if not self._counts[opener]:
                del self._counts[opener]
