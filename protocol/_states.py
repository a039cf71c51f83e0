"""The states of a connection, the same for client and node: every transition stands in one table.

This module does not know which side we are, what time it is, or what a socket is.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """How a connection is doing, as one side sees it."""

    DISCONNECTED = "DISCONNECTED"
    """There is no socket; a client has a retry armed."""
    CONNECTED = "CONNECTED"
    """There is a socket, and bytes came in lately."""
    UNREACHABLE = "UNREACHABLE"
    """There is a socket, but it has been silent for a heartbeat."""
    CLOSED = "CLOSED"
    """Over for good: the user closed it, a terminal close code came, or retries were given up."""


class Event(Enum):
    """What happens to a connection."""

    OPENED = "opened"
    """The handshake, and AUTH where there is one, succeeded."""
    RECEIVED = "received"
    """Any bytes came in, not only whole frames."""
    SILENT = "silent"
    """Nothing came in for a heartbeat."""
    LOST = "lost"
    """The socket is gone, could not be opened, or was given up after more silence."""
    ENDED = "ended"
    """No further try will be made."""


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.DISCONNECTED, Event.OPENED): State.CONNECTED,
    (State.DISCONNECTED, Event.LOST): State.DISCONNECTED,
    (State.DISCONNECTED, Event.ENDED): State.CLOSED,
    (State.CONNECTED, Event.RECEIVED): State.CONNECTED,
    (State.CONNECTED, Event.SILENT): State.UNREACHABLE,
    (State.CONNECTED, Event.LOST): State.DISCONNECTED,
    (State.CONNECTED, Event.ENDED): State.CLOSED,
    (State.UNREACHABLE, Event.RECEIVED): State.CONNECTED,
    (State.UNREACHABLE, Event.SILENT): State.UNREACHABLE,
    (State.UNREACHABLE, Event.LOST): State.DISCONNECTED,
    (State.UNREACHABLE, Event.ENDED): State.CLOSED,
}
"""What is not in here cannot happen: `next_state` refuses it. CLOSED has no way out."""


class TransitionError(Exception):
    """The caller reports something that cannot happen in this state: a bug on our side."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(state, event)
        self.state, self.event = state, event

    def __str__(self) -> str:
        return f"a connection that is {self.state.name} cannot be {self.event.value}"


def next_state(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        TransitionError: `TRANSITIONS` has no such event in that state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(state, event) from None
