"""What the callbacks actor asks of the world outside: the receiver, and a list of what it refused.

`node` implements these ports with HTTP and the database, tests with fakes.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs


@attrs.frozen(kw_only=True)
class Callback:
    """One request, as it is sent at every attempt."""

    id: str
    """The same at every attempt, so that the receiver can tell a second one."""
    room: str | None
    """What it is about; None for what happens on the node and in no room."""
    events: int
    body: bytes = attrs.field(repr=False)
    """JSON."""


class SinkUnavailable(Exception):
    """The receiver did not take it now: silent, overloaded, broken. It may take it later.

    Whether it has acted upon it all the same, nobody knows.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason, retry_after_seconds)
        self.reason, self.retry_after_seconds = reason, retry_after_seconds

    def __str__(self) -> str:
        return self.reason


class SinkRefused(Exception):
    """The receiver will not take it, however often it is sent."""

    def __init__(self, reason: str, *, content: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.content = content
        """Whether it is about what was sent, so that part of it may still be taken."""


class CallbackSink(Protocol):
    """The receiver of callbacks."""

    async def deliver(self, callback: Callback, *, attempt: int) -> None:
        """Hand over one request; return when the receiver has it. Ends within its own deadline.

        Raises:
            SinkUnavailable: Not now.
            SinkRefused: Not ever.
        """
        ...


@attrs.frozen(kw_only=True)
class DeadCallback:
    """A callback that was given up."""

    callback: Callback
    reason: str
    attempts: int
    first_failed_ms: int
    """ms since 1970."""


class DeadCallbacksFull(Exception):
    """The list has no room: nothing more can be given up."""


class DeadCallbacks(Protocol):
    """The dead-letter list: bounded, and it outlives the node.

    Every method raises `StoreUnavailable` for trouble that may pass.
    """

    async def bury(self, dead: DeadCallback) -> None:
        """Put it on the list, or in the place of the one with the same id.

        Raises:
            DeadCallbacksFull: The list is full.
        """
        ...

    async def wanted(self, *, limit: int) -> Sequence[DeadCallback]:
        """Return those that somebody wants sent again, oldest first."""
        ...

    async def resolve(self, id: str) -> None:
        """It was delivered after all: take it off the list."""
        ...
