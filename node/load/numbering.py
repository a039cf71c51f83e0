"""Which of a room's numbered messages one member has had. Pure."""

from collections.abc import Iterable, Iterator

import attrs


@attrs.define(eq=False)
class Numbering:
    """Numbers 0, 1, 2, ... that were seen.

    They come nearly in order, so it is one number and a small set, however many there were.
    """

    _next: int = 0  # every lower one was seen
    _ahead: set[int] = attrs.field(factory=set[int])  # seen, and higher than `_next`

    def see(self, number: int) -> bool:
        """Note a number; False if it was seen before."""
        if number == self._next and not self._ahead:  # as nearly always
            self._next += 1
            return True
        if number < self._next or number in self._ahead:
            return False
        self._ahead.add(number)
        while self._next in self._ahead:
            self._ahead.remove(self._next)
            self._next += 1
        return True

    def missing_of(self, owed: Iterable[int]) -> Iterator[int]:
        """Those of `owed` that were never seen."""
        return (each for each in owed if each >= self._next and each not in self._ahead)

    def has_all_below(self, end: int) -> bool:
        """Whether every number below `end` was seen."""
        return self._next >= end
