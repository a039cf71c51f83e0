"""What is measured: crowds of connections, the loads they run, and the figure each one yields.

A `Session` is served by one fresh server and consists of runs of the generator; a run opens its
connections and does its loads one after another. Every figure is a `Row` of the table.
"""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Row:
    """One figure: its name on the command line, its title, and where the generator says it."""

    name: str
    title: str
    field: str
    """Path in the generator's JSON, with dots."""
    unit: str = "deliveries/s"
    less_is_better: bool = False


@attrs.frozen
class Load:
    """An argument of the generator (`connect` is done anyway), and the rows it gives."""

    argument: str
    rows: tuple[Row, ...] = ()


@attrs.frozen
class Run:
    """One start of the generator."""

    connections: int
    rooms: int
    loads: tuple[Load, ...]
    echo: bool = False


@attrs.frozen
class Session:
    """Runs that share one server."""

    name: str
    runs: tuple[Run, ...]
    every: int = 1
    """Measured in every n-th round, from the first on: what takes long and has no goal."""

    def is_due(self, number: int) -> bool:
        """Whether it is part of round `number`, counted from 0."""
        return number % self.every == 0

    @property
    def rows(self) -> list[Row]:
        return [row for run in self.runs for load in run.loads for row in load.rows]


def _deliveries(name: str, title: str) -> tuple[Row]:
    return (Row(name, title, "deliveries_per_second"),)


def _latency(name: str, title: str) -> tuple[Row, ...]:
    return tuple(
        Row(f"{name}-{field}", f"{title}: {percentile}", f"latency_ms.{field}", "ms", True)
        for field, percentile in [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")]
    )


def _fan_out(members: int, window: int) -> Load:
    return Load(
        f"window:{window}:4",
        _deliveries(f"room-{members}-w{window}", f"one room of {members:,}, window {window}"),
    )


def _everybody(rooms: int) -> Load:
    title = f"{rooms} rooms of 10, everybody talks"
    return Load("window:1:0", _deliveries(f"rooms-{rooms}", title))


def _reply(connections: int) -> Run:
    title = f"request → reply, {connections} connection{'s' * (connections > 1)}"
    row = Row(f"reply-{connections}", title, "deliveries_per_second", "replies/s")
    return Run(connections, connections, (Load("reply", (row,)),), echo=True)


RATE = "rate:20000"  # the last of a run: whoever falls behind takes long to recover

SESSIONS = (
    Session("small", (_reply(1), _reply(100), Run(100, 10, (_everybody(10),)))),
    Session(
        "room-100",
        (
            Run(
                100,
                1,
                (
                    _fan_out(100, 1),
                    _fan_out(100, 64),
                    Load(RATE, _latency("rate-room", "20,000/s into one room of 100")),
                ),
            ),
        ),
    ),
    Session("room-1000", (Run(1000, 1, (_fan_out(1000, 1), _fan_out(1000, 64))),)),
    Session(
        "slow",
        (
            Run(
                1000,
                1,
                (
                    Load(
                        "slow:64:4",
                        _deliveries("slow", "one room of 1,000, window 64, a slow reader"),
                    ),
                ),
            ),
        ),
    ),
    Session(
        "rooms-100",
        (
            Run(
                1000,
                100,
                (
                    _everybody(100),
                    Load(RATE, _latency("rate-rooms", "20,000/s into 100 rooms of 10")),
                ),
            ),
        ),
    ),
    Session(
        "rooms-500",
        (
            Run(
                5000,
                500,
                (
                    Load(
                        "connect",
                        (
                            Row(
                                "connects",
                                "connects, until joined",
                                "connects_per_second",
                                "connects/s",
                            ),
                        ),
                    ),
                    Load(
                        "idle",
                        (
                            Row(
                                "memory",
                                "memory of an idle connection, of 5,000",
                                "bytes_per_connection",
                                "bytes",
                                True,
                            ),
                        ),
                    ),
                    _everybody(500),
                ),
            ),
        ),
    ),
    Session("room-5000", (Run(5000, 1, (_fan_out(5000, 1), _fan_out(5000, 64))),), every=2),
)

ROWS = {row.name: row for session in SESSIONS for row in session.rows}
MOST_CONNECTIONS = max(run.connections for session in SESSIONS for run in session.runs)


def figure(row: Row, report: Mapping[str, Any]) -> float:
    """The row's figure in one line of the generator."""
    value: Any = report
    for part in row.field.split("."):
        value = value[part]
    return float(value)


def figure_per_cpu_second(row: Row, report: Mapping[str, Any]) -> float | None:
    """What the server got done in a second of its CPU time, where the row is a throughput.

    On a machine of its own a server that is measured has its core for itself, and this is the
    plain figure. Beside others it says more. None where the server did next to nothing.
    """
    value = figure(row, report)
    if not row.field.endswith("_per_second"):
        return value
    busy = report["server_cpu_seconds"] / report["seconds"]
    return value / busy if busy else None
