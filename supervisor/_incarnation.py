"""One life of a child: a task, a cancel scope, and what ends with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import disable_ki_protection, enable_ki_protection

from ._errors import NotStarted
from ._inbox import Inbox
from ._messages import Down, Envelope, Pending, ReplyTo, is_envelope
from ._reports import StuckReport
from ._timers import Timer
from ._waiting import CURRENT

if TYPE_CHECKING:
    from ._child import Child

# After the end of its grace a cancelled clean-up may still take a few passes of the scheduler, and
# one pass takes seconds where thousands end at once. So it is a second in sixteen looks, with at
# least one pass before each. (A sixteenth is a float without error: it is a second to the tick.)
STUCK_AFTER_LOOKS = 16
LOOK_SECONDS = 1 / 16


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
        "over",
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
        self.inbox: Inbox[Any] = Inbox(self)  # until it is `over`
        self.task: trio.lowlevel.Task | None = None
        self.over = False
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
        try:
            self._ended(error)
        finally:
            del error  # its traceback holds this frame
            self.over = True
            del self.inbox  # which refers to us; a cycle would wait for the garbage collector

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
        returned = error is None
        if error is not None:
            error = child.tree.fence(error)
        if self.failure is not None and error is None:
            error, self.failure = self.failure, None
        if error is None and returned and not self.started and not self.stopping:
            error = NotStarted(child.path)
        child.parent.child_ended(child, self, error)

    # --- stopping

    def request_stop(self, shutdown_seconds: float) -> None:
        """Cancel it, and give its clean-up so many seconds. Asking again changes nothing."""
        if self.stopping or self.over:
            return
        self.stopping = True
        self._cancel(shutdown_seconds)

    def fail(self, error: Exception) -> None:
        """Crash it from outside with `error`; its clean-up has the grace of a stop."""
        if self.failure is None and not self.stopping:
            self.failure = error
            self._cancel(self.child.spec.shutdown_seconds)

    def _cancel(self, grace_seconds: float) -> None:
        self.inbox.hasten()
        self.scope.cancel()
        deadline = trio.current_time() + grace_seconds
        if deadline >= self.grace_deadline:
            return  # it was failing already, and ends sooner
        self.grace_deadline = deadline
        for grace in self.graces or ():
            grace.deadline = min(grace.deadline, deadline)
        if grace_seconds == 0:
            self.end_grace()
            return
        if self.stop_timer is not None:
            self.stop_timer.cancel()
        self.stop_timer = self.child.tree.clock.call_at(deadline, self.end_grace)

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
            self._look_later(STUCK_AFTER_LOOKS)

    def _look_later(self, looks: int) -> None:
        when = trio.current_time() + LOOK_SECONDS
        look = partial(self._look_later, looks - 1) if looks > 1 else self._give_up
        self.stop_timer = self.child.tree.clock.call_at(when, look)

    def _give_up(self) -> None:
        child = self.child
        if child.incarnation is self:
            stack = await_stack(self.task)
            child.tree.reporter.stuck(
                StuckReport(path=child.path, incarnation=self.number, await_stack=stack)
            )
            child.parent.child_ended(child, self, self.failure)

    @contextmanager
    def grace(self, *, ending: bool) -> Generator[trio.CancelScope, None, None]:
        """Shield the block until the grace is over; it begins now if the life is `ending`."""
        deadline = self.grace_deadline
        if ending and not self.stopping:
            deadline = min(deadline, trio.current_time() + self.child.spec.shutdown_seconds)
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
        if pending.done:
            return  # its asker is gone
        if self.owed is None:
            self.owed = set()
        pending.owed = self.owed
        self.owed.add(pending)

    def start_timer(self, seconds: float, message: object, *, repeat: bool) -> Timer:
        """Deliver `message` later, or every so often."""
        child, now = self.child, trio.current_time()
        if not seconds >= 0:  # NaN too: it would end the clock of the whole tree
            raise ValueError(f"seconds must be 0 or more, not {seconds!r}")
        if repeat and now + seconds <= now:
            raise ValueError(f"an interval of {seconds!r} seconds is too short for the clock")
        waiting: Envelope[Any] | None = None

        def fire() -> None:
            nonlocal waiting
            if not repeat and self.timers is not None:
                self.timers.discard(timer)
            if waiting is None or waiting.taken:  # an interval's tick that still waits is enough
                waiting = child.box.deliver(message, self.number)

        if self.timers is None:
            self.timers = set()
        elif _is_large_power_of_two(len(self.timers)):  # an actor may set and cancel one a message
            self.timers = {t for t in self.timers if t.active}
        timer = child.tree.clock.call_at(now + seconds, fire, interval=seconds if repeat else None)
        self.timers.add(timer)
        return timer

    def watch(self, target: Child) -> int:
        """Owe this incarnation one `Down` about the target's present, last, or else first life."""
        if self.watching is None:
            self.watching = {}
        if target in self.watching:
            watched = self.watching[target]
            return 0 if watched is None else watched.number
        living = target.incarnation
        if living is None and (target.box.closed or target.number > 0):
            will_restart = not target.box.closed
            self.child.box.deliver(target.last_down(will_restart=will_restart), self.number)
            return target.number
        self.watching[target] = living
        watchers = target.early_watchers if living is None else living.watchers
        if watchers is None:
            watchers = {}
            if living is None:
                target.early_watchers = watchers
            else:
                living.watchers = watchers
        watchers[self] = None
        return 0 if living is None else living.number

    def unwatch(self, target: Child) -> None:
        """Forget the watch, and the `Down` if it waits in the inbox."""
        if self.watching is not None and target in self.watching:
            living = self.watching.pop(target)
            watchers = target.early_watchers if living is None else living.watchers
            if watchers is not None:
                watchers.pop(self, None)
            if target.number <= 1:  # still in its first life: no `Down` of it can wait
                return
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


def _is_large_power_of_two(size: int) -> bool:
    """Whether a set of this size is due for a look at what in it is still alive: now and then."""
    return size >= 64 and size & (size - 1) == 0


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
    body: Callable[..., object],
    inbox: Inbox[Any],
    args: tuple[Any, ...],
    status: _TaskStatus,
) -> None:
    life = body(inbox, *args, task_status=status)
    if not isinstance(life, Awaitable):
        raise TypeError(f"start has to be an async function or an Actor class: {body!r} is neither")
    await life


def await_stack(task: trio.lowlevel.Task | None) -> tuple[str, ...]:
    """Say where `task` waits, outermost first: in the actor's code, not in ours or Trio's."""
    if task is None:
        return ()
    stack = list(task.iter_await_frames())
    own = [(frame, line) for frame, line in stack if not _is_machinery(frame.f_globals)]
    return tuple(
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
        for frame, line in own or stack  # a supervisor has no code but ours
    )


def _is_machinery(module: dict[str, Any]) -> bool:
    name = str(module.get("__name__"))
    return name.startswith(("trio.", "greenroom.supervisor."))
