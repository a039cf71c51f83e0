"""How one client is doing: the protocol's state machine, driven by the heartbeat clock.

The same states as the client has of us. It knows no timers and no socket: the connection tells it
what came in and when, and asks it what to do.
"""

from greenroom.actors.services import CastLimits
from greenroom.protocol import CloseCode, Event, HeartbeatClock, Pulse, State, next_state


class Liveness:
    """A client's state, from AUTH to the end of its connection.

    Args:
        limits: How much silence means what.
        now: The client counts as heard of now.
    """

    __slots__ = (
        "_clock",
        "state",
    )

    def __init__(self, limits: CastLimits, *, now: float) -> None:
        self._clock = HeartbeatClock(
            now=now,
            interval_seconds=limits.heartbeat_seconds,
            pong_timeout_seconds=limits.pong_timeout_seconds,
        )
        self.state = State.DISCONNECTED
        """DISCONNECTED before AUTH, and after an end that lets the client come back."""

    @property
    def next_at(self) -> float:
        """When to call `poll` at the latest."""
        return self._clock.next_at

    def authenticated(self) -> None:
        """It is who it says: CONNECTED."""
        self._move(Event.OPENED)

    def heard(self, at: float) -> None:
        """Its last bytes came in at `at`; those that came after a silence end UNREACHABLE."""
        self._clock.received(at)
        if self.state is State.UNREACHABLE and not self._clock.is_unreachable:
            self._move(Event.RECEIVED)

    def poll(self, now: float) -> Pulse:
        """What its silence up to `now` asks for."""
        pulse = self._clock.poll(now)
        if pulse is Pulse.UNREACHABLE and self.state is State.CONNECTED:
            self._move(Event.SILENT)
        return pulse

    def reading_stopped(self, now: float) -> None:
        """We do not read, so silence is our doing."""
        self._clock.pause(now)

    def reading_goes_on(self, now: float) -> None:
        """We read again."""
        self._clock.resume(now)

    def ended(self, code: CloseCode | None) -> None:
        """The connection is over; `code` says whether the client should come back."""
        if self.state is not State.CLOSED:
            may_return = code is None or code.reconnect
            self._move(Event.LOST if may_return else Event.ENDED)

    def _move(self, event: Event) -> None:
        self.state = next_state(self.state, event)
