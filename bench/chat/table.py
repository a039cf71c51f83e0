"""Turns figures into Markdown: ratios to each peer, the goals, and how busy both cores were."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from goals import OURS, Goal, Verdict, judge
from loads import ROWS
from peers import BY_NAME
from ratios import Figures, Spread, spread

NOTHING = "-"
FLOOR = "floor"
GROWTH = ("rooms-10", "rooms-100", "rooms-500", "room-100-w64", "room-1000-w64", "room-5000-w64")
"""The same load with 100, 1,000 and 5,000 connections."""


def number(value: float) -> str:
    """Three digits that matter, or all of a larger one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_spread(seen: Spread | None) -> str:
    if seen is None:
        return NOTHING
    return f"{number(seen.median)} ({number(seen.low)} to {number(seen.high)})"


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> Iterator[str]:
    yield line(cells)
    yield "|---" * len(cells) + "|"


def ratio_table(figures: Figures, peers: Sequence[str]) -> Iterator[str]:
    """How many times better Greenroom is, by load and peer; above 1 is better, also for ms."""
    others = [peer for peer in peers if peer != OURS]
    yield from head(
        ["times better than", "Greenroom itself", *(BY_NAME[peer].title for peer in others)]
    )
    for row in ROWS.values():
        if not figures.peers(row.name):
            continue
        own = spread(figures.rounds(row.name, OURS))
        yield line(
            [
                row.title,
                f"{with_spread(own)} {row.unit}",
                *(with_spread(figures.advantage(row.name, OURS, [peer])) for peer in others),
            ]
        )


def against(goal: Goal) -> str:
    """What a goal's quotient is taken to."""
    if goal.other_row is not None:
        return f"own: {ROWS[goal.other_row].title}"
    titles = [BY_NAME[peer].title for peer in goal.against]
    if len(titles) > 1:
        return f"best of {', '.join(titles)}"
    return titles[0] if titles else "the figure itself"


def goal_table(figures: Figures, goals: Iterable[Goal]) -> Iterator[str]:
    """What was wanted, what was seen, and whether that is enough."""
    yield from head(["goal", "ours / theirs", "wanted", "seen", ""])
    for verdict in (judge(goal, figures) for goal in goals):
        yield line(_goal_cells(verdict))


def _goal_cells(verdict: Verdict) -> list[str]:
    goal = verdict.goal
    return [goal.title, against(goal), goal.wanted, with_spread(verdict.seen), verdict.word]


def growth_table(figures: Figures, peers: Iterable[str]) -> Iterator[str]:
    """What each server itself does with more connections."""
    yield from head(["deliveries/s", *(ROWS[name].title for name in GROWTH)])
    for peer in peers:
        seen = [spread(figures.rounds(name, peer)) for name in GROWTH]
        yield line([BY_NAME[peer].title, *(number(s.median) if s else NOTHING for s in seen)])


def busy_table(records: Sequence[Mapping[str, Any]], figures: Figures) -> Iterator[str]:
    """Whether the server was what there was to wait for: the highest of each over the rounds."""
    yield from head(
        [
            "load",
            "generator's core, with Greenroom",
            "server's core, Greenroom",
            "generator's core, with the floor",
            "floor / fastest of all others",
        ]
    )
    for row in ROWS.values():
        others = [peer for peer in figures.peers(row.name) if peer != FLOOR]
        if not others:
            continue
        here = [record for record in records if record["row"] == row.name]
        ours = [record["report"] for record in here if record["peer"] == OURS]
        floor = [record["report"] for record in here if record["peer"] == FLOOR]
        best = figures.advantage(row.name, FLOOR, others)
        yield line(
            [
                row.title,
                _share(ours, "generator_cpu_seconds"),
                _share(ours, "server_cpu_seconds"),
                _share(floor, "generator_cpu_seconds"),
                with_spread(best),
            ]
        )


def _share(reports: Sequence[Mapping[str, Any]], field: str) -> str:
    if not reports:
        return NOTHING
    return f"{max(report[field] / report['seconds'] for report in reports):.0%}"
