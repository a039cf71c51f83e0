"""What is called back, within which bounds, and how it goes: what all of the cast shares of it."""

import logging

import attrs

from greenroom.actors.callbacks.events import EventKind

log = logging.getLogger("greenroom.actors.callbacks")


@attrs.frozen(kw_only=True)
class CallbackPlan:
    """Every choice, bound and wait of the callbacks, with its unit in its name."""

    kinds: frozenset[EventKind] = frozenset(EventKind)
    ephemeral: bool = False
    """Whether ephemeral rooms call back too; what they have to tell is told at most once."""
    max_events: int = 100
    max_bytes: int = 256 * 1024
    """One request: the first of the two, and at least one event."""
    in_flight: int = 8
    """Requests at a time, of that many different rooms."""
    patience_seconds: float = 3_600.0
    """How long one request is tried again; then it is a dead letter."""
    first_retry_seconds: float = 1.0
    last_retry_seconds: float = 60.0
    """Between two attempts: doubled each time, less a random part of up to a half."""
    longest_pause_seconds: float = 600.0
    """What a receiver may ask for at most with Retry-After."""
    max_lanes: int = 10_000
    """Rooms with something to call back. Of more, messages stay in the history until there is
    a place, and everything else is dropped and counted."""
    max_moments: int = 1_000
    """Events of one room that are no durable messages; one more is dropped and counted."""
    window_events: int = 50_000
    window_bytes: int = 16 * 1024 * 1024
    """What all rooms together hold in memory. A message beyond that is read when its turn comes."""
    replay_seconds: float = 5.0
    """Between two looks at the dead letters, for those to be sent again."""
    grace_seconds: float = 3.0
    """A node that stops waits that long for the requests under way."""


@attrs.frozen(kw_only=True)
class CallbackStatistics:
    """How the callbacks do. The first five only ever grow; they count since the node started."""

    delivered: int
    """Events that the receiver has."""
    retried: int
    """Requests that were sent again."""
    dead: int
    """Events that were given up: on the dead-letter list."""
    replayed: int
    """Events delivered from that list."""
    dropped: int
    """Events that are on no list: presence, and messages of ephemeral rooms, that found no room."""
    waiting: int
    """Events in memory now; of messages, there may be more in the history."""
    rooms: int
    """Rooms with something to call back now."""
    in_flight: int
    """Requests under way now."""


@attrs.define(eq=False)
class CallbackState:
    """Outlives the actor that writes it; anybody may read it."""

    plan: CallbackPlan
    delivered: int = 0
    retried: int = 0
    dead: int = 0
    replayed: int = 0
    dropped: int = 0
    waiting: int = 0
    rooms: int = 0
    in_flight: int = 0
    missed: bool = False
    """The actor's inbox was full when a message was stored: the history has to be asked for it."""

    _good: bool = attrs.field(default=True, init=False)
    _giving_up: bool = attrs.field(default=False, init=False)
    _stuck: bool = attrs.field(default=False, init=False)

    def wants(self, kind: EventKind) -> bool:
        """Whether such events are called back."""
        return kind in self.plan.kinds

    # What the log hears: once when trouble begins, once when it ends.

    def failed(self, reason: str) -> None:
        """The receiver has not taken a request."""
        if self._good:
            log.warning("callbacks fail: %s", reason)
        self._good = False

    def gave_up(self, events: int, reason: str) -> None:
        """A request is on the dead-letter list."""
        self.dead += events
        if not self._giving_up:
            log.warning("callbacks are given up: %s; see `greenroom callbacks list`", reason)
        self._good, self._giving_up, self._stuck = False, True, False

    def stuck(self, reason: str) -> None:
        """It would be on the dead-letter list, but that takes nothing: its room waits."""
        if not self._stuck:
            log.warning("callbacks wait: the dead-letter list takes nothing: %s", reason)
        self._good, self._stuck = False, True

    def lost(self, room: str, messages: int) -> None:
        """Messages were deleted from the history before they were called back."""
        self.dropped += messages
        log.warning("messages of %s were deleted before they were called back: %d", room, messages)

    def worked(self) -> None:
        """The receiver has taken a request."""
        if not self._good:
            log.info("callbacks work again")
        self._good, self._giving_up, self._stuck = True, False, False

    def statistics(self) -> CallbackStatistics:
        """Take a picture."""
        return CallbackStatistics(
            delivered=self.delivered,
            retried=self.retried,
            dead=self.dead,
            replayed=self.replayed,
            dropped=self.dropped,
            waiting=self.waiting,
            rooms=self.rooms,
            in_flight=self.in_flight,
        )
