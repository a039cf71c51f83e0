"""The rules of supervision as tables and pure functions: no clock, no tasks, no I/O."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from random import Random

from ._specs import AutoShutdown, Backoff, Restart, RestartLimit, Strategy


class Exit(enum.Enum):
    """How an incarnation ended."""

    NORMAL = "normal"
    """It returned."""
    SHUTDOWN = "shutdown"
    """A supervisor that gave up, or shut itself down: OTP's exit reason `shutdown`."""
    CRASHED = "crashed"
    """An exception came out of it."""
    STOPPED = "stopped"
    """Its supervisor stopped it."""
    IGNORED = "ignored"
    """Its start said `Ignore`."""


# OTP: supervisor.erl, do_restart/3. STOPPED is not in the table: whoever stops a child knows what
# comes next.
RESTARTS: dict[tuple[Restart, Exit], bool] = {
    (Restart.PERMANENT, Exit.NORMAL): True,
    (Restart.PERMANENT, Exit.SHUTDOWN): True,
    (Restart.PERMANENT, Exit.CRASHED): True,
    (Restart.TRANSIENT, Exit.NORMAL): False,
    (Restart.TRANSIENT, Exit.SHUTDOWN): False,
    (Restart.TRANSIENT, Exit.CRASHED): True,
    (Restart.TEMPORARY, Exit.NORMAL): False,
    (Restart.TEMPORARY, Exit.SHUTDOWN): False,
    (Restart.TEMPORARY, Exit.CRASHED): False,
}


def admit_restart(times: deque[float], *, now: float, limit: RestartLimit) -> bool:
    """Record a restart at `now`; False once `limit` is exceeded. The window includes its ends."""
    while times and times[0] < now - limit.max_seconds:
        times.popleft()
    times.append(now)
    return len(times) <= limit.max_restarts


def recent_restarts(times: Iterable[float], *, now: float, limit: RestartLimit) -> int:
    """Count the restarts that lie in the window that ends now."""
    return sum(time >= now - limit.max_seconds for time in times)


def backoff_seconds(backoff: Backoff | None, attempt: int, random: Random) -> float:
    """Seconds to wait before restart number `attempt` (from 0) in a row."""
    if backoff is None:
        return 0.0
    try:
        full = min(backoff.initial_seconds * backoff.factor**attempt, backoff.max_seconds)
    except OverflowError:
        full = backoff.max_seconds
    return full * (1 - backoff.jitter * random.random()) if backoff.jitter else full


def restart_group(strategy: Strategy, ids: Sequence[str], failed: str) -> Sequence[str]:
    """The ids that go down and come back with `failed`, itself included, in start order."""
    if strategy is Strategy.ONE_FOR_ONE:
        return (failed,)
    if strategy is Strategy.ONE_FOR_ALL:
        return ids
    return ids[ids.index(failed) :]


def shuts_down(auto_shutdown: AutoShutdown, *, others_alive: bool) -> bool:
    """Whether the end of a significant child, of its own accord, stops the supervisor."""
    return auto_shutdown is AutoShutdown.ANY or (
        auto_shutdown is AutoShutdown.ALL and not others_alive
    )
