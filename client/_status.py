"""How the client is doing, and how others hear of it."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar
from weakref import WeakSet

import attrs
import trio

from greenroom.protocol import State

T = TypeVar("T")

BACKLOG: int = 64
"""Most values that one subscription keeps for a reader that is slow."""


@attrs.frozen(kw_only=True)
class Status:
    """The client's state, and what comes next."""

    state: State
    retry_at: float | None = None
    """When the next try begins, on Trio's clock; None while one is under way or none is due."""
    detail: str = ""
    """Why the last connection ended, for a person."""
    close_code: int | None = None
    """The close code that ended it, if one came."""

    @property
    def retry_in_seconds(self) -> float | None:
        """Seconds from now until the next try; 0 when it is due, None where none is planned."""
        if self.retry_at is None:
            return None
        return max(0.0, self.retry_at - trio.current_time())


class Subscription(AsyncIterator[T], Generic[T]):
    """The values that were told since it was made. Iterate over it; ends when no more can come.

    It keeps `BACKLOG` values for its reader; when there are more, the oldest go.
    """

    def __init__(self) -> None:
        self._values = deque[T](maxlen=BACKLOG)
        self._changed = trio.Event()
        self._over = False

    def tell(self, value: T) -> None:
        """Add `value`; never blocks."""
        self._values.append(value)
        self._wake()

    def end(self) -> None:
        """No more will come; what is waiting can still be read."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def __anext__(self) -> T:
        """The next value, as soon as there is one."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._values:
            if self._over:
                raise StopAsyncIteration
            await self._changed.wait()
        value = self._values.popleft()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return value


class Broadcast(Generic[T]):
    """Tells every subscription. One that nobody holds any more is gone by itself."""

    def __init__(self) -> None:
        self._subscriptions = WeakSet[Subscription[T]]()
        self._over = False

    def subscribe(self) -> Subscription[T]:
        """Hear of everything from now on."""
        subscription = Subscription[T]()
        if self._over:
            subscription.end()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def tell(self, value: T) -> None:
        """Give `value` to every subscription; never blocks."""
        for subscription in list(self._subscriptions):
            subscription.tell(value)

    def end(self) -> None:
        """No more will come."""
        self._over = True
        for subscription in list(self._subscriptions):
            subscription.end()
