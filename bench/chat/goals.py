"""What the speed of the node is held against, and whether it was reached.

Each goal compares a row of Greenroom's with the best of some peers in the same round, with another
row of its own, or with a number.
"""

from collections.abc import Sequence

import attrs
from ratios import Figures, Spread, quotients, spread

OURS = "greenroom"
DURABLE = "greenroom-durable"
GIN = ("gin-write", "gin-prepared", "gin-pump")


@attrs.frozen
class Goal:
    """A row, what it is compared with, and the quotient that is wanted: ours / theirs."""

    title: str
    row: str
    against: tuple[str, ...] = ()
    """Peers, of which the best counts; none: see `other_row`, else the bare figure counts."""
    at_least: float | None = None
    at_most: float | None = None
    who: str = OURS
    other_row: str | None = None
    """Compare with this row of ours instead."""
    stretch: bool = False

    def is_met(self, value: float) -> bool:
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    @property
    def wanted(self) -> str:
        bound = f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"
        return bound + (" (stretch)" if self.stretch else "")


@attrs.frozen
class Verdict:
    """What came of a goal; None where something it needs was not measured."""

    goal: Goal
    seen: Spread | None

    @property
    def word(self) -> str:
        if self.seen is None:
            return "not measured"
        return "reached" if self.goal.is_met(self.seen.median) else "NOT reached"


def _at_least(title: str, row: str, *pairs: tuple[float, tuple[str, ...] | str]) -> list[Goal]:
    return [
        Goal(title, row, (names,) if isinstance(names, str) else names, at_least=bound)
        for bound, names in pairs
    ]


def _p99(title: str, row: str) -> list[Goal]:
    return [
        Goal(title, row, ("websockets",), at_most=1.1),
        Goal(title, row, ("socketio",), at_most=1.2),
        Goal(title, row, ("gin-write",), at_most=2.0, stretch=True),
    ]


def _reply(connections: int) -> list[Goal]:
    title, row = f"request → reply, {connections}", f"reply-{connections}"
    return [
        Goal(title, row, ("websockets",), at_least=1.2),
        Goal(title, row, ("ws",), at_least=0.6, stretch=True),
    ]


def _room_of_100(window: int) -> list[Goal]:
    title, row = f"one room of 100, window {window}", f"room-100-w{window}"
    return [
        *_at_least(title, row, (0.9, "gin-write"), (1.1, "ws"), (1.1, "socketio")),
        *_at_least(title, row, (4.0, "python-socketio")),
        Goal(f"durable, {title}", row, (OURS,), at_least=0.5, who=DURABLE),
    ]


GOALS: Sequence[Goal] = (
    *_at_least(
        "one room of 1,000, window 64", "room-1000-w64", (5.0, (*GIN, "ws", "socketio", "cowboy"))
    ),
    *_room_of_100(1),
    *_room_of_100(64),
    *_at_least(
        "100 rooms of 10, everybody talks",
        "rooms-100",
        (1.5, "gin-write"),
        (1.2, "gin-pump"),
        (3.0, "socketio"),
        (12.0, "python-socketio"),
    ),
    *_reply(1),
    *_reply(100),
    *_p99("p99 at 20,000/s, one room of 100", "rate-room-p99"),
    *_p99("p99 at 20,000/s, 100 rooms of 10", "rate-rooms-p99"),
    Goal("connects/s", "connects", ("socketio",), at_least=0.8),
    Goal("connects/s", "connects", ("socketio",), at_least=2.0, stretch=True),
    Goal("bytes of an idle connection", "memory", at_most=32_000),
    Goal("bytes of an idle connection", "memory", at_most=24_000, stretch=True),
    Goal("one slow reader of 1,000", "slow", at_least=0.9, other_row="room-1000-w64"),
)


def judge(goal: Goal, figures: Figures) -> Verdict:
    """Compare what was measured in the same rounds."""
    ours = figures.rounds(goal.row, goal.who)
    if goal.other_row is not None:
        theirs = figures.rounds(goal.other_row, goal.who)
    elif goal.against:
        theirs = figures.best(goal.row, goal.against)
    else:
        theirs = [1.0] * len(ours)
    return Verdict(goal, spread(quotients(ours, theirs)))
