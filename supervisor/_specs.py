"""Recipes: what a child is, how it is restarted, how long it may take to stop.

Everything here is a frozen record that refuses contradictions where it is made. Nothing here runs
anything.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

import attrs

from ._errors import SpecError

if TYPE_CHECKING:
    from ._actor import Actor
    from ._inbox import Inbox

M = TypeVar("M")


class Restart(enum.Enum):
    """When a child is started again after it ended by itself."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after a crash; a nested supervisor that gave up or shut itself down counts as ended
    normally (OTP)."""
    TEMPORARY = "temporary"
    """Never; once ended, the child is forgotten."""


class Strategy(enum.Enum):
    """Which siblings go down and come back with a child that is restarted."""

    ONE_FOR_ONE = "one_for_one"
    """None."""
    ONE_FOR_ALL = "one_for_all"
    """All."""
    REST_FOR_ONE = "rest_for_one"
    """Those that stand after it in start order."""


class Overflow(enum.Enum):
    """What happens to a message that finds the inbox full."""

    WAIT = "wait"
    """`tell` and `ask` wait for a place; `tell_nowait` raises `InboxFull`."""
    RAISE = "raise"
    """`tell`, `tell_nowait` and `ask` raise `InboxFull`."""
    DROP_OLDEST = "drop_oldest"
    """The oldest waiting message becomes a dead letter (a request: its asker gets `InboxFull`)."""
    DROP_NEWEST = "drop_newest"
    """The new message becomes a dead letter (a request: its asker gets `InboxFull`)."""
    FAIL = "fail"
    """The new message becomes a dead letter, and the actor crashes with `InboxOverflowed`."""


class AutoShutdown(enum.Enum):
    """Whether a supervisor stops itself when its significant children have ended by themselves."""

    NEVER = "never"
    """It does not; significant children are refused."""
    ANY = "any"
    """When the first of them has."""
    ALL = "all"
    """When the last of them has."""


def _at_least_zero(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:  # NaN too
        raise SpecError(f"{attribute.name} must be at least 0, not {value!r}")


def _more_than_zero(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise SpecError(f"{attribute.name} must be more than 0, not {value!r}")


def _a_part(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value <= 1:
        raise SpecError(f"{attribute.name} must lie between 0 and 1, not {value!r}")


def _a_name(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not value:
        raise SpecError(f"{attribute.name} must not be empty")


def _unless_a(kind: type[object], name: str, value: object) -> tuple[str, ...]:
    """What is wrong with a value that no type checker has seen; a text would pass for no member."""
    return () if isinstance(value, kind) else (f"{name} must be a {kind.__name__}, not {value!r}",)


@attrs.frozen(kw_only=True)
class RestartLimit:
    """At most `max_restarts` restarts in any `max_seconds`; one more and the supervisor gives up.

    The window includes both its ends. Failed attempts to restart count, and a group restart counts
    once.
    """

    max_restarts: int = attrs.field(default=3, validator=_at_least_zero)
    """0: the first crash ends the supervisor."""
    max_seconds: float = attrs.field(default=5.0, validator=_more_than_zero)
    """Length of the sliding window, in seconds."""


@attrs.frozen(kw_only=True)
class Backoff:
    """How long to wait before a restart: longer each time, up to a cap.

    Attempt n (from 0) waits `initial_seconds * factor**n`, at most `max_seconds`, less a random
    part of up to `jitter` of it. An incarnation that lived for `reset_after_seconds` starts the row
    again.
    """

    initial_seconds: float = attrs.field(validator=_more_than_zero)
    factor: float = attrs.field(default=2.0, validator=_more_than_zero)
    max_seconds: float = attrs.field(default=30.0, validator=_more_than_zero)
    jitter: float = attrs.field(default=0.5, validator=_a_part)
    """Part of the delay that is random: 0 none, 1 all of it ("full jitter")."""
    reset_after_seconds: float = attrs.field(default=30.0, validator=_at_least_zero)


StartFunction = Callable[Concatenate["Inbox[M]", ...], Awaitable[object]]
"""`async def actor(inbox, *args, task_status)`: calls `task_status.started()` when it can work."""


@attrs.frozen(kw_only=True)
class ChildSpec(Generic[M]):
    """The recipe for one actor."""

    id: str = attrs.field(validator=_a_name)
    """Its name among its siblings, and the last part of its path."""
    start: StartFunction[M] | type[Actor[M]]
    """An async function, called as `start(inbox, *args, task_status=...)`, or an `Actor` subclass,
    made anew as
    `start(*args)` for each incarnation."""
    args: tuple[Any, ...] = ()  # Any: whatever `start` takes
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = attrs.field(default=5.0, validator=_at_least_zero)
    """Grace for shielded clean-up once the child is told to stop; `math.inf` waits as long as it
    takes."""
    inbox_capacity: int = attrs.field(default=100, validator=_more_than_zero)
    """Messages that may wait; those in the reserved lane (`Down`, `Completion`, timers) come on
    top."""
    overflow: Overflow = Overflow.WAIT
    redeliver_at_most: int = attrs.field(default=0, validator=_at_least_zero)
    """How often one message that was in hand at a crash is handed to the next incarnation; then a
    dead letter."""
    dead_letters: bool = True
    """False: what it leaves unhandled when it ends or crashes is no dead letter, for whoever sends
    to it hears of that anyway (by `watch`, say). Asks get their error as always."""
    backoff: Backoff | None = None
    """Delay before a restart; None restarts at once."""
    significant: bool = False
    """Its own end may stop the supervisor: see `AutoShutdown`."""
    stash_capacity: int = attrs.field(default=100, validator=_more_than_zero)
    limit: RestartLimit | None = None
    """A budget of the child's own, beside its supervisor's; exceeding either makes the supervisor
    give up."""
    restart_if: Callable[[BaseException], bool] | None = None
    """Asked about each crash: False means "as if it had ended normally", except that what was in
    hand is treated as at any crash. None: every crash is a crash."""


def _as_tuple(
    children: Sequence[ChildSpec[Any] | SupervisorSpec],
) -> Sequence[ChildSpec[Any] | SupervisorSpec]:
    return tuple(children)


@attrs.frozen(kw_only=True)
class SupervisorSpec:
    """The recipe for a supervisor and what it starts, in order."""

    id: str = attrs.field(default="root", validator=_a_name)
    children: Sequence[ChildSpec[Any] | SupervisorSpec] = attrs.field(
        default=(), converter=_as_tuple
    )
    strategy: Strategy = Strategy.ONE_FOR_ONE
    limit: RestartLimit = attrs.field(factory=RestartLimit)
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = attrs.field(default=math.inf, validator=_at_least_zero)
    """As a child of another supervisor: after that long the graces of everything in it are ended at
    once."""
    dynamic: bool = False
    """No static children, one_for_one, children start concurrently and stop concurrently in one
    grace."""
    max_children: int | None = None
    """Dynamic only: no more than that, children being restarted included."""
    backoff: Backoff | None = None
    significant: bool = False
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    limit_as_child: RestartLimit | None = None
    """A budget of this supervisor's own restarts, as `ChildSpec.limit`."""

    def __attrs_post_init__(self) -> None:
        problems = check_specs(self.children, auto_shutdown=self.auto_shutdown)
        problems += _unless_a(Strategy, "strategy", self.strategy)
        problems += _unless_a(RestartLimit, "limit", self.limit)
        if self.dynamic and self.children:
            problems += ("a dynamic supervisor has no static children",)
        if self.dynamic and self.strategy is not Strategy.ONE_FOR_ONE:
            problems += (f"a dynamic supervisor is one_for_one, not {self.strategy}",)
        if self.max_children is not None and not self.dynamic:
            problems += ("max_children needs dynamic=True",)
        if self.max_children is not None and self.max_children < 0:
            problems += (f"max_children must be at least 0, not {self.max_children}",)
        if problems:
            raise SpecError(f"supervisor {self.id!r}: " + "; ".join(problems))


def check_specs(
    children: Sequence[ChildSpec[Any] | SupervisorSpec],
    *,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
) -> tuple[str, ...]:
    """Say what is wrong with these children of one supervisor; empty if nothing is.

    Pure: starts nothing, raises nothing (OTP: `supervisor:check_childspecs/2`).
    """
    problems: list[str] = []
    seen: set[str] = set()
    for child in children:
        if child.id in seen:
            problems.append(f"two children have the id {child.id!r}")
        seen.add(child.id)
        problems += _unless_a(Restart, f"restart of {child.id!r}", child.restart)
        if child.significant and child.restart is Restart.PERMANENT:
            problems.append(f"child {child.id!r} is permanent, so it cannot be significant")
        if child.significant and auto_shutdown is AutoShutdown.NEVER:
            problems.append(f"child {child.id!r} is significant, but auto_shutdown is never")
    return tuple(problems)
