"""Who waits for whom: finds the ask, or waiting tell, that would close a cycle.

An edge lives only while the task that runs an actor is blocked in an ask or in a tell that waits
for room. A helper task of the actor makes no edge: the actor itself still receives.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from trio.lowlevel import current_task

from ._errors import AskCycle
from ._messages import Pending

if TYPE_CHECKING:
    from ._child import Child
    from ._incarnation import Incarnation

CURRENT: ContextVar[Incarnation | None] = ContextVar("greenroom_incarnation", default=None)
"""The incarnation in whose task, or helper task, this code runs."""


def current_actor() -> Incarnation | None:
    """The incarnation whose own task runs now; None outside actors and in their helper tasks."""
    incarnation = CURRENT.get()
    if incarnation is not None and incarnation.task is current_task():
        return incarnation
    return None


def check_cycle(actor: Incarnation, target: Child | Pending) -> None:
    """Follow the edges from `target`.

    Raises:
        AskCycle: They lead back to `actor`.
    """
    path = [actor.child.path]
    child = target.target if isinstance(target, Pending) else target
    while child is not None:
        path.append(child.path)
        if child is actor.child:
            raise AskCycle(tuple(path))
        child = None if child.incarnation is None else _next(child.incarnation)


def _next(waiting: Incarnation) -> Child | None:
    """The child that has to act before `waiting` can go on; None if it can, or that is open."""
    target = waiting.waits_for
    if isinstance(target, Pending):
        return None if target.done else target.target
    if target is not None and target.box.senders and waiting.task in target.box.senders:
        return target
    return None
