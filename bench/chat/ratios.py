"""Figures of several rounds and their quotients: nothing here measures or prints."""

import statistics
from collections.abc import Iterable, Sequence

import attrs
from loads import ROWS

Round = float | None  # None: not measured in that round


@attrs.frozen
class Spread:
    """The median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Iterable[Round]) -> Spread | None:
    """Summarise the rounds that have a value; None when none has."""
    there = [value for value in values if value is not None]
    return Spread(statistics.median(there), min(there), max(there)) if there else None


def quotients(ours: Sequence[Round], theirs: Sequence[Round]) -> list[Round]:
    """Divide round by round; None where a figure is missing, or nothing can be divided by."""
    return [a / b if a is not None and b else None for a, b in zip(ours, theirs, strict=True)]


@attrs.define
class Figures:
    """All that was measured: by row and peer, one value a round."""

    rounds_done: int = 0
    _values: dict[tuple[str, str], dict[int, float]] = attrs.field(factory=dict)

    def add(self, number: int, row: str, peer: str, value: float) -> None:
        """Note a figure of round `number`, counted from 0."""
        self.rounds_done = max(self.rounds_done, number + 1)
        self._values.setdefault((row, peer), {})[number] = value

    def rounds(self, row: str, peer: str) -> list[Round]:
        values = self._values.get((row, peer), {})
        return [values.get(number) for number in range(self.rounds_done)]

    def best(self, row: str, peers: Iterable[str]) -> list[Round]:
        """Round by round the best of these peers; a peer that is missing does not count."""
        choose = min if ROWS[row].less_is_better else max
        columns = zip(*(self.rounds(row, peer) for peer in peers), strict=True)
        return [
            choose((value for value in column if value is not None), default=None)
            for column in columns
        ]

    def peers(self, row: str) -> list[str]:
        """Who has a figure in this row."""
        return [peer for name, peer in self._values if name == row]

    def advantage(self, row: str, ours: str, peers: Iterable[str]) -> Spread | None:
        """How many times better ours is than the best of these peers in the same round.

        Above 1 is better, whatever the unit.
        """
        a, b = self.rounds(row, ours), self.best(row, peers)
        return spread(quotients(b, a) if ROWS[row].less_is_better else quotients(a, b))
