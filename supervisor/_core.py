"""A supervisor's loop: one task that starts, restarts and stops its children, one thing at a time.

As OTP's supervisor, which is one process: what happens meanwhile waits in `jobs`. A dynamic
supervisor has no order to keep among its children, so it starts and stops them without the loop,
concurrently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import Abort, RaiseCancelT, checkpoint, current_task, enable_ki_protection

from . import _restarting as restarting
from ._calls import Call
from ._child import Child, ChildState
from ._errors import Ignore, RestartLimitExceeded, StartFailed
from ._incarnation import Incarnation
from ._messages import DownReason
from ._reports import ChildEvent, CrashReport, Phase, crash_report
from ._specs import ChildSpec, Restart, SupervisorSpec
from ._strategy import RESTARTS, Exit, shuts_down
from ._waiting import CURRENT

if TYPE_CHECKING:
    from ._supervisor import Supervisor
    from ._tree import Tree

JOBS_WITHOUT_CHECKPOINT = 16


class AutoShutdownReached(Exception):
    """The significant children have ended as `auto_shutdown` asks."""


class Core:
    """One supervisor. Outlives its own restarts, so that refs and handles below it stay valid."""

    def __init__(
        self, tree: Tree, spec: SupervisorSpec, path: str, context: Context, child: Child | None
    ) -> None:
        self.tree = tree
        self.spec = spec
        self.path = path
        self.child = child
        """Its place under its own supervisor; None for the root."""
        self.alive = False
        """Whether it takes requests."""
        self.stopping = False
        self.hurried = False
        self.returns = False
        """While it stops: whether it will come back, and with it its static children."""
        self.times: deque[float] = deque()
        self.jobs: deque[Callable[[], Awaitable[object]]] = deque()
        self.sleeper: trio.lowlevel.Task | None = None
        self.handle: Supervisor = tree.make_handle(self)
        self.statics = {s.id: self.make_child(s, context, static=True) for s in spec.children}
        self.children: dict[str, Child] = dict(self.statics)  # {id: child}, in start order

    def make_child(
        self, spec: ChildSpec[Any] | SupervisorSpec, context: Context, *, static: bool
    ) -> Child:
        """Give a spec its place; nothing runs yet."""
        context.run(CURRENT.set, None)  # the starter may be an actor: it must not live on in here
        if isinstance(spec, ChildSpec):
            return Child(self, spec, self.tree.body_of(spec), context, static=static)
        child = Child(self, spec, _nowhere, context, static=static)
        child.core = Core(self.tree, spec, child.path, context, child)
        child.body = child.core.run_as_child
        return child

    # --- the task

    async def run_as_child(
        self, _inbox: object, *, task_status: trio.TaskStatus[Supervisor]
    ) -> None:
        """Be a child of another supervisor."""
        await self.run(partial(task_status.started, self.handle))

    @enable_ki_protection
    async def run(self, report_started: Callable[[], object]) -> None:
        """Start the children, look after them, stop them in reverse order: whatever ends it.

        Raises:
            StartFailed: A static child did not start.
            RestartLimitExceeded: The restart limit was exceeded.
        """
        self.children = dict(self.statics)
        self.times.clear()
        self.jobs.clear()
        self.alive, self.stopping = True, False
        started = False
        try:
            await self._start_static()
            started = True
            report_started()
            await self._serve()
        except AutoShutdownReached:
            pass
        finally:
            self.alive, self.stopping = False, True
            self._refuse_calls()  # first: one of the children to be stopped may wait for it
            self.returns = self._will_return(started=started)
            with trio.CancelScope(shield=True):
                if self.child is None:
                    await self.tree.end_host()
                await self._stop_all()
            self.hurried = False

    def _refuse_calls(self) -> None:
        jobs, self.jobs = self.jobs, deque()
        for job in jobs:
            if isinstance(job, Call):
                job.refuse()

    def _will_return(self, *, started: bool) -> bool:
        child = self.child
        if child is None or self.tree.dying:
            return False
        if not started or (child.incarnation is not None and child.incarnation.stopping):
            return child.keep
        if child.parent.stopping:
            return child.parent.returns and child.static
        return RESTARTS[self.spec.restart, Exit.SHUTDOWN]

    async def _start_static(self) -> None:
        keep = self.child is not None and self.child.keep
        for child in tuple(self.children.values()):
            child.attempt, child.saved, child.restart_times = 0, None, None
            incarnation = child.begin(self.tree.nursery, keep=keep)
            await self.until_started(child, incarnation)
            if self.tree.dying:  # the stop of everything reaches us in its order
                await trio.sleep_forever()
            self.check_start(child, incarnation)

    async def _serve(self) -> None:
        done = 0
        while True:
            while self.jobs:
                await self.jobs.popleft()()
                done += 1
                if done % JOBS_WITHOUT_CHECKPOINT == 0:
                    await checkpoint()
            self.sleeper = current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_sleep)

    def _abort_sleep(self, _: RaiseCancelT) -> Abort:
        self.sleeper = None
        return Abort.SUCCEEDED

    def post(self, job: Callable[[], Awaitable[object]]) -> None:
        """Let the loop do `job` when it comes to it."""
        self.jobs.append(job)
        if self.sleeper is not None:
            sleeper, self.sleeper = self.sleeper, None
            trio.lowlevel.reschedule(sleeper)

    # --- starting and stopping one child

    async def until_started(self, child: Child, incarnation: Incarnation) -> None:
        """Wait until that incarnation has started or ended."""
        while not incarnation.started and child.incarnation is incarnation:
            await child.change()

    def check_start(self, child: Child, incarnation: Incarnation) -> None:
        """Raise `StartFailed` unless it has started or was ignored."""
        if not incarnation.started and not isinstance(incarnation.failure, Ignore):
            report = child.last_crash if incarnation.failure is not None else None
            raise StartFailed(child.path, report) from incarnation.failure

    def request_stop(self, child: Child, *, keep: bool) -> Incarnation | None:
        """Tell a child to stop; return what has to end, if anything."""
        child.keep = keep
        if child.restart_timer is not None:
            child.restart_timer.cancel()
            child.restart_timer = None
        child.restart_posted = False  # whoever stops it knows what comes next
        incarnation = child.incarnation
        if incarnation is None:
            child.state = ChildState.RESTARTING if keep else ChildState.STOPPED
            if not keep:
                child.close()
            return None
        child.state = ChildState.STOPPING
        incarnation.request_stop(0 if self.hurried else child.spec.shutdown_seconds)
        return incarnation

    async def stop_child(self, child: Child, *, keep: bool) -> None:
        """Stop a child and wait until it has ended, or is reported as stuck."""
        incarnation = self.request_stop(child, keep=keep)
        while incarnation is not None and child.incarnation is incarnation:
            await child.change()

    async def _stop_all(self) -> None:
        children = tuple(self.children.values())[::-1]
        if self.spec.dynamic:
            for child in children:
                self.request_stop(child, keep=False)
            for child in children:
                while child.incarnation is not None:
                    await child.change()
        else:
            for child in children:
                await self.stop_child(child, keep=self.returns and child.static)
        self.children = {c.id: c for c in self.statics.values()}
        if not self.returns:
            self.close()

    def hurry(self) -> None:
        """End the graces of everything in here, and give what is still to be stopped none."""
        self.hurried = True
        for child in tuple(self.children.values()):
            if child.incarnation is not None and child.incarnation.stopping:
                child.incarnation.end_grace()

    def close(self) -> None:
        """No incarnation of this supervisor will come."""
        for child in self.children.values():
            child.close()

    def remove(self, child: Child) -> None:
        """Forget a child for good."""
        if self.children.get(child.id) is child:
            del self.children[child.id]
        child.close()

    # --- what children report, in their own tasks

    def child_started(self, child: Child, incarnation: Incarnation) -> None:
        """Note that a child can work."""
        if child.state is ChildState.STARTING:
            child.state = ChildState.RUNNING
        reporter = self.tree.reporter
        if reporter.wants_starts:
            reporter.started(
                ChildEvent(ref=child.ref, path=child.path, incarnation=incarnation.number)
            )

    @enable_ki_protection
    def child_ended(
        self, child: Child, incarnation: Incarnation, error: BaseException | None
    ) -> None:
        """Settle everything that ends with an incarnation, then decide what comes next."""
        if child.incarnation is not incarnation:
            return  # was given up as stuck
        exit_, report = self._classify(child, incarnation, error)
        if error is not None and not incarnation.started:
            incarnation.failure = error if isinstance(error, Exception) else None
        returns = self._comes_back(child, incarnation, exit_)
        child.keep = returns
        child.incarnation = None
        child.state = ChildState.RESTARTING if returns else ChildState.STOPPED
        child.last_reason = _DOWN_REASONS[exit_]
        incarnation.release()
        child.put_down(incarnation, report, exit_)
        if not returns:
            child.close()
        if incarnation.watchers is not None:
            child.notify(incarnation.watchers, will_restart=returns)
        child.wake()
        self._report(child, incarnation, exit_, report)
        self._follow_up(child, incarnation, report)

    def _classify(
        self, child: Child, incarnation: Incarnation, error: BaseException | None
    ) -> tuple[Exit, CrashReport | None]:
        if error is None:
            return (Exit.STOPPED if incarnation.stopping else Exit.NORMAL), None
        if isinstance(error, Ignore) and not incarnation.started:
            return Exit.IGNORED, None
        if child.core is not None and isinstance(error, RestartLimitExceeded):
            return (Exit.STOPPED if incarnation.stopping else Exit.SHUTDOWN), error.report
        if incarnation.stopping:
            phase = Phase.STOPPING
        else:
            phase = Phase.RUNNING if incarnation.started else Phase.STARTING
        report = crash_report(child.path, incarnation.number, phase, error)
        child.last_crash = report
        if incarnation.stopping:
            return Exit.STOPPED, report
        if incarnation.started and not _is_crash(child, error):
            return Exit.NORMAL, report
        return Exit.CRASHED, report

    def _comes_back(self, child: Child, incarnation: Incarnation, exit_: Exit) -> bool:
        if self.tree.dying or exit_ is Exit.IGNORED:
            return False
        if self.stopping:
            return self.returns and child.static
        if incarnation.stopping or not incarnation.started:
            return child.keep
        return RESTARTS[child.spec.restart, exit_]

    def _report(
        self, child: Child, incarnation: Incarnation, exit_: Exit, report: CrashReport | None
    ) -> None:
        reporter = self.tree.reporter
        if report is not None and exit_ is not Exit.SHUTDOWN:
            reporter.crashed(report)
        if reporter.wants_stops and exit_ is not Exit.CRASHED:
            reporter.stopped(
                ChildEvent(
                    ref=child.ref, path=child.path, incarnation=incarnation.number, exit=exit_
                )
            )

    def _follow_up(
        self, child: Child, incarnation: Incarnation, report: CrashReport | None
    ) -> None:
        """Do, or post, what an end calls for."""
        if self.stopping:
            return
        by_itself = incarnation.started and not incarnation.stopping
        gone = self.spec.dynamic or child.spec.restart is Restart.TEMPORARY
        if not child.keep and gone:
            self.remove(child)
        if by_itself and not child.keep and child.spec.significant:
            self._significant_ended(child)
        if not child.keep:
            return
        if self.spec.dynamic:
            if by_itself or not incarnation.stopping:
                restarting.age(child, incarnation)
                restarting.restart_dynamic(self, child, report)
        elif by_itself:
            restarting.age(child, incarnation)
            restarting.post_restart(self, child, report)

    def _significant_ended(self, ended: Child) -> None:
        others = any(
            c.spec.significant and c is not ended and c.state is not ChildState.STOPPED
            for c in self.children.values()
        )
        if shuts_down(self.spec.auto_shutdown, others_alive=others):
            self.post(_shut_down)


_DOWN_REASONS = {
    Exit.NORMAL: DownReason.NORMAL,
    Exit.SHUTDOWN: DownReason.NORMAL,
    Exit.IGNORED: DownReason.NORMAL,
    Exit.CRASHED: DownReason.CRASHED,
    Exit.STOPPED: DownReason.STOPPED,
}


def _is_crash(child: Child, error: BaseException) -> bool:
    """Ask the spec's predicate; one that raises has not said that all is well."""
    predicate = child.spec.restart_if if isinstance(child.spec, ChildSpec) else None
    if predicate is None:
        return True
    try:
        return predicate(error)
    except BaseException as exc:  # noqa: BLE001  the user's code, not ours
        child.tree.reporter.fence(f"restart_if of {child.path}", exc)
        return True


async def _nowhere(*_: object, **__: object) -> None:
    raise AssertionError("a nested supervisor's body is set right after its place is made")


async def _shut_down() -> None:
    raise AutoShutdownReached
