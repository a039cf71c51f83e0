"""Compare the node with what people would use instead, one core for each server.

    python bench/chat/run.py [--rounds 3] [--seconds 0.6] [--sessions room-100,small] [--peers ws]

Builds everything once in a directory outside the checkout, then measures: within each round the
peers take turns at every session, so that a machine that slows down slows all of them. Prints how
many times better Greenroom is than each peer, as median (lowest to highest) of the rounds, then the
goals, how each server grows with its connections, and how busy both cores were; draws a picture;
keeps all figures as JSON.

A peer that can't be built here is left out and named. See bench/README.md for what it needs.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chart import draw
from goals import GOALS
from loads import MOST_CONNECTIONS, ROWS, SESSIONS, Session, figure_per_cpu_second
from measure import Bench, MeasureError, raise_file_limit, run_session, two_cores
from peers import BY_NAME, PEERS_IN_ORDER, SECRET, Peer
from ratios import Figures
from table import busy_table, goal_table, growth_table, ratio_table
from tokens import make_tokens
from workshop import CHECKOUT, CannotBuildError, Workshop, default_cache, newest_python

PICTURE = CHECKOUT / "docs" / "images" / "performance.svg"

Record = dict[str, Any]  # round, session, row, peer, value and the generator's report


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    sessions = ", ".join(session.name for session in SESSIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--minutes", type=float, help="begin no round that would end later, by the longest so far"
    )
    parser.add_argument("--seconds", type=float, default=0.6, help="of each measurement")
    parser.add_argument("--warmup", type=float, default=0.2, help="seconds before each of them")
    parser.add_argument("--sessions", default="", help=f"only these, of: {sessions}")
    parser.add_argument("--peers", default="", help=f"only these, of: {', '.join(BY_NAME)}")
    parser.add_argument("--python", help="for all servers written in it (default: the newest here)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where builds are kept")
    parser.add_argument("--json", type=Path, help="where to write all figures (default: the cache)")
    parser.add_argument("--picture", type=Path, help=f"default for a whole run: {PICTURE.name}")
    parser.add_argument("--show", type=Path, help="measure nothing: show the figures of this JSON")
    parser.add_argument(
        "--per-cpu",
        action="store_true",
        help="show throughput per second of the server's CPU time: for a machine that is not idle",
    )
    return parser.parse_args()


def chosen(names: str, known: dict[str, Any]) -> list[Any]:
    """Those that an option names, all without it."""
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    return [value for name, value in known.items() if not wanted or name in wanted]


def buildable(peers: list[Peer], shop: Workshop) -> Iterator[Peer]:
    """Build all, and name those that can't be built."""
    for peer in peers:
        try:
            peer.make(shop, 0, shop.cache)
        except CannotBuildError as error:
            print(f"left out: {peer.name}: {error}", file=sys.stderr)
        else:
            yield peer


def prepare(choice: argparse.Namespace, shop: Workshop) -> Bench:
    server_core, generator_core = two_cores()
    raise_file_limit(MOST_CONNECTIONS)
    generator = shop.generator()
    tokens = shop.cache / "tokens.txt"
    tokens.write_text("\n".join(make_tokens(MOST_CONNECTIONS, SECRET)) + "\n")
    return Bench(
        shop=shop,
        generator=generator,
        tokens=tokens,
        server_core=server_core,
        generator_core=generator_core,
        warmup_seconds=choice.warmup,
        seconds=choice.seconds,
    )


def measure(bench: Bench, peers: list[Peer], sessions: list[Session], number: int) -> list[Record]:
    """Measure one round; what fails is named and has no figure."""
    records: list[Record] = []
    for session in sessions:
        if not session.is_due(number):
            continue
        for peer in peers:
            if not peer.takes_part(session.name):
                continue
            try:
                for row, value, report in run_session(bench, peer, session):
                    record = {"row": row, "peer": peer.name, "value": value, "report": report}
                    records.append({"round": number, "session": session.name, **record})
            except MeasureError as error:
                print(f"no figure, {session.name}: {error}", file=sys.stderr)
    return records


def conditions(choice: argparse.Namespace, shop: Workshop) -> Record:
    """What has to be known to read the figures again."""
    return {
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": platform.platform(),
        "versions": shop.versions(),
        "seconds": choice.seconds,
        "warmup": choice.warmup,
        "load_averages": [],
    }


def measure_all(choice: argparse.Namespace) -> Record:
    """Build, measure all rounds, and write what was seen after each of them."""
    shop = Workshop(choice.cache, choice.python or newest_python())
    sessions = chosen(choice.sessions, {session.name: session for session in SESSIONS})
    try:
        bench = prepare(choice, shop)
    except (CannotBuildError, MeasureError) as error:
        sys.exit(f"can't measure: {error}")
    peers = [peer for peer in chosen(choice.peers, BY_NAME) if choice.peers or not peer.optional]
    peers = list(buildable(peers, shop))
    # From here on, this process must not disturb the server.
    os.sched_setaffinity(0, {bench.generator_core})
    seen: Record = {"conditions": conditions(choice, shop), "records": []}
    path = choice.json or shop.cache / f"figures-{int(time.time())}.json"
    begun, longest = time.monotonic(), 0.0
    for number in range(choice.rounds):
        before = time.monotonic()
        if choice.minutes and before - begun + longest > choice.minutes * 60:
            print(f"no time for round {number + 1}", file=sys.stderr)
            break
        seen["conditions"]["load_averages"].append(os.getloadavg())
        seen["records"] += measure(bench, peers, sessions, number)
        path.write_text(json.dumps(seen, indent=1) + "\n")
        took = time.monotonic() - before
        longest = max(longest, took)
        print(f"round {number + 1} of {choice.rounds}: {took:.0f} s", file=sys.stderr, flush=True)
    print(f"figures: {path}", file=sys.stderr)
    return seen


def show(seen: Record, *, per_cpu: bool) -> Figures:
    """Print the tables."""
    figures = Figures()
    for record in seen["records"]:
        value = record["value"]
        if per_cpu:
            value = figure_per_cpu_second(ROWS[record["row"]], record["report"])
        if value is not None:
            figures.add(record["round"], record["row"], record["peer"], value)
    there = {record["peer"] for record in seen["records"]}
    peers = [peer.name for peer in PEERS_IN_ORDER if peer.name in there]
    for table in (
        ratio_table(figures, peers),
        goal_table(figures, GOALS),
        growth_table(figures, peers),
        busy_table(seen["records"], figures),
    ):
        print(*table, sep="\n", end="\n\n")
    return figures


def main() -> None:
    choice = options()
    seen = json.loads(choice.show.read_text()) if choice.show else measure_all(choice)
    figures = show(seen, per_cpu=choice.per_cpu)
    whole = not (choice.sessions or choice.peers or choice.show or choice.per_cpu)
    picture = choice.picture or (PICTURE if whole else None)
    if picture:
        note = f", {seen['conditions']['begun'][:10]}"
        picture.write_text(draw(figures, figures.rounds_done, note))
        print(f"picture: {picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
