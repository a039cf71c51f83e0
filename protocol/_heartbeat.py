"""The heartbeat clock: when to send a HEARTBEAT, when the peer counts as unreachable or lost.

It owns three thresholds of silence and knows no clock: every `now` is passed in, in seconds of any
clock that does not go back.
"""

from enum import Enum
from typing import Final

PROBE_FRACTION: Final = 0.8
"""A HEARTBEAT goes out after this part of the interval, so that an idle peer never looks gone."""


UNREACHABLE_THRESHOLD: Final = 1
"""Its place among a clock's thresholds."""


class Pulse(Enum):
    """What `HeartbeatClock.poll` asks for."""

    NOTHING = "nothing"
    SEND_HEARTBEAT = "send heartbeat"
    """Most of an interval was silent: send a HEARTBEAT, whose answer will break the silence.

    Or we did not read for as long, and must be heard by a peer whose own we do not answer."""
    UNREACHABLE = "unreachable"
    """A whole interval was silent: the state is UNREACHABLE until something is received."""
    GIVE_UP = "give up"
    """Silent for `pong_timeout` more: close with 4005."""


class HeartbeatClock:
    """Silence of one peer, measured in seconds.

    SEND_HEARTBEAT comes once per silence at 0.8 of the interval, UNREACHABLE once at the interval,
    GIVE_UP at the interval plus `pong_timeout_seconds` and at every poll after that. A poll that
    comes late moves what follows by as much: while this process stood still it did not read either.

    Args:
        now: The peer counts as heard of now.
        interval_seconds: Silence after which it is UNREACHABLE.
        pong_timeout_seconds: Further silence after which it is given up.
    """

    __slots__ = (
        "_heard_at",
        "_passed",
        "_paused",
        "_thresholds",
    )

    def __init__(
        self, *, now: float, interval_seconds: float = 25.0, pong_timeout_seconds: float = 8.0
    ) -> None:
        if not (interval_seconds > 0 and pong_timeout_seconds > 0):
            raise ValueError("interval_seconds and pong_timeout_seconds must be more than 0")
        self._heard_at = now
        self._paused = False
        self._thresholds = (  # silence in seconds, and what it asks for
            (interval_seconds * PROBE_FRACTION, Pulse.SEND_HEARTBEAT),
            (interval_seconds, Pulse.UNREACHABLE),
            (interval_seconds + pong_timeout_seconds, Pulse.GIVE_UP),
        )
        self._passed = 0  # how many thresholds this silence has passed

    @property
    def next_at(self) -> float:
        """When to poll again at the latest. After `resume` ask anew: it may be earlier."""
        last = len(self._thresholds) - 1
        return self._heard_at + self._thresholds[min(self._passed, last)][0]

    @property
    def is_unreachable(self) -> bool:
        """Whether `poll` has said UNREACHABLE and nothing was received since."""
        return self._passed > UNREACHABLE_THRESHOLD

    def received(self, at: float) -> None:
        """Bytes came in at `at`; reports of an earlier time than the last are ignored."""
        if at > self._heard_at:
            self._heard_at = at
            self._passed = 0

    def pause(self, now: float) -> None:
        """We do not read from now on, so the peer's silence is our doing: it counts as heard of.

        Counting does not go on after a pause, it starts anew: when bytes came in before may be
        reported later, and who doubts must not harm the peer.
        """
        self.received(now)
        self._paused = True

    def resume(self, now: float) -> None:
        """We read again: silence begins now."""
        if self._paused:
            self.received(now)
            self._paused = False

    def poll(self, now: float) -> Pulse:
        """What the silence up to `now` asks for: one threshold a call, GIVE_UP again and again.

        While paused, SEND_HEARTBEAT every 0.8 of the interval.
        """
        last = len(self._thresholds) - 1
        seconds, pulse = self._thresholds[min(self._passed, last)]
        if now < self._heard_at + seconds:
            return Pulse.NOTHING
        if self._paused:
            self.received(now)
        else:
            self._passed += 1
            self._heard_at = now - seconds
        return pulse
