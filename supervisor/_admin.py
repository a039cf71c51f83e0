"""Administration: adding, stopping, restarting and forgetting children while a supervisor runs.

OTP: `supervisor:start_child/2` and its sisters; what each refuses is its own error type. Through
the loop of a static supervisor these are done one after another; a dynamic supervisor does them in
the caller's task.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import trio
from trio.lowlevel import enable_ki_protection

from ._calls import Call
from ._child import Child, ChildState
from ._core import Core
from ._errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildRestarting,
    ChildRunning,
    NoSuchChild,
    NotForDynamic,
    SpecError,
    SupervisorBusy,
    SupervisorStopped,
    TooManyChildren,
)
from ._incarnation import Incarnation
from ._restarting import start_stranded
from ._specs import ChildSpec, Restart, Strategy, SupervisorSpec, check_specs
from ._waiting import current_actor


def find(core: Core, child_id: str) -> Child:
    """Return the child of that id.

    Raises:
        NoSuchChild: There is none.
    """
    child = core.children.get(child_id)
    if child is None:
        raise NoSuchChild(core.path, child_id)
    return child


@enable_ki_protection
async def start_child(core: Core, spec: ChildSpec[Any] | SupervisorSpec) -> tuple[Child, Any]:
    """Start a child; return it and the value it gave to `started()`."""
    problems = check_specs([spec], auto_shutdown=core.spec.auto_shutdown)
    if problems:
        raise SpecError(f"supervisor {core.path!r}: " + "; ".join(problems))
    if not core.spec.dynamic:
        context = copy_context()
        started: tuple[Child, Any] = await _call(
            core, spec.id, Call(lambda call: _start_in_loop(core, spec, context, call))
        )
        return started
    _check_new(core, spec.id)
    child = core.make_child(spec, copy_context(), static=False)
    core.children[spec.id] = child
    incarnation = child.begin(core.tree.nursery, keep=False)
    try:
        await core.until_started(child, incarnation)
    except BaseException:  # nothing is left behind: Cancelled and KeyboardInterrupt too
        await _undo(core, child)
        raise
    return _check_started(core, child, incarnation)


@enable_ki_protection
async def terminate_child(core: Core, child_id: str) -> None:
    """Stop a child, in its grace; a static supervisor keeps it listed, unless it is temporary."""
    if not core.spec.dynamic:
        await _call(core, child_id, Call(lambda _: _terminate_in_loop(core, child_id)))
        return
    if not core.alive:
        raise SupervisorStopped(core.path, child_id)
    child = find(core, child_id)
    await core.stop_child(child, keep=False)
    core.remove(child)


async def restart_child(core: Core, child_id: str) -> Child:
    """Start a stopped child again."""
    if core.spec.dynamic:
        raise NotForDynamic(core.path, child_id)
    child: Child = await _call(
        core, child_id, Call(lambda call: _restart_in_loop(core, child_id, call))
    )
    return child


async def delete_child(core: Core, child_id: str) -> None:
    """Forget a stopped child."""
    if core.spec.dynamic:
        raise NotForDynamic(core.path, child_id)
    await _call(core, child_id, Call(lambda _: _delete_in_loop(core, child_id)))


# --- in the loop


@enable_ki_protection
async def _call(core: Core, child_id: str, call: Call) -> Any:  # Any: as Call.value
    if not core.alive:
        raise SupervisorStopped(core.path, child_id)
    _check_not_waited_for(core)
    core.post(call)
    try:
        await call.done.wait()
    except BaseException:
        call.withdrawn = True
        if call.starting is not None and not call.done.is_set():
            call.starting.request_stop(call.starting.child.spec.shutdown_seconds)
            with trio.CancelScope(shield=True):
                await call.done.wait()
        raise
    if call.refused:
        raise SupervisorStopped(core.path, child_id)
    if call.error is not None:
        raise call.error
    return call.value


def _check_not_waited_for(core: Core) -> None:
    """Refuse a child for whose start, or end, the loop waits: its call would never be done."""
    actor = current_actor()
    while actor is not None and actor.child.parent is not core:
        if actor.started and not actor.stopping:
            return
        above = actor.child.parent.child
        actor = None if above is None else above.incarnation
    if actor is not None and (actor.stopping or not actor.started):
        raise SupervisorBusy(core.path, actor.child.id)


async def _start_in_loop(
    core: Core, spec: ChildSpec[Any] | SupervisorSpec, context: Any, call: Call
) -> tuple[Child, Any]:
    _check_new(core, spec.id)
    child = core.make_child(spec, context, static=False)
    core.children[spec.id] = child
    incarnation = child.begin(core.tree.nursery, keep=False)
    call.starting = incarnation
    await core.until_started(child, incarnation)
    if call.withdrawn:
        await _undo(core, child)
    return _check_started(core, child, incarnation)


def _check_new(core: Core, child_id: str) -> None:
    if not core.alive:
        raise SupervisorStopped(core.path, child_id)
    child = core.children.get(child_id)
    if child is not None:
        present = child.state is ChildState.STOPPED
        raise (AlreadyPresent if present else AlreadyStarted)(core.path, child_id)
    limit = core.spec.max_children
    if limit is not None and len(core.children) >= limit:
        raise TooManyChildren(core.path, child_id, limit)


def _check_started(core: Core, child: Child, incarnation: Incarnation) -> tuple[Child, Any]:
    try:
        core.check_start(child, incarnation)
    except BaseException:
        core.remove(child)
        raise
    return child, incarnation.started_value


async def _undo(core: Core, child: Child) -> None:
    with trio.CancelScope(shield=True):
        await core.stop_child(child, keep=False)
    core.remove(child)


async def _terminate_in_loop(core: Core, child_id: str) -> None:
    child = find(core, child_id)
    await core.stop_child(child, keep=False)
    if child.spec.restart is Restart.TEMPORARY:
        core.remove(child)
    if core.spec.strategy is not Strategy.ONE_FOR_ONE:
        await start_stranded(core)  # those that waited for its restart need not wait any more


async def _restart_in_loop(core: Core, child_id: str, call: Call) -> Child:
    child = find(core, child_id)
    if child.state is ChildState.RESTARTING:
        raise ChildRestarting(core.path, child_id)
    if child.state is not ChildState.STOPPED:
        raise ChildRunning(core.path, child_id)
    incarnation = child.begin(core.tree.nursery, keep=False)
    call.starting = incarnation
    await core.until_started(child, incarnation)
    core.check_start(child, incarnation)
    return child


async def _delete_in_loop(core: Core, child_id: str) -> None:
    child = find(core, child_id)
    if child.state is ChildState.RESTARTING:
        raise ChildRestarting(core.path, child_id)
    if child.state is not ChildState.STOPPED:
        raise ChildRunning(core.path, child_id)
    core.remove(child)
