"""Opening a tree, and the handle through which a supervisor is used."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random
from typing import Any, TypeVar

import attrs
import trio

from . import _admin
from ._child import Child, ChildState
from ._core import Core
from ._errors import NoSuchChild, NotASupervisor, StartFailed
from ._host import Host
from ._partition import partition_of
from ._ref import Ref
from ._reports import Hooks
from ._snapshot import (
    ChildSnapshot,
    SupervisorSnapshot,
    snapshot_of_child,
    snapshot_of_supervisor,
)
from ._specs import AutoShutdown, ChildSpec, RestartLimit, Strategy, SupervisorSpec
from ._tree import Tree

M = TypeVar("M")


@attrs.frozen(kw_only=True)
class ChildInfo:
    """One line of `Supervisor.which_children`."""

    id: str
    ref: Ref[Any]  # Any: children of one supervisor differ in their messages
    state: ChildState
    is_supervisor: bool


@attrs.frozen(kw_only=True)
class ChildCounts:
    """What `Supervisor.count_children` says. OTP: `supervisor:count_children/1`."""

    specs: int
    """All children, running or not."""
    active: int
    """Those with a living incarnation."""
    supervisors: int
    workers: int


class Supervisor:
    """A supervisor, as its users see it; stays valid across the supervisor's own restarts."""

    __slots__ = ("__weakref__", "_core")

    def __init__(self, core: Core) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<Supervisor {self.path!r}>"

    @property
    def id(self) -> str:
        """Its id; the root's is `"root"` unless told otherwise."""
        return self._core.spec.id

    @property
    def path(self) -> str:
        """Where it stands in its tree."""
        return self._core.path

    # --- changing it

    async def start_child(self, spec: ChildSpec[M]) -> Ref[M]:
        """Start a child and return its ref once it reported `started()`.

        A static supervisor puts it last in the start order; it does not come back if the supervisor
        itself is restarted. Context variables are the caller's, for every incarnation. A dynamic
        supervisor starts children of several callers concurrently; a static one starts one after
        another.

        Raises:
            StartFailed: It raised, or returned, before `started()`; `__cause__` is its error.
                Nothing is left.
            AlreadyStarted: A child of that id runs.
            AlreadyPresent: A child of that id is listed, stopped.
            TooManyChildren: `max_children` is reached.
            SupervisorStopped: The supervisor stops, or waits for its own restart.
            SpecError: The spec does not fit this supervisor.

        Cancellation:
            The child is stopped again, in its grace; nothing is left behind.
        """
        child, _ = await _admin.start_child(self._core, spec)
        return child.ref

    async def start_child_with_value(self, spec: ChildSpec[M]) -> tuple[Ref[M], Any]:
        """As `start_child`; return what the child gave to `started()` too, None if ignored."""
        child, value = await _admin.start_child(self._core, spec)
        return child.ref, value

    async def start_supervisor(self, spec: SupervisorSpec) -> Supervisor:
        """As `start_child`, for a nested supervisor."""
        child, _ = await _admin.start_child(self._core, spec)
        return self.supervisor(child.id)

    async def terminate_child(self, id: str) -> None:
        """Stop a child in its grace. It stays listed, to `restart_child` or `delete_child`.

        A temporary child, and any child of a dynamic supervisor, is forgotten. A stopped child is
        no error.

        Raises:
            NoSuchChild: There is none of that id.
            SupervisorStopped: The supervisor stops, or waits for its own restart.

        Cancellation:
            The stop, once begun, goes on.
        """
        await _admin.terminate_child(self._core, id)

    async def restart_child(self, id: str) -> Ref[Any]:
        """Start a stopped child again; its ref stays what it was. Costs no restart budget.

        Raises:
            NoSuchChild: There is none of that id.
            ChildRunning: It runs.
            ChildRestarting: Its restart is under way.
            NotForDynamic: This supervisor is dynamic.
            StartFailed: It did not start; it stays listed, stopped.
            SupervisorStopped: The supervisor stops, or waits for its own restart.
        """
        return (await _admin.restart_child(self._core, id)).ref

    async def delete_child(self, id: str) -> None:
        """Forget a stopped child.

        Raises:
            NoSuchChild: There is none of that id.
            ChildRunning: It runs; terminate it first.
            ChildRestarting: Its restart is under way.
            NotForDynamic: This supervisor is dynamic.
            SupervisorStopped: The supervisor stops, or waits for its own restart.
        """
        await _admin.delete_child(self._core, id)

    async def stop(self) -> None:
        """Stop all children in reverse order and then the supervisor, and wait until that is done.

        A nested one is terminated as its supervisor's child.

        Cancellation:
            The stop goes on.
        """
        core = self._core
        if core.child is not None:
            await _admin.terminate_child(core.child.parent, core.child.id)
        else:
            core.tree.request_stop()
            await core.tree.done.wait()

    def hurry(self) -> None:
        """End the graces of everything in here, if it is being stopped; otherwise do nothing.

        For an operator who asks twice. A cancel of an outer scope that comes after the one that
        began the stop cannot do it: Trio does not show it to a task that is cancelled already.
        """
        if self._core.stopping:
            self._core.hurry()

    # --- seeing

    def ref(self, id: str) -> Ref[Any]:
        """Return the ref of the child of that id, running or not; never waits.

        Static children's refs exist before the first child starts.

        Raises:
            NoSuchChild: There is none of that id.
        """
        return _admin.find(self._core, id).ref

    def find(self, id: str) -> Ref[Any] | None:
        """Return the ref of the child of that id, or None."""
        child = self._core.children.get(id)
        return None if child is None else child.ref

    def supervisor(self, id: str) -> Supervisor:
        """Return the handle of a nested supervisor.

        Raises:
            NoSuchChild: There is no child of that id.
            NotASupervisor: It is an actor.
        """
        child = _admin.find(self._core, id)
        if child.core is None:
            raise NotASupervisor(self.path, id)
        return child.core.handle

    def partition(self, key: object) -> str:
        """Return the id of the static child that `key` belongs to: the same key, the same child.

        For supervisors made with `partitioned`: `sup.ref(sup.partition(room_name))`.

        Raises:
            NoSuchChild: It has no static children.
        """
        children = self._core.spec.children
        if not children:
            raise NoSuchChild(self.path, repr(key))
        return children[partition_of(key, len(children))].id

    def get_spec(self, id: str) -> ChildSpec[Any] | SupervisorSpec:
        """Return the spec of the child of that id.

        Raises:
            NoSuchChild: There is none of that id.
        """
        return _admin.find(self._core, id).spec

    def which_children(self) -> tuple[ChildInfo, ...]:
        """List the children in start order."""
        return tuple(_info(child) for child in self._core.children.values())

    def child_ids(self) -> tuple[str, ...]:
        """List the ids of the children in start order: of a crowd, much less than describing it."""
        return tuple(self._core.children)

    def count_children(self) -> ChildCounts:
        """Count the children."""
        children = self._core.children.values()
        supervisors = sum(child.core is not None for child in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.incarnation is not None for child in children),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    def snapshot(
        self, *, await_stacks: bool = True, dynamic_children: bool = True
    ) -> SupervisorSnapshot:
        """Describe the supervisor and all below it as it is now; never waits.

        Args:
            await_stacks: Whether to say where each actor waits: about 20 µs an actor.
            dynamic_children: Whether to describe the children of dynamic supervisors, which may be
                many; else only their `count` is told.
        """
        return snapshot_of_supervisor(
            self._core, await_stacks=await_stacks, dynamic_children=dynamic_children
        )

    def snapshot_child(
        self, id: str, *, await_stacks: bool = True
    ) -> ChildSnapshot | SupervisorSnapshot:
        """Describe one child, with all below it, as it is now; never waits.

        With `child_ids`, a crowd is described a few at a time, and nobody is held up for long.

        Args:
            id: Which.
            await_stacks: As for `snapshot`.

        Raises:
            NoSuchChild: There is none of that id.
        """
        child = _admin.find(self._core, id)
        return snapshot_of_child(child, await_stacks=await_stacks, dynamic_children=True)

    def whereis(self, name: Hashable) -> Ref[Any] | None:
        """Return the ref of the actor of this tree that holds `name`, if one does."""
        return self._core.tree.names.owner(name)

    def members(self, group: Hashable) -> tuple[Ref[Any], ...]:
        """Return the refs in `group`, in the order they joined."""
        return self._core.tree.names.members(group)


def _info(child: Child) -> ChildInfo:
    return ChildInfo(
        id=child.id, ref=child.ref, state=child.state, is_supervisor=child.core is not None
    )


def open_supervisor(
    children: Sequence[ChildSpec[Any] | SupervisorSpec] = (),
    *,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    limit: RestartLimit | None = None,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    hooks: Hooks | None = None,
    random: Random | None = None,
    id: str = "root",
) -> AbstractAsyncContextManager[Supervisor]:
    """Run a supervision tree around the block of an `async with`.

    The children start in order before the block begins. The block counts as the child that started
    last: however it ends, cancelled or not, the children are stopped after it, in reverse order,
    each in its grace. If the tree itself gives up, the block is cancelled first.

    Args:
        children: Static children, in start order.
        strategy: Which siblings go down with one that is restarted.
        limit: The restart limit; None is the default one.
        auto_shutdown: Whether the end of significant children ends the tree (and cancels the
            block).
        hooks: Called synchronously about what happens.
        random: Source of the backoffs' jitter; give a seeded one for repeatable runs.
        id: Name of the root, the first part of every path.

    Raises:
        ExceptionGroup: As a nursery's: what the block raised, and `StartFailed` or
            `RestartLimitExceeded` of the tree. KeyboardInterrupt, SystemExit and a foreign
            Cancelled that came out of a child are in it too. `StartFailed` of the root itself: it
            was stopped while it started.

    Cancellation:
        Shuts down in order; `Cancelled` goes on when all children have ended. A cancel or interrupt
        that arrives while they stop ends their graces at once.
    """
    spec = SupervisorSpec(
        id=id,
        children=children,
        strategy=strategy,
        limit=RestartLimit() if limit is None else limit,
        auto_shutdown=auto_shutdown,
    )
    return Host(partial(Tree, spec, hooks=hooks, random=random, make_handle=Supervisor))


async def serve_supervisor(
    spec: SupervisorSpec,
    *,
    hooks: Hooks | None = None,
    random: Random | None = None,
    task_status: trio.TaskStatus[Supervisor] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a supervision tree as a task: `sup = await nursery.start(serve_supervisor, spec)`.

    Reports started once all static children have. Returns when the tree was stopped with
    `Supervisor.stop` or has shut itself down.

    Raises:
        StartFailed: A static child did not start.
        RestartLimitExceeded: The tree gave up.

    Cancellation:
        As `open_supervisor`.
    """
    tree = Tree(spec, hooks=hooks, random=random, make_handle=Supervisor)
    try:
        async with Host(lambda: tree) as supervisor:
            task_status.started(supervisor)
            await tree.done.wait()
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]  # the nursery in there is nobody's business
        if isinstance(error, StartFailed) and error.actor == tree.root.path:
            return  # stopped while it started: no failure
        raise error from None
