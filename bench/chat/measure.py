"""Runs one session: a server on its core, the generator on another, and what that one says."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from loads import Run, Session, figure
from peers import Peer, Start
from workshop import Workshop

START_SECONDS = 15
RUN_SECONDS = 90  # a run that takes longer has failed
DRAIN_SECONDS = 2  # a server that is further behind begins its next load with a handicap
SPARE_FILES = 200
LINES_SHOWN = 5


class MeasureError(Exception):
    """A server or the generator failed; the text says how."""


@attrs.frozen
class Bench:
    """What all measurements share."""

    shop: Workshop
    generator: Path
    tokens: Path
    server_core: int
    generator_core: int
    warmup_seconds: float
    seconds: float


def two_cores() -> tuple[int, int]:
    """The server's core and the generator's."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise MeasureError("needs two cores: one for the server, one for the generator")
    return cores[0], cores[1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside stays on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit(connections: int) -> None:
    """Allow this process and what it starts as many files as the connections take."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE_FILES:
        raise MeasureError(f"`ulimit -Hn` is {hard}: {connections} connections need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run_session(
    bench: Bench, peer: Peer, session: Session
) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Yield each row's name and figure, with all that the generator said of it."""
    with serving(bench, peer) as (port, process):
        for run in session.runs:
            reports = generate(bench, peer, run, port=port, server=process.pid)
            if process.poll() is not None:
                raise MeasureError(f"{peer.name} ended by itself")
            for load in run.loads:
                report = reports[load.argument]
                for row in load.rows:
                    yield row.name, figure(row, report), report


def generate(
    bench: Bench, peer: Peer, run: Run, *, port: int, server: int
) -> dict[str, dict[str, Any]]:
    """Run the generator; returns its reports by load."""
    arguments = [load.argument for load in run.loads if load.argument != "connect"]
    options: dict[str, object] = {
        "--port": port,
        "--server": server,
        "--dialect": peer.dialect,
        "--connections": run.connections,
        "--rooms": run.rooms,
        "--tokens": bench.tokens,
        "--warmup": bench.warmup_seconds,
        "--seconds": bench.seconds,
        "--room-prefix": peer.room_prefix,
        "--drain": DRAIN_SECONDS,
    }
    command = [str(bench.generator), *(str(word) for pair in options.items() for word in pair)]
    command += ["--echo"] * run.echo + ["--keys"] * peer.keys
    try:
        with on_core(bench.generator_core):
            done = subprocess.run(
                [*command, *arguments],
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise MeasureError(f"{peer.name}: {' '.join(arguments)} took too long") from None
    if done.returncode:
        raise MeasureError(f"{peer.name}: {done.stderr.strip()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    reports = dict(zip(["connect", *arguments], lines, strict=True))
    for argument, report in reports.items():
        if report["errors"] or report["disordered"]:
            print(f"{peer.name}, {argument}: {json.dumps(report)}", file=sys.stderr)
            print(done.stderr, file=sys.stderr)
    return reports


@contextmanager
def serving(bench: Bench, peer: Peer) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A fresh server of the peer on a free port; it is killed in the end, and its files go."""
    # Beside the builds: /tmp may be memory, where a durable message would cost nothing.
    folder = Path(tempfile.mkdtemp(prefix=f"run-{peer.name}-", dir=bench.shop.cache))
    port = free_port()
    start = peer.make(bench.shop, port, folder)
    log = folder / "log"
    try:
        with log.open("wb") as output, on_core(bench.server_core):
            process = subprocess.Popen(
                start.command,
                env={**environment(), **start.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
            )
        try:
            wait_until_it_listens(process, port, start, log)
            yield port, process
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment() -> dict[str, str]:
    """This process's environment without what would change a server's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GREENROOM_", "PYTHON"))
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(
    process: subprocess.Popen[bytes], port: int, start: Start, log: Path
) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LINES_SHOWN:])
    raise MeasureError(f"{' '.join(start.command)} does not listen\n{tail}")
