"""Compare Greenroom's supervisor with what people would use instead.

    python bench/supervision/run.py [--rounds 5] [--only tell,ask]

Every number comes from a fresh process; the peers take turns within each round, so that a machine
that slows down slows all of them. The table gives each peer's figure relative to bare Trio's of the
same round, as median (lowest to highest): above 1 is better than bare Trio.

Peers that are not installed are left out and named: `pip install triotp pykka` (triotp 0.3 needs
Python 3.13), Debian's `erlang-base`.
"""

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

HERE = Path(__file__).parent / "peers"
TIMEOUT_SECONDS = 120


@attrs.frozen
class Measure:
    """One row: how often it is done, and what its number means."""

    name: str
    n: int
    title: str
    unit: str = "/s"


MEASURES = [
    Measure("tell", 200_000, "tell: one message to a busy actor"),
    Measure("ask", 30_000, "ask: request and reply"),
    Measure("spawn_stop", 3_000, "spawn + stop of one child"),
    Measure("restart", 2_000, "crash until the next life works"),
    Measure("children", 100, "start and stop 100 children"),
    Measure("children", 10_000, "start and stop 10,000 children"),
    Measure("memory", 10_000, "idle actor, resident bytes", "B"),
]


@attrs.frozen
class Peer:
    """One column: a program that prints one number, or the reason why it can't run here."""

    name: str
    command: list[str]
    missing: str | None = None


def peers() -> Iterator[Peer]:
    """Yield the peers in the order of the table; the floor comes first."""
    python = sys.executable
    yield Peer("bare Trio", [python, str(HERE / "bare_trio.py")])
    yield Peer("greenroom", [python, str(HERE / "greenroom_tree.py")])
    for name, module, file in [
        ("triotp", "triotp", "triotp_server.py"),
        ("pykka", "pykka", "pykka_threads.py"),
    ]:
        found = importlib.util.find_spec(module)
        yield Peer(name, [python, str(HERE / file)], None if found else f"no module {module}")
    escript = shutil.which("escript")
    yield Peer(
        "gen_server",
        [escript or "escript", str(HERE / "gen_server.escript")],
        None if escript else "no escript on PATH",
    )


def figure(peer: Peer, measure: Measure) -> float | None:
    """One run; None where the peer has no such measure. Higher is better, but for bytes."""
    command = [*peer.command, measure.name, str(measure.n)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if run.returncode:
        if "KeyError" in run.stderr:
            return None
        raise SystemExit(f"{peer.name} {measure.name} failed:\n{run.stderr}")
    number = float(run.stdout.split()[-1])
    return number if measure.unit == "B" else measure.n / number


def ratio(measure: Measure, ours: float, floor: float) -> float:
    return floor / ours if measure.unit == "B" else ours / floor


def row(measure: Measure, here: list[Peer], rounds: int) -> list[str]:
    """Measure one row, the peers in turn, and format its cells."""
    results: list[dict[str, float | None]] = [
        {peer.name: figure(peer, measure) for peer in here} for _ in range(rounds)
    ]
    floor_name = here[0].name
    cells = [measure.title]
    for peer in here:
        figures = [result[peer.name] for result in results]
        if figures[0] is None:
            cells.append("-")
            continue
        ratios = [ratio(measure, result[peer.name], result[floor_name]) for result in results]
        if peer.name == floor_name:
            cells.append(f"{statistics.median(figures):,.0f} {measure.unit}")
        else:
            low, high = min(ratios), max(ratios)
            cells.append(f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names of measures, separated by commas")
    options = parser.parse_args()
    everybody = list(peers())
    for peer in everybody:
        if peer.missing:
            print(f"left out: {peer.name} ({peer.missing})", file=sys.stderr)
    here = [peer for peer in everybody if not peer.missing]
    print("| relative to bare Trio, more is better |", *(f"{peer.name} |" for peer in here))
    print("|---" * (len(here) + 1) + "|")
    wanted = set(filter(None, options.only.split(",")))
    for measure in MEASURES:
        if not wanted or measure.name in wanted:
            print("|", " | ".join(row(measure, here, options.rounds)), "|", flush=True)


if __name__ == "__main__":
    main()
