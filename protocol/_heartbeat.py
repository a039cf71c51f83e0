"""The heartbeat clock: when to send a HEARTBEAT, when the peer counts as unreachable or lost.

It owns three thresholds of silence and knows no clock: every `now` is passed in, in seconds of any
clock that does not go back.
"""

from enum import Enum
from typing import Final

PROBE_FRACTION: Final = 0.8
"""A HEARTBEAT goes out after this part of the interval, so that an idle peer never looks gone."""


class Pulse(Enum):
    """What `HeartbeatClock.poll` asks for."""

    NOTHING = "nothing"
    SEND_HEARTBEAT = "send heartbeat"
    """Most of an interval was silent: send a HEARTBEAT, whose answer will break the silence."""
    UNREACHABLE = "unreachable"
    """A whole interval was silent: the state is UNREACHABLE until something is received."""
    GIVE_UP = "give up"
    """Silent for `pong_timeout` more: close with 4005."""


class HeartbeatClock:
    """Silence of one peer, measured in seconds.

    Each pulse comes once per silence: SEND_HEARTBEAT at 0.8 of the interval, UNREACHABLE at the
    interval, GIVE_UP at the interval plus `pong_timeout_seconds`.

    Args:
        now: The peer counts as heard of now.
        interval_seconds: Silence after which it is UNREACHABLE.
        pong_timeout_seconds: Further silence after which it is given up.
    """

    def __init__(
        self, *, now: float, interval_seconds: float = 25.0, pong_timeout_seconds: float = 8.0
    ) -> None:
        if not (interval_seconds > 0 and pong_timeout_seconds > 0):
            raise ValueError("interval_seconds and pong_timeout_seconds must be more than 0")
        self._heard_at = now
        self._paused_at: float | None = None
        self._thresholds = (  # silence in seconds, and what it asks for
            (interval_seconds * PROBE_FRACTION, Pulse.SEND_HEARTBEAT),
            (interval_seconds, Pulse.UNREACHABLE),
            (interval_seconds + pong_timeout_seconds, Pulse.GIVE_UP),
        )
        self._passed = 0  # how many thresholds this silence has passed

    @property
    def next_at(self) -> float:
        """When to poll again at the latest. After `resume` it may be earlier than it was."""
        if self._paused_at is not None:
            return self._paused_at + self._thresholds[0][0]
        last = len(self._thresholds) - 1
        return self._heard_at + self._thresholds[min(self._passed, last)][0]

    def received(self, at: float) -> None:
        """Bytes came in at `at`; reports of an earlier time than the last are ignored."""
        if at > self._heard_at:
            self._heard_at = at
            self._passed = 0

    def pause(self, now: float) -> None:
        """Stop counting: we do not read, so the peer's silence is our doing."""
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """Count on from where `pause` stopped; the time between is no silence."""
        if self._paused_at is not None:
            self._slide(now)
            self._paused_at = None

    def poll(self, now: float) -> Pulse:
        """What the silence up to `now` asks for; one threshold for each call."""
        if self._paused_at is not None:
            self._slide(now)
            return Pulse.NOTHING
        if self._passed == len(self._thresholds):
            return Pulse.GIVE_UP
        seconds, pulse = self._thresholds[self._passed]
        if now < self._heard_at + seconds:
            return Pulse.NOTHING
        self._passed += 1
        return pulse

    def _slide(self, now: float) -> None:
        """Forget the time since `_paused_at`, keeping the silence there was before it."""
        if self._paused_at is not None:
            silent_before = max(0.0, self._paused_at - self._heard_at)
            self._heard_at = max(self._heard_at, now - silent_before)
            self._paused_at = now
