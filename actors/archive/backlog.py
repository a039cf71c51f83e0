"""What waits at the archive for the next transaction: bounded, in order, barriers in between."""

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from greenroom.actors.ports import Committed, KeyConflict, NewMessage, StoreUnavailable
from greenroom.actors.services import CastLimits
from greenroom.supervisor import ReplyTo

Barrier = Callable[[], object]


@attrs.frozen
class Waiting:
    """One room's batch, and who hears what became of it."""

    messages: Sequence[NewMessage]
    reply_to: ReplyTo
    size: int
    """Bytes of content."""
    since: float


@attrs.frozen
class Group:
    """What one transaction stores, and what may go on after it."""

    stores: Sequence[Waiting]
    barriers: Sequence[Barrier]

    @property
    def messages(self) -> list[NewMessage]:
        """All of it, in order."""
        return [message for store in self.stores for message in store.messages]

    @property
    def since(self) -> float:
        """When the oldest of it came."""
        return self.stores[0].since

    def answer(self, outcomes: Sequence[Committed | KeyConflict] | StoreUnavailable) -> None:
        """Give each its part of `outcomes`, which has one for each message."""
        if isinstance(outcomes, StoreUnavailable):
            self.fail(outcomes)
            return
        start = 0
        for store in self.stores:
            end = start + len(store.messages)
            store.reply_to.reply(outcomes[start:end])
            start = end

    def fail(self, error: Exception) -> None:
        """Tell everybody that it did not work."""
        for store in self.stores:
            store.reply_to.fail(error)


class Backlog:
    """Batches that wait for the archive's committer.

    When `backlog_messages` or `backlog_bytes` would be exceeded, `add_store` refuses: the room then
    answers ERROR 108. Barriers cost nothing and are always taken: each belongs to one request.
    """

    def __init__(self, limits: CastLimits) -> None:
        self._limits = limits
        self._queue: deque[Waiting | Barrier] = deque()
        self._messages = 0
        self._bytes = 0
        self._some = trio.Event()

    def add_store(self, messages: Sequence[NewMessage], reply_to: ReplyTo, *, now: float) -> bool:
        """Queue a batch; False if there is no room for it."""
        size = sum([len(message.content.encode()) for message in messages])
        if self._messages + len(messages) > self._limits.backlog_messages:
            return False
        if self._bytes + size > self._limits.backlog_bytes:
            return False
        self._messages += len(messages)
        self._bytes += size
        self._queue.append(Waiting(messages, reply_to, size, now))
        self._some.set()
        return True

    def add_barrier(self, barrier: Barrier) -> None:
        """Call `barrier` when everything that was queued before has been decided."""
        self._queue.append(barrier)
        self._some.set()

    async def wait(self) -> None:
        """Return when something waits."""
        await self._some.wait()

    def take(self) -> Group:
        """The next group: as much as one transaction may hold, at least one batch if any waits."""
        return self._take(self._limits.commit_messages, self._limits.commit_bytes)

    def take_all(self) -> Group:
        """Everything, for telling it that it is over."""
        return self._take(self._limits.backlog_messages, self._limits.backlog_bytes)

    def _take(self, messages_left: int, bytes_left: int) -> Group:
        stores: list[Waiting] = []
        barriers: list[Barrier] = []
        while self._queue:
            item = self._queue[0]
            if isinstance(item, Waiting):
                messages_left -= len(item.messages)
                bytes_left -= item.size
                if stores and (messages_left < 0 or bytes_left < 0):
                    break
                stores.append(item)
                self._messages -= len(item.messages)
                self._bytes -= item.size
            else:
                barriers.append(item)
            self._queue.popleft()
        if not self._queue:
            self._some = trio.Event()
        return Group(stores, barriers)
