"""A node under attack: its process measured from outside, and the probe that it lives on.

Everything here is read from `/proc` and from sockets, so the node has no part in its own judgement.
"""

import json
import os
import resource
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

import attrs
import trio
from support.node_process import NodeProcess, token
from support.ports import free_port
from support.raw import RawClient, addresses, connect

TESTS = Path(__file__).parents[1]
READING_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0"
ACTING_KEY = "f0e1d2c3b4a5968778695a4b3c2d1e0f8899aabbccddeeff0011223344556677"
ADMIN_KEYS = f"watch:read={READING_KEY} act={ACTING_KEY}"
PROBE_SECONDS = 2.0
PROBES = 3
GATE_SECONDS = 30.0
PROBE_ROOM = "probe"
WARM_UPS = 10
REPORT_SECONDS = 60
MIB = 1024.0  # KiB


@attrs.frozen
class Levels:
    """What a process holds."""

    rss_mib: float
    sockets: int
    threads: int
    connections: int
    """Actors."""
    restarts: int
    """Of all actors since the start: crashes that a supervisor has mended."""


class Besieged:
    """`greenroom serve` in a process of its own, log lines and all."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: ssl.SSLContext | None = None,
        token: Callable[..., str] = token,
        **settings: str,
    ) -> None:
        self._tls = tls
        self.token = token
        """(user, until=None) -> a token that this node takes."""
        self.admin_port = free_port()
        gate = {"admin_port": str(self.admin_port), "admin_keys": ADMIN_KEYS}
        self.node = NodeProcess(
            folder / "data", **{"log_format": "json", "log_level": "info", **gate, **settings}
        )
        self._sources = addresses(1)
        self._probes = addresses(100)
        self._said = 0
        self._strangers = 0
        self._log_seen = 0
        self.steady = 0
        """Clients that stay all the time."""
        self._own_sockets = 0

    @property
    def port(self) -> int:
        return self.node.port

    # What the system says about the process.

    def levels(self) -> Levels:
        status, sockets, tree = self._status(), self.sockets(), self.tree()
        (connections,) = (one["count"] for one in tree["children"] if one["id"] == "connections")
        return Levels(
            rss_mib=status["VmRSS"] / MIB,
            sockets=sockets,
            threads=status["Threads"],
            connections=connections,
            restarts=tree["restarts"] + sum(one["restarts"] for one in tree["children"]),
        )

    def tree(self) -> dict[str, Any]:
        """The supervision tree, as its operators see it."""
        return self._at_gate("tree", READING_KEY)

    def ledger(self) -> dict[str, Any]:
        """What became of all messages, as its operators see it."""
        return self._at_gate("ledger", READING_KEY)

    def revoke(self, user: str) -> None:
        """Throw a user out."""
        self._at_gate("revoke", ACTING_KEY, json.dumps({"user": user}).encode())

    def _at_gate(self, path: str, key: str, body: bytes | None = None) -> dict[str, Any]:
        ask = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}/v1/{path}", body)
        ask.add_header("Authorization", f"Bearer {key}")
        ask.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(ask, timeout=GATE_SECONDS) as answer:
            return json.load(answer)

    async def settled(self, *, sockets: int, connections: int, seconds: float) -> Levels:
        """Its levels once it has no more than so many, or after so many seconds."""
        with trio.move_on_after(seconds):
            while self.levels().connections > connections:  # noqa: ASYNC110  # tells nobody
                await trio.sleep(0.05)
            # Last, as asking for the tree has taken a socket too.
            while self.sockets() > sockets:  # noqa: ASYNC110
                await trio.sleep(0.02)
        return self.levels()

    def sockets(self) -> int:
        found = 0
        for link in (self._proc / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed while we looked
                found += link.readlink().name.startswith("socket:")
        return found

    def begin_peak(self) -> None:
        """Forget the highest RSS so far; proc(5), clear_refs."""
        (self._proc / "clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """The highest RSS since `begin_peak`."""
        return self._status()["VmHWM"] / MIB

    def _status(self) -> dict[str, int]:
        lines = (self._proc / "status").read_text().splitlines()
        pairs = (line.split(":", 1) for line in lines)
        return {
            name: int(value.split()[0])
            for name, value in pairs
            if name in {"VmRSS", "VmHWM", "Threads"}
        }

    @property
    def _proc(self) -> Path:
        return Path(f"/proc/{self.node.pid}")

    @contextmanager
    def few_descriptors(self, spare: int) -> Iterator[None]:
        """Leave the process so many descriptors more than it has.

        The limit is one on their numbers (getrlimit(2)), and there are gaps between those.
        """
        pid = self.node.pid
        held = {int(link.name) for link in (self._proc / "fd").iterdir()}
        free = (number for number in count() if number not in held)
        limit = next(islice(free, spare, None))
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    # What it says itself.

    def new_complaints(self) -> list[str]:
        """What it has logged as an error since the last call; a crash would be among it."""
        lines = self.node.log().splitlines()
        new, self._log_seen = lines[self._log_seen :], len(lines)
        return [line for line in new if _is_complaint(line)]

    # Clients.

    def stranger(self, name: str) -> str:
        """A user that nobody has been yet, whose budgets are full: `name` and a number."""
        self._strangers += 1
        return f"{name}{self._strangers}"

    def source(self) -> str:
        """An address that nobody has come from yet."""
        return next(self._sources)

    async def connect(self, **options: object) -> RawClient:
        return await connect(self.port, **{"source": self.source(), "tls": self._tls, **options})

    async def probe(self) -> int:
        """A fresh pair of clients exchanges a message within `PROBE_SECONDS`.

        A disk or a core that is away for a moment fails one probe; a node that is hurt fails all.

        Returns:
            How many probes it took.
        """
        for number in range(1, PROBES + 1):
            with trio.move_on_after(PROBE_SECONDS) as deadline:
                await self._exchange()
            if not deadline.cancelled_caught:
                return number
        raise trio.TooSlowError

    async def _exchange(self) -> None:
        self._said += 1
        words = f"still here {self._said}"
        async with self._guest("ann") as ann, self._guest("bob") as bob:
            ack = await ann.ask(type="PUBLISH", room=PROBE_ROOM, content=words)
            assert ack["type"] == "ACK", ack
            while (message := await bob.push("MESSAGE"))["content"] != words:
                pass
            assert message["offset"] == ack["offset"]

    async def warm_up(self) -> None:
        """Have it make what it makes when first used; it would look like a leak."""
        calm = self.sockets()
        for _ in range(WARM_UPS):
            await self.probe()
        await self.settled(sockets=calm, connections=0, seconds=PROBE_SECONDS)
        self._own_sockets = self.sockets()

    async def calm(self, *, seconds: float) -> Levels:
        """Its levels once nobody but the steady clients is there."""
        return await self.settled(
            sockets=self._own_sockets + self.steady, connections=self.steady, seconds=seconds
        )

    @asynccontextmanager
    async def _guest(self, name: str) -> AsyncIterator[RawClient]:
        client = await self.connect(source=next(self._probes))
        try:
            await client.sign_in(self.token(f"{name}{self._said}"), PROBE_ROOM)
            yield client
        finally:
            await client.aclose()


@contextmanager
def besieged(folder: Path, **options: Any) -> Iterator[Besieged]:
    """Run a node until the block ends, with what it makes when first used already made."""
    under_attack = Besieged(folder, **options)
    trio.run(under_attack.node.start)
    try:
        trio.run(under_attack.warm_up)
        yield under_attack
    finally:
        trio.run(under_attack.node.kill)


def _is_complaint(line: str) -> bool:
    try:
        return json.loads(line)["level"] in {"error", "critical"}
    except (ValueError, KeyError):
        return True  # no log line of ours: a traceback, or a warning of the interpreter


class SteadyClients:
    """The process of `steady_clients.py`."""

    number = 20

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._report: dict | None = None

    def report(self) -> dict:
        """Let them end; what they have seen."""
        if self._report is None:
            output, _ = self._process.communicate(timeout=REPORT_SECONDS)
            self._report = json.loads(output)
        return self._report


@contextmanager
def steady_clients_on(node: Besieged) -> Iterator[SteadyClients]:
    """Let them talk until their report is asked for, or the block ends."""
    script = str(TESTS / "support" / "steady_clients.py")
    with subprocess.Popen(
        [sys.executable, script, str(node.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    ) as process:
        try:
            assert process.stdout.readline() == b"steady\n"
            node.steady = SteadyClients.number
            yield SteadyClients(process)
        finally:
            process.kill()
