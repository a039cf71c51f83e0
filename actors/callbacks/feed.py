"""How the cast tells the callbacks actor what has happened: never waits, never fails.

A room must not be held up by a webhook. So what finds the actor's inbox full is not told: messages
are then found in the history, anything else is counted as dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from greenroom.actors.callbacks.events import Event, EventKind, message_event, presence_event
from greenroom.actors.ports import Committed, Head, KeyConflict, StoredMessage, StoreUnavailable
from greenroom.actors.room.ring import Remembered
from greenroom.actors.services import Services
from greenroom.supervisor import InboxFull, Ref, Supervisor

NO_ROOM: Final = ""
"""In place of a room's name: what happens on the node."""


@attrs.frozen
class Stored:
    """These messages are in the history now: of any rooms, each room's ascending."""

    messages: Sequence[StoredMessage]


@attrs.frozen(kw_only=True)
class Happened:
    """Something that is no durable message."""

    room: str
    epoch: str
    """Empty where nothing is stored: such a room's epochs are one row of events."""
    after: int
    """The newest message before it."""
    events: Sequence[Event]


CallbackMessage = Stored | Happened


class CallbackFeed:
    """A handle on the callbacks actor; where there is none, every call does nothing."""

    def __init__(self, node: Supervisor, services: Services) -> None:
        self._services = services
        self._state = services.callbacks
        self._ref: Ref[CallbackMessage] | None = None
        if services.callbacks is not None:
            self._ref = node.ref("callbacks")

    def stored(self, outcomes: Sequence[Committed | KeyConflict] | StoreUnavailable) -> None:
        """A commit has worked; or it was given up, and nobody knows whether it had.

        What it found stored already may be new too: its first try did not hear.
        """
        if self._ref is None or self._state is None or not self._state.wants(EventKind.MESSAGE):
            return
        if isinstance(outcomes, StoreUnavailable):
            self._state.missed = True
            return
        messages = [
            outcome.message
            for outcome in outcomes
            if isinstance(outcome, Committed) and outcome.message.status == 0
        ]
        if messages:
            try:
                self._ref.tell_nowait(Stored(messages))
            except InboxFull:
                self._state.missed = True

    def sent(self, entries: Sequence[Remembered]) -> None:
        """An ephemeral room has sent these, and nobody has stored them."""
        if self._wants(EventKind.MESSAGE, ephemeral=True):
            events = [message_event(entry.message) for entry in entries]
            self._tell(Happened(room=entries[0].message.room, epoch="", after=0, events=events))

    def came_and_went(
        self, room: str, head: Head, changes: Mapping[str, bool], *, durable: bool
    ) -> None:
        """Users' first connections have joined (True), or their last ones have left."""
        if self._state is None:
            return
        events = [
            self._presence(EventKind.JOINED if came else EventKind.LEFT, user, room)
            for user, came in changes.items()
            if self._wants(EventKind.JOINED if came else EventKind.LEFT, ephemeral=not durable)
        ]
        if events:
            epoch, after = (head.epoch, head.offset) if durable else ("", 0)
            self._tell(Happened(room=room, epoch=epoch, after=after, events=events))

    def connected(self, user: str, *, first: bool) -> None:
        """A user has a session on this node now, or (not `first`) has none any more."""
        kind = EventKind.FIRST_CONNECTION if first else EventKind.LAST_CONNECTION
        if self._wants(kind):
            event = self._presence(kind, user, None)
            self._tell(Happened(room=NO_ROOM, epoch="", after=0, events=[event]))

    def _presence(self, kind: EventKind, user: str, room: str | None) -> Event:
        return presence_event(
            kind, user, id=self._services.new_id(), room=room, now_ms=self._services.now_ms()
        )

    def _wants(self, kind: EventKind, *, ephemeral: bool = False) -> bool:
        state = self._state
        return state is not None and state.wants(kind) and (state.plan.ephemeral or not ephemeral)

    def _tell(self, happened: Happened) -> None:
        if self._ref is None or self._state is None:
            return
        try:
            self._ref.tell_nowait(happened)
        except InboxFull:
            self._state.dropped += len(happened.events)
