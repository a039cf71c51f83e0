"""A child and its incarnations: one task and one cancel scope a life, and what ends with it."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import disable_ki_protection, enable_ki_protection

from ._box import Box
from ._errors import ActorCrashed, ActorStopped, NotStarted
from ._inbox import Inbox
from ._messages import DeadLetterReason, Down, DownReason, Envelope, Pending, ReplyTo, is_envelope
from ._ref import Ref
from ._reports import CrashReport, StuckReport
from ._specs import ChildSpec, Overflow, SupervisorSpec
from ._strategy import Exit
from ._timers import Timer
from ._waiting import CURRENT

if TYPE_CHECKING:
    from ._core import Core
    from ._tree import Tree

# After the end of its grace: a cancelled clean-up may still take a few passes.
STUCK_AFTER_SECONDS = 1.0


class ChildState(Enum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    """Between two incarnations: it crashed and will be, or is to be, started again."""
    STOPPED = "stopped"
    """Not started yet, finished, or stopped by hand."""


class Incarnation:
    """One life of a child."""

    __slots__ = (
        "callbacks",
        "child",
        "failure",
        "grace_deadline",
        "graces",
        "inbox",
        "number",
        "owed",
        "scope",
        "started",
        "started_at",
        "started_value",
        "stop_timer",
        "stopping",
        "task",
        "timers",
        "waits_for",
        "watchers",
        "watching",
    )

    def __init__(self, child: Child, number: int) -> None:
        self.child = child
        self.number = number
        self.scope = trio.CancelScope()
        self.inbox: Inbox[Any] = Inbox(self)
        self.task: trio.lowlevel.Task | None = None
        self.started = False
        self.started_at = 0.0
        self.started_value: Any = None  # Any: whatever started() was given
        self.stopping = False
        self.failure: Exception | None = None
        self.waits_for: Child | Pending | None = None
        # Made when first needed: most incarnations have none of these.
        self.graces: set[trio.CancelScope] | None = None
        self.grace_deadline = float("inf")
        self.stop_timer: Timer | None = None
        self.timers: set[Timer] | None = None
        self.watchers: dict[Incarnation, None] | None = None  # in the order they began to watch
        self.watching: dict[Child, Incarnation | None] | None = None
        self.owed: set[Pending] | None = None
        self.callbacks: list[Callable[[], object]] | None = None

    # --- running

    @enable_ki_protection
    async def run(self) -> None:
        """Live this life: the task's whole body. Never raises."""
        child = self.child
        self.task = trio.lowlevel.current_task()
        CURRENT.set(self)
        error: BaseException | None = None
        try:
            with self.scope:
                await _unprotected(child.body, self.inbox, child.args, _TaskStatus(self))
        except BaseException as exc:  # noqa: BLE001  the fence: sorted out in _ended
            error = exc
        self.task = None
        self._ended(error)

    def note_started(self, value: object) -> None:
        """Take the child's word that it can work."""
        if self.started:
            raise RuntimeError("task_status.started() was called twice")
        self.started, self.started_value = True, value
        self.started_at = trio.current_time()
        self.child.wake()
        self.child.parent.child_started(self.child, self)

    def _ended(self, error: BaseException | None) -> None:
        child = self.child
        if error is not None:
            error = child.tree.fence(error)
        if self.failure is not None and error is None:
            error, self.failure = self.failure, None
        if error is None and not self.started and not self.stopping:
            error = NotStarted(child.path)
        child.parent.child_ended(child, self, error)

    # --- stopping

    def request_stop(self, shutdown_seconds: float) -> None:
        """Cancel it, and give its clean-up so many seconds. Asking again changes nothing."""
        if self.stopping:
            return
        self.stopping = True
        self.inbox.hasten()
        self.scope.cancel()
        self.grace_deadline = trio.current_time() + shutdown_seconds
        for grace in self.graces or ():
            grace.deadline = min(grace.deadline, self.grace_deadline)
        if shutdown_seconds == 0:
            self.end_grace()
        elif self.grace_deadline != float("inf"):
            clock = self.child.tree.clock
            self.stop_timer = clock.call_at(self.grace_deadline, self.end_grace)

    def end_grace(self) -> None:
        """Its time for clean-up is over: cancel that too, and soon stop waiting for it."""
        now = trio.current_time()
        self.grace_deadline = min(self.grace_deadline, now)
        for grace in self.graces or ():
            grace.cancel()
        if self.stop_timer is not None:
            self.stop_timer.cancel()
        nested = self.child.core
        if nested is not None:
            nested.hurry()  # a supervisor is our own code: once its children are gone it ends
        else:
            clock = self.child.tree.clock
            self.stop_timer = clock.call_at(now + STUCK_AFTER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        child = self.child
        if child.incarnation is self:
            stack = await_stack(self.task)
            child.tree.reporter.stuck(
                StuckReport(path=child.path, incarnation=self.number, await_stack=stack)
            )
            child.parent.child_ended(child, self, None)

    @contextmanager
    def grace(self, *, ending: bool) -> Generator[trio.CancelScope, None, None]:
        """Shield the block until the grace is over; it begins now if the life is `ending`."""
        deadline = self.grace_deadline
        if not self.stopping and (ending or self.failure is not None):
            deadline = trio.current_time() + self.child.spec.shutdown_seconds
        with trio.CancelScope(shield=True, deadline=deadline) as scope:
            self.graces = self.graces or set()
            self.graces.add(scope)
            try:
                yield scope
            finally:
                self.graces.discard(scope)

    # --- what ends with it

    def owe(self, reply_to: ReplyTo) -> None:
        """Note an ask to be answered later; it ends at the latest with this incarnation."""
        pending = reply_to.pending
        pending.target = None  # the handler goes on, so the asker waits for nobody's handler
        if self.owed is None:
            self.owed = set()
        elif len(self.owed) >= 64 and len(self.owed) & (len(self.owed) - 1) == 0:
            self.owed = {p for p in self.owed if not p.done}
        self.owed.add(pending)

    def start_timer(self, seconds: float, message: object, *, repeat: bool) -> Timer:
        """Deliver `message` later, or every so often."""
        child = self.child
        waiting: Envelope[Any] | None = None

        def fire() -> None:
            nonlocal waiting
            if not repeat:
                timers.discard(timer)
            if waiting is None or waiting.taken:  # an interval's tick that still waits is enough
                waiting = child.box.deliver(message, self.number)

        timers = self.timers = set() if self.timers is None else self.timers
        timer = child.tree.clock.call_at(
            trio.current_time() + seconds, fire, interval=seconds if repeat else None
        )
        timers.add(timer)
        return timer

    def watch(self, target: Child) -> None:
        """Owe this incarnation one `Down` about the target's present, last, or else first life."""
        if self.watching is None:
            self.watching = {}
        if target in self.watching:
            return
        living = target.incarnation
        if living is None and (target.box.closed or target.number > 0):
            will_restart = not target.box.closed
            self.child.box.deliver(target.last_down(will_restart=will_restart), self.number)
            return
        self.watching[target] = living
        watchers = target.early_watchers if living is None else living.watchers
        if watchers is None:
            watchers = {}
            if living is None:
                target.early_watchers = watchers
            else:
                living.watchers = watchers
        watchers[self] = None

    def unwatch(self, target: Child) -> None:
        """Forget the watch, and the `Down` if it waits in the inbox."""
        if self.watching is not None and target in self.watching:
            living = self.watching.pop(target)
            watchers = target.early_watchers if living is None else living.watchers
            if watchers is not None:
                watchers.pop(self, None)
        for item in tuple(self.child.box.items):
            message = item.message if is_envelope(item) else None
            if isinstance(message, Down) and message.ref is target.ref:
                self.child.box.forget(item)

    def on_end(self, callback: Callable[[], object]) -> None:
        """Call `callback` at the end of this life."""
        self.callbacks = self.callbacks or []
        self.callbacks.append(callback)

    def release(self) -> None:
        """Let go of everything that dies with it."""
        for timer in self.timers or ():
            timer.cancel()
        if self.stop_timer is not None:
            self.stop_timer.cancel()
        for target, living in (self.watching or {}).items():
            watchers = target.early_watchers if living is None else living.watchers
            if watchers is not None:
                watchers.pop(self, None)
        for callback in self.callbacks or ():
            callback()
        self.timers = self.watching = self.callbacks = None


class _TaskStatus:
    """What a child calls `started()` on."""

    __slots__ = ("_incarnation",)

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation

    @enable_ki_protection
    def started(self, value: Any = None) -> None:  # Any: as trio.TaskStatus
        self._incarnation.note_started(value)


@disable_ki_protection
async def _unprotected(
    body: Callable[..., Awaitable[object]],
    inbox: Inbox[Any],
    args: tuple[Any, ...],
    status: _TaskStatus,
) -> None:
    await body(inbox, *args, task_status=status)


class Child:
    """A child's place under its supervisor: what outlives its incarnations."""

    __slots__ = (
        "_changed",
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
        "ref",
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
        self.ref: Ref[Any] = Ref(self)
        self.state = ChildState.STOPPED
        self.incarnation: Incarnation | None = None
        self.number = 0
        """Number of the last incarnation; 0 before the first."""
        self.keep = False
        """Whether the box stays open when the present start fails or the present stop is done."""
        self.attempt = 0
        self.restart_timer: Timer | None = None
        self.restart_times: deque[float] | None = None
        self.last_crash: CrashReport | None = None
        self.last_reason = DownReason.STOPPED
        self.stash: list[Envelope[Any]] = []
        self.saved: Any = None  # Any: whatever the actor saved
        self.early_watchers: dict[Incarnation, None] | None = None
        self._changed: trio.Event | None = None

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
        incarnation = self.incarnation
        if incarnation is not None and incarnation.failure is None and not incarnation.stopping:
            incarnation.failure = error
            incarnation.scope.cancel()

    def put_down(self, incarnation: Incarnation, report: CrashReport | None, exit_: Exit) -> None:
        """Decide what becomes of the messages and asks an ended incarnation had in hand."""
        error = ActorCrashed(self.path, report) if self.keep else ActorStopped(self.path)
        if exit_ is Exit.CRASHED:
            error = ActorCrashed(self.path, report)
        again: list[Envelope[Any]] = []
        limit = self.spec.redeliver_at_most if isinstance(self.spec, ChildSpec) else 0
        for envelope in incarnation.inbox.in_hand():
            answered = envelope.reply_to is not None and (envelope.replied or envelope.stale)
            if envelope.reserved or answered:
                continue
            if exit_ is Exit.NORMAL:  # it returned: what it had in hand is done
                envelope.refuse(error)
            elif envelope.deliveries < limit and not envelope.replied:
                envelope.deliveries += 1
                again.append(envelope)
            else:
                self.box.bury(envelope, DeadLetterReason.IN_HAND, error)
        for pending in tuple(incarnation.owed or ()):
            pending.settle(None, copy.copy(error))
        self.box.forget_reserved()
        self.box.put_back([*self.stash, *again])  # what was stashed came first
        self.stash.clear()

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


def await_stack(task: trio.lowlevel.Task | None) -> tuple[str, ...]:
    """Say where `task` waits, outermost first."""
    if task is None:
        return ()
    return tuple(
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
        for frame, line in task.iter_await_frames()
    )
