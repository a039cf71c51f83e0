"""Restarts: one child or its group, at once or after a delay, within the budget.

OTP: supervisor.erl, `restart/2` and what it calls. Functions over a `Core`, whose loop runs them.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import trio

from ._child import Child, ChildState
from ._errors import Ignore, RestartLimitExceeded
from ._incarnation import Incarnation
from ._reports import CrashReport
from ._specs import ChildSpec, Restart, Strategy
from ._strategy import admit_restart, backoff_seconds, restart_group

if TYPE_CHECKING:
    from ._core import Core


def age(child: Child, incarnation: Incarnation) -> None:
    """Begin the backoff's row again if the incarnation has lived long enough."""
    backoff = child.spec.backoff
    lived = trio.current_time() - incarnation.started_at
    if backoff is not None and incarnation.started and lived >= backoff.reset_after_seconds:
        child.attempt = 0


def admit(core: Core, child: Child, report: CrashReport | None) -> RestartLimitExceeded | None:
    """Spend one unit of budget; return the error if there was none left."""
    now, spec = trio.current_time(), child.spec
    limit = core.spec.limit
    if admit_restart(core.times, now=now, limit=limit):
        own = spec.limit if isinstance(spec, ChildSpec) else spec.limit_as_child
        if own is None:
            return None
        if child.restart_times is None:
            child.restart_times = deque()
        if admit_restart(child.restart_times, now=now, limit=own):
            return None
        limit = own
    error = RestartLimitExceeded(
        core.path, child.path, limit.max_restarts, limit.max_seconds, report
    )
    core.tree.reporter.escalated(error)
    return error


def _delay(core: Core, child: Child) -> float:
    delay = backoff_seconds(child.spec.backoff, child.attempt, core.tree.random)
    child.attempt += 1
    return delay


def restart_dynamic(core: Core, child: Child, report: CrashReport | None) -> None:
    """Restart a child of a dynamic supervisor, or post the supervisor's end."""
    error = admit(core, child, report)
    if error is not None:
        core.post(partial(_raise, error))
        return
    delay = _delay(core, child)

    def begin() -> None:
        child.restart_timer = None
        if not core.stopping and not core.tree.dying:
            child.begin(core.tree.nursery, keep=True)

    if delay:
        child.restart_timer = core.tree.clock.call_at(trio.current_time() + delay, begin)
    else:
        begin()


def post_restart(core: Core, child: Child, report: CrashReport | None) -> None:
    """Let the loop restart a child that has ended, together with its group."""
    child.restart_posted = True
    core.post(partial(_restart_job, core, child, child.number, report))


def _take_turn(core: Core, child: Child, number: int) -> bool:
    """Begin the restart that was posted after incarnation `number`; False if it is not wanted."""
    if not (child.restart_posted and _is_waiting(core, child, number)):
        return False  # a group restart, or somebody by hand, came first
    child.restart_posted = False
    return True


def _is_waiting(core: Core, child: Child, number: int) -> bool:
    """Whether the child is still down after incarnation `number`, and is to come back."""
    return (
        not core.tree.dying
        and core.children.get(child.id) is child
        and child.number == number
        and child.state is ChildState.RESTARTING
        and child.restart_timer is None
    )


async def _restart_job(core: Core, child: Child, number: int, report: CrashReport | None) -> None:
    """Restart a child and its group for one unit of budget. OTP: supervisor.erl, restart/2."""
    if not _take_turn(core, child, number):
        return
    error = admit(core, child, report)
    if error is not None:
        raise error
    for other in reversed(_group(core, child)):
        if other is not child:
            await core.stop_child(other, keep=other.spec.restart is not Restart.TEMPORARY)
    if not _is_waiting(core, child, number):
        return
    delay = _delay(core, child)
    if delay:

        def due() -> None:
            child.restart_timer = None
            child.restart_posted = True
            core.post(partial(_start_job, core, child, number))

        child.restart_timer = core.tree.clock.call_at(trio.current_time() + delay, due)
    else:
        await start_down(core, _group(core, child))


async def _start_job(core: Core, child: Child, number: int) -> None:
    if _take_turn(core, child, number):
        await start_down(core, _group(core, child))


def _group(core: Core, child: Child) -> list[Child]:
    if core.spec.strategy is Strategy.ONE_FOR_ONE:
        return [child]  # not a look at all the others for each crash
    ids = restart_group(core.spec.strategy, tuple(core.children), child.id)
    return [core.children[i] for i in ids]


async def start_stranded(core: Core) -> None:
    """Start those that went down with a group and whose restart nobody has in hand any more.

    A child with a restart of its own, posted or delayed, brings back its group: for its price, and
    in its time.
    """
    down = [c for c in core.children.values() if c.state is ChildState.RESTARTING]
    covered = {
        member.id
        for child in down
        if child.restart_posted or child.restart_timer is not None
        for member in _group(core, child)
    }
    await start_down(core, [child for child in down if child.id not in covered])


async def start_down(core: Core, children: list[Child]) -> None:
    """Start those that do not run; a failure posts another try and leaves the rest down."""
    for child in children:
        if core.tree.dying:
            return
        if child.incarnation is not None or core.children.get(child.id) is not child:
            continue
        incarnation = child.begin(core.tree.nursery, keep=True)
        await core.until_started(child, incarnation)
        failed = not incarnation.started and not isinstance(incarnation.failure, Ignore)
        if failed and child.state is ChildState.RESTARTING:
            post_restart(core, child, child.last_crash)
            return


async def _raise(error: Exception) -> None:
    raise error
