"""What the tree tells about itself: crash reports, stuck reports, hooks, rate-limited logging."""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from traceback import TracebackException, print_exception
from typing import TYPE_CHECKING, Any

import attrs
import trio

from ._messages import DeadLetter
from ._strategy import Exit

if TYPE_CHECKING:
    from ._errors import RestartLimitExceeded
    from ._ref import Ref

logger = logging.getLogger("greenroom.supervisor")

LOG_BURST = (
    10  # lines of one kind per LOG_WINDOW_SECONDS; a crash storm must not become a log storm
)
LOG_WINDOW_SECONDS = 10.0


class Phase(enum.Enum):
    """What an incarnation was doing when it crashed."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@attrs.frozen(kw_only=True)
class CrashReport:
    """How an incarnation crashed; holds no exception and no frame, so nothing dead lives on."""

    path: str
    incarnation: int
    phase: Phase
    time: float
    """`trio.current_time()` of the crash."""
    traceback: TracebackException = attrs.field(repr=False)

    @property
    def summary(self) -> str:
        """The exception in one line, as the last line of its traceback."""
        return next(iter(self.traceback.format_exception_only())).strip()

    def format(self) -> str:
        """The whole traceback as text, ending in a newline."""
        return "".join(self.traceback.format())


def crash_report(path: str, incarnation: int, phase: Phase, error: BaseException) -> CrashReport:
    """Describe `error` without keeping it; source lines are read when the report is formatted."""
    try:
        traceback = _describe(error)
    except Exception:  # noqa: BLE001  a group nested too deep, say: the crash itself goes first
        name = type(error).__qualname__
        traceback = _describe(RuntimeError(f"a {name} that cannot be described"))
    return CrashReport(
        path=path,
        incarnation=incarnation,
        phase=phase,
        time=trio.current_time(),
        traceback=traceback,
    )


def _describe(error: BaseException) -> TracebackException:
    return TracebackException(
        type(error), error, error.__traceback__, lookup_lines=False, compact=True
    )


@attrs.frozen(kw_only=True)
class StuckReport:
    """A child that did not end with its grace: it shields itself, or waits for a thread."""

    path: str
    incarnation: int
    await_stack: tuple[str, ...]
    """Where it waits, outermost first, as `"file:line function"`."""


@attrs.frozen(kw_only=True)
class ChildEvent:
    """Something happened to an incarnation."""

    ref: Ref[Any]  # Any: events are about the child, not its messages
    path: str
    incarnation: int
    exit: Exit | None = None
    """How it ended, where it ended."""


@attrs.frozen(kw_only=True)
class OverflowEvent:
    """A message found an inbox full and its policy did not let it wait."""

    path: str
    policy: str
    capacity: int


@attrs.frozen(kw_only=True)
class Hooks:
    """Synchronous callables told of what happens in a tree. Each must be quick and must not raise.

    A hook that raises an `Exception` is logged and otherwise ignored.
    """

    started: Callable[[ChildEvent], object] | None = None
    """An incarnation reported `started()`."""
    stopped: Callable[[ChildEvent], object] | None = None
    """An incarnation ended without a crash."""
    crashed: Callable[[CrashReport], object] | None = None
    """An exception came out of an incarnation, in its clean-up too."""
    restarted: Callable[[ChildEvent], object] | None = None
    """A second or later incarnation reported `started()`."""
    escalated: Callable[[RestartLimitExceeded], object] | None = None
    """A supervisor gave up."""
    dead_letter: Callable[[DeadLetter], object] | None = None
    overflow: Callable[[OverflowEvent], object] | None = None
    stuck: Callable[[StuckReport], object] | None = None
    """A child did not end; stopping goes on without it."""


class RateLimit:
    """At most `LOG_BURST` lines of a kind in `LOG_WINDOW_SECONDS`; a later one counts the rest."""

    __slots__ = ("_count", "_window_start")

    def __init__(self) -> None:
        self._count = 0
        self._window_start = float("-inf")

    def admit(self, now: float) -> int | None:
        """Return how many lines were left out before this one, or None to leave this one out."""
        left_out = 0
        if now - self._window_start >= LOG_WINDOW_SECONDS:
            left_out = max(0, self._count - LOG_BURST)
            self._window_start, self._count = now, 0
        self._count += 1
        return left_out if self._count <= LOG_BURST else None


class Reporter:
    """Calls one tree's hooks and writes its log lines, rate-limited by kind.

    Both are the user's code (a logging filter or handler is), called half way through the tree's
    bookkeeping, so nothing that they raise comes out of here.
    """

    __slots__ = ("_fence", "_hooks", "_limits")

    def __init__(
        self, hooks: Hooks | None, fence: Callable[[BaseException], Exception | None]
    ) -> None:
        self._hooks = Hooks() if hooks is None else hooks
        self._fence = fence
        self._limits: dict[str, RateLimit] = {}

    def started(self, event: ChildEvent) -> None:
        self._call(self._hooks.started, event)
        if event.incarnation > 1:
            self._call(self._hooks.restarted, event)

    @property
    def wants_starts(self) -> bool:
        return self._hooks.started is not None or self._hooks.restarted is not None

    @property
    def wants_stops(self) -> bool:
        return self._hooks.stopped is not None

    def stopped(self, event: ChildEvent) -> None:
        self._call(self._hooks.stopped, event)

    def crashed(self, report: CrashReport) -> None:
        line = "%s crashed (incarnation %d)\n%s"
        self._guard("logging", self._log, logging.ERROR, "crash", line, report)
        self._call(self._hooks.crashed, report)

    def escalated(self, error: RestartLimitExceeded) -> None:
        self._guard("logging", logger.error, "%s", error)
        self._call(self._hooks.escalated, error)

    def dead_letter(self, letter: DeadLetter) -> None:
        line = "dead letter for %s: %s (%s)"
        self._guard("logging", self._log, logging.WARNING, "dead letter", line, letter)
        self._call(self._hooks.dead_letter, letter)

    def overflow(self, event: OverflowEvent) -> None:
        self._call(self._hooks.overflow, event)

    def stuck(self, report: StuckReport) -> None:
        stack = "\n  ".join(report.await_stack)
        line = "%s does not end; it waits at\n  %s"
        self._guard("logging", logger.error, line, report.path, stack)
        self._call(self._hooks.stuck, report)

    def _log(self, level: int, kind: str, line: str, event: CrashReport | DeadLetter) -> None:
        if not logger.isEnabledFor(level):
            return
        left_out = self._limits.setdefault(kind, RateLimit()).admit(trio.current_time())
        if left_out is None:
            return
        if left_out:
            logger.log(level, "%d %s lines were left out", left_out, kind)
        if isinstance(event, CrashReport):
            logger.log(level, line, event.path, event.incarnation, event.format())
        else:
            # the type, not the message: what users write to each other does not belong in logs
            name = type(event.message).__qualname__
            logger.log(level, line, event.path, name, event.reason.value)

    def _call(self, hook: Callable[[Any], object] | None, event: object) -> None:
        if hook is None:
            return
        try:
            hook(event)
        except BaseException as exc:  # noqa: BLE001  the fence says what it is
            self.fence(f"hook {_name(hook)}", exc)

    def _guard(self, what: str, function: Callable[..., object], *args: object) -> None:
        try:
            function(*args)
        except BaseException as exc:  # noqa: BLE001  the fence says what it is
            self.fence(what, exc)

    def fence(self, what: str, error: BaseException) -> None:
        """Log what the user's code raised; an interrupt ends the tree in order and goes on."""
        crash = self._fence(error)
        if crash is None:
            return
        try:
            logger.error("%s raised", what, exc_info=crash)
        except Exception:  # noqa: BLE001  logging itself is broken: do as it does in that case
            with suppress(Exception):
                if logging.raiseExceptions:
                    print_exception(crash, file=sys.stderr)


def _name(hook: Callable[..., object]) -> str:
    try:
        return repr(hook)
    except Exception:  # noqa: BLE001  the user's code, not ours
        return type(hook).__qualname__
