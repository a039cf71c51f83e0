"""A child: what outlives its incarnations."""

from __future__ import annotations

import copy
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING, Any

import trio

from ._box import Box
from ._errors import ActorCrashed, ActorStopped
from ._incarnation import Incarnation
from ._messages import DeadLetterReason, Down, DownReason, Envelope
from ._ref import Ref
from ._reports import CrashReport
from ._specs import ChildSpec, Overflow, SupervisorSpec
from ._strategy import Exit
from ._timers import Timer

if TYPE_CHECKING:
    from ._core import Core
    from ._tree import Tree


class ChildState(Enum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    """Between two incarnations: it crashed and will be, or is to be, started again."""
    STOPPED = "stopped"
    """Not started yet, finished, or stopped by hand."""


class Child:
    """A child's place under its supervisor: what outlives its incarnations."""

    __slots__ = (
        "__weakref__",
        "_changed",
        "_ref",
        "args",
        "attempt",
        "body",
        "box",
        "context",
        "core",
        "early_watchers",
        "id",
        "incarnation",
        "keep",
        "last_crash",
        "last_reason",
        "number",
        "parent",
        "path",
        "restart_posted",
        "restart_timer",
        "restart_times",
        "saved",
        "spec",
        "stash",
        "stash_capacity",
        "state",
        "static",
        "tree",
    )

    def __init__(
        self,
        parent: Core,
        spec: ChildSpec[Any] | SupervisorSpec,
        body: Callable[..., Awaitable[object]],
        context: Context,
        *,
        static: bool,
    ) -> None:
        self.parent = parent
        self.tree: Tree = parent.tree
        self.spec = spec
        self.body = body
        self.context = context
        """The starter's context variables; each incarnation runs in a copy."""
        self.static = static
        """Whether it stands in its supervisor's spec, and so comes back with the supervisor."""
        self.id = spec.id
        self.path = f"{parent.path}/{spec.id}"
        self.core: Core | None = None
        """The supervisor it is, if it is one."""
        if isinstance(spec, ChildSpec):
            self.args = spec.args
            self.stash_capacity = spec.stash_capacity
            self.box = Box(self, spec.inbox_capacity, spec.overflow)
        else:
            self.args = ()
            self.stash_capacity = 0
            self.box = Box(self, 0, Overflow.DROP_NEWEST)  # nobody receives there
        self._ref: weakref.ref[Ref[Any]] | None = None
        self.state = ChildState.STOPPED
        self.incarnation: Incarnation | None = None
        self.number = 0
        """Number of the last incarnation; 0 before the first."""
        self.keep = False
        """Whether the box stays open when the present start fails or the present stop is done."""
        self.attempt = 0
        self.restart_timer: Timer | None = None
        self.restart_posted = False
        """Whether its own restart waits among its supervisor's jobs."""
        self.restart_times: deque[float] | None = None
        self.last_crash: CrashReport | None = None
        self.last_reason = DownReason.STOPPED
        self.stash: list[Envelope[Any]] = []
        self.saved: Any = None  # Any: whatever the actor saved
        self.early_watchers: dict[Incarnation, None] | None = None
        self._changed: trio.Event | None = None

    @property
    def ref(self) -> Ref[Any]:
        """Its address: one object while anybody has it, and always while an incarnation lives.

        Held weakly, as it holds the child: one that is gone for good leaves no cycle.
        """
        ref: Ref[Any] | None = None if self._ref is None else self._ref()
        if ref is None:
            ref = Ref(self)
            self._ref = weakref.ref(ref)
        return ref

    # --- waiting for it

    async def change(self) -> None:
        """Wait until it has started or ended."""
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def wake(self) -> None:
        """Let those in `change` look again."""
        if self._changed is not None:
            changed, self._changed = self._changed, None
            changed.set()

    # --- one life after another

    def begin(self, nursery: trio.Nursery, *, keep: bool) -> Incarnation:
        """Start the next incarnation; it has started once `Incarnation.started` is true."""
        self.keep = keep
        self.number += 1
        self.incarnation = incarnation = Incarnation(self, self.number)
        self.state = ChildState.STARTING
        self.restart_posted = False
        self.box.reopen()
        if self.early_watchers is not None:
            incarnation.watchers, self.early_watchers = self.early_watchers, None
            for watcher in incarnation.watchers:
                if watcher.watching is not None:
                    watcher.watching[self] = incarnation
        self.context.run(self._spawn, nursery, incarnation)
        return incarnation

    def _spawn(self, nursery: trio.Nursery, incarnation: Incarnation) -> None:
        nursery.start_soon(incarnation.run, name=self.path)

    def fail(self, error: Exception) -> None:
        """Crash the living incarnation from outside with `error`."""
        if self.incarnation is not None:
            self.incarnation.fail(error)

    def put_down(self, incarnation: Incarnation, report: CrashReport | None, exit_: Exit) -> None:
        """Decide what becomes of the messages and asks an ended incarnation had in hand."""
        # whatever restart_if makes of an exception, it did not finish what was in hand
        crashed = report is not None and exit_ is not Exit.STOPPED
        if crashed or self.keep:
            error: Exception = ActorCrashed(self.path, report)
        else:
            error = ActorStopped(self.path)
        again: list[Envelope[Any]] = []
        limit = self.spec.redeliver_at_most if isinstance(self.spec, ChildSpec) else 0
        in_hand = incarnation.inbox.in_hand()
        if crashed:
            aside = [e for e in incarnation.inbox.laid_aside() if self._take_back(e)]
            in_hand = [*aside, *in_hand]
        for envelope in in_hand:
            answered = envelope.reply_to is not None and (envelope.replied or envelope.stale)
            if envelope.reserved or answered:
                continue
            if exit_ is Exit.NORMAL and not crashed:  # it returned: what it had in hand is done
                envelope.refuse(error)
            elif envelope.deliveries < limit and not envelope.replied:
                envelope.deliveries += 1
                again.append(envelope)
            else:
                self.box.bury(envelope, DeadLetterReason.IN_HAND, error)
        for pending in tuple(incarnation.owed or ()):
            pending.settle(None, copy.copy(error))
        self.box.wake()  # a stuck life may still wait there: it must not be in its successor's way
        self.box.forget_reserved()
        stashed = [envelope for envelope in self.stash if not envelope.reserved]
        self.box.put_back([*stashed, *again])  # what was stashed came first
        self.stash.clear()

    def _take_back(self, envelope: Envelope[Any]) -> bool:
        """Take an envelope out of the stash, or, unstashed, out of the box; False if it is gone."""
        if envelope in self.stash:
            self.stash.remove(envelope)
            return True
        return self.box.forget(envelope)

    def close(self) -> None:
        """No incarnation will come: end all asks, bury all messages, here and below."""
        self.saved = None
        self.box.close()
        if self.early_watchers is not None:
            watchers, self.early_watchers = self.early_watchers, None
            self.notify(watchers, will_restart=False)
        if self.core is not None:
            self.core.close()

    def notify(self, watchers: dict[Incarnation, None], *, will_restart: bool) -> None:
        """Send each watcher its `Down`."""
        down = self.last_down(will_restart=will_restart)
        for watcher in watchers:
            if watcher.watching is not None:
                watcher.watching.pop(self, None)
            watcher.child.box.deliver_to(watcher.number, down)

    def last_down(self, *, will_restart: bool) -> Down:
        """Describe the end of the last incarnation."""
        return Down(
            ref=self.ref,
            incarnation=self.number,
            reason=self.last_reason,
            will_restart=will_restart,
        )
