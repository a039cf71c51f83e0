"""One attack on a node in a process of its own: before, what was observed, and what remains."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import pytest
import trio
from support.besieged import Besieged, Levels
from support.raw import RawClient

Case = TypeVar("Case")
Answer = TypeVar("Answer")

CASES_AT_ONCE = 8
LEAVES_MIB = 8.0
"""RSS that an attack may leave behind: what Python's allocator keeps for the next."""
SETTLE_SECONDS = 20.0
"""For heads and TLS handshakes that are never finished (5 s), and closing politely (2 s)."""

MOST_NEW_THREADS = 8
"""Trio keeps a thread for 10 s after its last work, and the store has one per connection."""


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table of attacks; RSS in MiB."""

    kind: str
    attack: str
    observed: str
    rss_before: float
    rss_most: float
    rss_after: float


ROWS = pytest.StashKey[list[Row]]()
STEADY = pytest.StashKey[dict[str, object]]()
"""What the steady clients have seen."""


@attrs.define(eq=False)
class Attack:
    """What a test does to a node."""

    node: Besieged
    before: Levels
    observed: str = "no answer"
    leaves_mib: float = LEAVES_MIB
    """What it may leave behind."""
    expected: str | None = None
    """A part of the log lines of level error that are in order here."""
    _clients: list[RawClient] = attrs.field(factory=list)

    async def connect(self, **options: object) -> RawClient:
        """A socket that ends with the attack at the latest."""
        client = await self.node.connect(**options)
        self._clients.append(client)
        return client

    async def upgraded(self, **headers: bytes) -> RawClient:
        """A WebSocket over which nobody has signed in."""
        client = await self.connect()
        await client.upgrade(**headers)
        return client

    async def signed_in(self, user: str, *rooms: str, **options: object) -> RawClient:
        """A client as good as any, so far."""
        client = await self.connect(**options)
        await client.sign_in(self.node.token(user), *rooms)
        return client

    async def each(
        self, cases: Mapping[str, Case], attempt: Callable[[RawClient, Case], Awaitable[Answer]]
    ) -> dict[str, Answer]:
        """Try all cases, each on a socket of its own, some at a time; note what was observed."""
        found: dict[str, Answer] = {}

        async def one(name: str) -> None:
            async with limit:
                client = await self.connect()
                found[name] = await attempt(client, cases[name])
                await client.aclose()

        limit = trio.CapacityLimiter(CASES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            for name in cases:
                nursery.start_soon(one, name)
        counts = Counter(map(str, found.values()))
        self.saw(*(f"{answer} ({count})" for answer, count in sorted(counts.items())))
        return found

    def saw(self, *observed: object) -> None:
        """Note for the table what the node did."""
        self.observed = ", ".join(str(one) for one in observed)

    def growth_mib(self) -> float:
        """How much more memory than before the node has had at most."""
        return self.node.peak_mib() - self.before.rss_mib

    async def withdraw(self) -> None:
        """Close every socket of the attack, and wait until the node has too."""
        await self.close()
        await self.node.calm(seconds=SETTLE_SECONDS)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def attack_on(node: Besieged, request: pytest.FixtureRequest) -> AsyncIterator[Attack]:
    """Measure, let the test attack, probe, and measure again: nothing may remain."""
    before = await node.calm(seconds=SETTLE_SECONDS)
    node.new_complaints()
    node.begin_peak()
    attack = Attack(node, before)
    try:
        yield attack
    finally:
        await attack.close()
    probes = await node.probe()
    if probes > 1:
        attack.observed += f" ({probes} probes)"
    after = await node.settled(
        sockets=before.sockets, connections=before.connections, seconds=SETTLE_SECONDS
    )
    request.config.stash[ROWS].append(
        Row(
            kind=request.path.stem.removeprefix("test_"),
            attack=request.node.name.removeprefix("test_"),
            observed=attack.observed,
            rss_before=before.rss_mib,
            rss_most=node.peak_mib(),
            rss_after=after.rss_mib,
        )
    )
    assert after.sockets <= before.sockets
    assert after.connections <= before.connections
    assert after.restarts == before.restarts
    assert after.threads <= before.threads + MOST_NEW_THREADS
    assert after.rss_mib - before.rss_mib < attack.leaves_mib
    complaints = node.new_complaints()
    assert [c for c in complaints if attack.expected is None or attack.expected not in c] == []


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown, aligned for a terminal too."""
    cells = [
        [
            row.kind,
            row.attack,
            row.observed,
            *(f"{mib:.1f}" for mib in (row.rss_before, row.rss_most, row.rss_after)),
        ]
        for row in rows
    ]
    head = ["class", "attack", "observed", "RSS before", "most", "after"]
    widths = [max(len(line[n]) for line in [head, *cells]) for n in range(len(head))]
    lines = [head, ["-" * width for width in widths], *cells]
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
