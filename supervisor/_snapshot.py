"""What a tree looks like at one moment, as frozen records."""

from __future__ import annotations

import attrs
import trio

from ._child import Child, ChildState
from ._core import Core
from ._incarnation import await_stack
from ._reports import CrashReport
from ._specs import Restart, Strategy
from ._strategy import recent_restarts


@attrs.frozen(kw_only=True)
class InboxStatistics:
    """The state and the counters of one inbox, since the child was made."""

    waiting: int
    """Messages in it now, those in the reserved lane included."""
    capacity: int
    senders_waiting: int
    dropped: int
    """Messages its policy turned into dead letters."""
    skipped: int
    """Requests that nobody waited for any more when their turn came."""
    stashed: int


@attrs.frozen(kw_only=True)
class ChildSnapshot:
    """One actor."""

    id: str
    path: str
    state: ChildState
    restart: Restart
    incarnation: int
    """Number of the present or last life, from 1; 0 before the first."""
    restarts: int
    inbox: InboxStatistics
    last_crash: CrashReport | None
    await_stack: tuple[str, ...]
    """Where it waits, outermost first, as `"file:line function"`; empty if it does not run."""


@attrs.frozen(kw_only=True)
class SupervisorSnapshot:
    """One supervisor and all below it, in start order."""

    id: str
    path: str
    state: ChildState
    strategy: Strategy
    dynamic: bool
    incarnation: int
    restarts: int
    recent_restarts: int
    """Restarts of its children that count against its limit now."""
    last_crash: CrashReport | None
    count: int
    """How many children it has, whether or not they are described."""
    children: tuple[ChildSnapshot | SupervisorSnapshot, ...]

    def find(self, path: str) -> ChildSnapshot | SupervisorSnapshot | None:
        """Return what stands at `path` in here, if anything does."""
        for child in self.children:
            if child.path == path:
                return child
            if isinstance(child, SupervisorSnapshot) and path.startswith(child.path + "/"):
                return child.find(path)
        return None


def snapshot_of_supervisor(
    core: Core, *, await_stacks: bool, dynamic_children: bool
) -> SupervisorSnapshot:
    """Describe a supervisor."""
    own = core.child
    described = core.children.values() if dynamic_children or not core.spec.dynamic else ()
    running = ChildState.RUNNING if core.alive else ChildState.STOPPED
    return SupervisorSnapshot(
        id=core.spec.id,
        path=core.path,
        state=running if own is None else own.state,
        strategy=core.spec.strategy,
        dynamic=core.spec.dynamic,
        incarnation=1 if own is None else own.number,
        restarts=0 if own is None else max(0, own.number - 1),
        recent_restarts=recent_restarts(core.times, now=trio.current_time(), limit=core.spec.limit),
        last_crash=None if own is None else own.last_crash,
        count=len(core.children),
        children=tuple(
            snapshot_of_child(child, await_stacks=await_stacks, dynamic_children=dynamic_children)
            for child in described
        ),
    )


def snapshot_of_child(
    child: Child, *, await_stacks: bool, dynamic_children: bool
) -> ChildSnapshot | SupervisorSnapshot:
    """Describe a child, be it an actor or a supervisor."""
    if child.core is not None:
        return snapshot_of_supervisor(
            child.core, await_stacks=await_stacks, dynamic_children=dynamic_children
        )
    box, living = child.box, child.incarnation
    return ChildSnapshot(
        id=child.id,
        path=child.path,
        state=child.state,
        restart=child.spec.restart,
        incarnation=child.number,
        restarts=max(0, child.number - 1),
        inbox=InboxStatistics(
            waiting=len(box.items),
            capacity=box.capacity,
            senders_waiting=len(box.senders or ()),
            dropped=box.dropped,
            skipped=box.skipped,
            stashed=len(child.stash),
        ),
        last_crash=child.last_crash,
        await_stack=await_stack(living.task) if await_stacks and living is not None else (),
    )
