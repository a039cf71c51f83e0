"""When a client tries again: 1, 2, 4, 8, ... seconds with full jitter.

Jitter keeps a thousand clients of one restarted node from coming back in the same instant.
"""

from random import Random
from typing import Final

INITIAL_SECONDS: Final = 1.0
MAX_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 10.0
"""A connection that lasted this long starts the row again; a shorter one goes on with it."""


def reconnect_ceiling(attempt: int) -> float:
    """The longest wait before try number `attempt` (from 0), in seconds: 1, 2, 4, 8, 16, 30, 30."""
    return min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(attempt, 30))


def reconnect_delay(attempt: int, random: Random) -> float:
    """A wait before try number `attempt` (from 0), in seconds: anywhere below the ceiling."""
    return random.uniform(0, reconnect_ceiling(attempt))


def drain_delay(after_ms: int, spread_ms: int, random: Random) -> float:
    """The wait that a DRAIN asks for, in seconds."""
    return (after_ms + random.uniform(0, spread_ms)) / 1000


class ReconnectPolicy:
    """Counts the tries of one client; pure but for the `random` it is given."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._attempt = 0
        self._connected_at: float | None = None

    @property
    def attempt(self) -> int:
        """How many waits there were since the last stable connection."""
        return self._attempt

    def connected(self, now: float) -> None:
        """A try succeeded at `now`."""
        self._connected_at = now

    def disconnected(self, now: float, *, told_seconds: float | None = None) -> float:
        """The connection ended, or a try failed: how long to wait for the next, in seconds.

        Args:
            now: On the clock of `connected`.
            told_seconds: What DRAIN or Retry-After says; it overrides the row and is no step in it.
        """
        since, self._connected_at = self._connected_at, None
        if since is not None and now - since >= STABLE_SECONDS:
            self._attempt = 0
        if told_seconds is not None:
            return told_seconds
        delay = reconnect_delay(self._attempt, self._random)
        self._attempt += 1
        return delay
