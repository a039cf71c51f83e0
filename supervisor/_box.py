"""The queue of one child: bounded, in order, outlives its incarnations.

Not a `trio.open_memory_channel`: a crash must be able to put a message back in front, the reserved
lane must pass a full queue without overtaking what was sent before it, and a full queue may drop
its oldest. One deque does all three, and needs no draining to be fast. Who waits for room waits in
FIFO order, as on a memory channel.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, checkpoint, current_task, enable_ki_protection

from ._errors import ActorStopped, InboxFull, InboxOverflowed
from ._messages import DeadLetter, DeadLetterReason, Envelope, is_envelope
from ._reports import OverflowEvent
from ._specs import ChildSpec, Overflow
from ._waiting import check_cycle, current_actor

if TYPE_CHECKING:
    from ._child import Child

SEND_BUDGET = 64  # sends in a row, to one inbox, without a checkpoint; a memory channel has 1
_LEFT_BEHIND = frozenset({DeadLetterReason.IN_HAND, DeadLetterReason.STOPPED})


class Box:
    """Where messages for a child wait.

    `items` holds bare messages, or `Envelope`s where more than the message counts.

    `limit` is what `len(items)` is compared with on the fast paths: the capacity plus what lies in
    the reserved lane, or 0 once closed, so that one comparison covers both.
    """

    __slots__ = (
        "_child",
        "capacity",
        "closed",
        "dropped",
        "items",
        "limit",
        "policy",
        "receiver",
        "senders",
        "skipped",
        "spent",
    )

    def __init__(self, child: Child, capacity: int, policy: Overflow) -> None:
        self._child = weakref.ref(child)
        self.capacity = capacity
        self.policy = policy
        self.items: deque[Any] = deque()  # Any: messages of the actor's own types
        self.limit = capacity
        self.spent = 0
        self.closed = False
        self.receiver: Task | None = None
        self.senders: OrderedDict[Task, Any] | None = None  # {waiting task: its message}, FIFO
        self.dropped = 0
        self.skipped = 0

    @property
    def child(self) -> Child:
        """Whose it is. Whoever has the box has the child too: by a ref, or by its inbox.

        So it is held weakly: a child that is gone for good leaves no cycle.
        """
        child = self._child()
        assert child is not None  # noqa: S101 - see above
        return child

    # --- putting in

    def wake(self) -> None:
        """Let the waiting receiver run."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            trio.lowlevel.reschedule(receiver)

    def append(self, item: object) -> None:
        """Add `item` at the end, whatever the limit."""
        self.items.append(item)
        if self.receiver is not None:
            self.wake()

    @enable_ki_protection
    async def put(self, item: object) -> None:
        """Add `item`, waiting for room if that is the policy. Always a checkpoint.

        Raises:
            InboxFull: It is full, and the policy is to say so.
            AskCycle: It is full, and its actor waits for the calling actor.
        """
        await checkpoint()
        self.spent = 0
        if len(self.items) < self.limit:
            self.append(item)
        elif self.closed or self.policy is not Overflow.WAIT:
            self.put_full(item)
        else:
            await self._wait_for_room(item)

    def put_nowait(self, item: object) -> None:
        """Add `item` or raise `InboxFull`."""
        if len(self.items) < self.limit:
            self.append(item)
        elif not self.closed and self.policy is Overflow.WAIT:
            self._note_overflow()
            raise InboxFull(self.child.path, self.capacity)
        else:
            self.put_full(item)

    def put_full(self, item: object) -> None:
        """Treat `item` as the policy says, the box being full or closed."""
        if self.closed:
            self.bury(item, DeadLetterReason.STOPPED, ActorStopped(self.child.path))
            return
        self._note_overflow()
        full = InboxFull(self.child.path, self.capacity)
        if self.policy is Overflow.RAISE:
            raise full
        self.dropped += 1
        if self.policy is Overflow.DROP_OLDEST and self._drop_oldest(full):
            self.append(item)
            return
        self.bury(item, DeadLetterReason.OVERFLOW, full)
        if self.policy is Overflow.FAIL:
            self.child.fail(InboxOverflowed(self.child.path, self.capacity))

    def deliver(self, message: object, incarnation: int) -> Envelope[Any]:
        """Add a message of the library's own, past a full box but in order: the reserved lane."""
        envelope: Envelope[Any] = Envelope(message, reserved=incarnation)
        self.limit += 1
        self.append(envelope)
        return envelope

    def deliver_to(self, incarnation: int, message: object) -> None:
        """As `deliver`, unless that incarnation has ended: then nobody is owed it."""
        living = self.child.incarnation
        if living is not None and living.number == incarnation:
            self.deliver(message, incarnation)

    def _drop_oldest(self, full: InboxFull) -> bool:
        for index, item in enumerate(self.items):
            if not (is_envelope(item) and item.reserved):
                del self.items[index]
                self.bury(item, DeadLetterReason.OVERFLOW, full)
                return True
        return False

    def _note_overflow(self) -> None:
        self.child.tree.reporter.overflow(
            OverflowEvent(path=self.child.path, policy=self.policy.value, capacity=self.capacity)
        )

    async def _wait_for_room(self, item: object) -> None:
        actor = current_actor()
        if actor is not None:
            check_cycle(actor, self.child)
            actor.waits_for = self.child
        if self.senders is None:
            self.senders = OrderedDict()
        task, senders = current_task(), self.senders
        senders[task] = item

        def abort(_: RaiseCancelT) -> Abort:
            del senders[task]
            return Abort.SUCCEEDED

        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            if actor is not None:
                actor.waits_for = None

    # --- taking out

    def take(self) -> Any:  # Any: as items
        """Remove the first item and let a waiting sender put its own in."""
        item = self.items.popleft()
        if is_envelope(item) and item.reserved and not item.taken:
            item.taken = True
            self.limit -= 1
        if self.senders:
            self.admit()
        return item

    def admit(self) -> None:
        """Move messages of waiting senders into the free places."""
        senders = self.senders
        while senders and len(self.items) < self.limit:
            task, item = senders.popitem(last=False)
            self.append(item)
            trio.lowlevel.reschedule(task)

    def put_back(self, items: Sequence[object]) -> None:
        """Put `items` in front, in their order, whatever the limit."""
        for item in items:
            if is_envelope(item) and item.reserved:  # it takes no room, as when it came
                item.taken = False
                self.limit += 1
        self.items.extendleft(reversed(items))
        if self.receiver is not None and self.items:
            self.wake()

    def forget(self, wanted: Envelope[Any]) -> bool:
        """Remove one item; False if it is not there."""
        for index, item in enumerate(self.items):
            if item is wanted:
                del self.items[index]
                if wanted.reserved:
                    self.limit -= 1
                return True
        return False

    def forget_reserved(self) -> None:
        """Remove what was owed to an incarnation that has ended."""
        if self.limit != self.capacity and not self.closed:
            kept = [i for i in self.items if not (is_envelope(i) and i.reserved)]
            self.items.clear()
            self.items.extend(kept)
            self.limit = self.capacity

    # --- ending

    def bury(self, item: object, reason: DeadLetterReason, error: Exception) -> None:
        """Make `item` a dead letter; its asker gets `error`. A withdrawn request just goes."""
        message, asked = item, False
        if is_envelope(item):
            if item.stale or (item.reserved and reason is not DeadLetterReason.UNHANDLED):
                return
            message, asked = item.message, item.reply_to is not None
            item.refuse(error)
        spec = self.child.spec
        if reason in _LEFT_BEHIND and isinstance(spec, ChildSpec) and not spec.dead_letters:
            return
        letter = DeadLetter(path=self.child.path, message=message, reason=reason, asked=asked)
        self.child.tree.reporter.dead_letter(letter)

    def close(self) -> None:
        """No incarnation will come: what waits, and all that will be sent, is dead letters."""
        if self.closed:
            return
        self.closed = True
        self.limit = 0
        items, senders = list(self.items), self.senders
        self.items.clear()
        self.senders = None
        if senders:
            items.extend(senders.values())
            for task in senders:
                trio.lowlevel.reschedule(task)
            senders.clear()
        stopped = ActorStopped(self.child.path)
        for item in items:
            self.bury(item, DeadLetterReason.STOPPED, stopped)

    def reopen(self) -> None:
        """Take messages again: the child was restarted by hand or with its group."""
        if self.closed:
            self.closed = False
            self.limit = self.capacity


def as_envelope(item: object) -> Envelope[Any]:
    """Return `item` as an envelope, wrapping a bare message."""
    return item if is_envelope(item) else Envelope(item)
