"""What travels between actors: requests, envelopes, replies, and what the library itself sends."""

from __future__ import annotations

import copy
import enum
import math
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar, cast

import attrs
import trio

from ._errors import NoReply

if TYPE_CHECKING:
    from ._child import Child
    from ._ref import Ref

M_co = TypeVar("M_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
L = TypeVar("L")


class Request(Generic[R_co]):
    """Base of messages that want an answer: `class Get(Request[int])` makes `ask(Get())` an int."""

    __slots__ = ()


class Pending:
    """One ask that has not ended: who waits, and what it will hear. Ends exactly once."""

    __slots__ = ("completion", "done", "error", "owed", "target", "task", "value")

    def __init__(self, target: Child) -> None:
        self.done = False
        self.owed: set[Pending] | None = None
        """Where the incarnation that took the reply keeps it until it ends."""
        self.value: Any = None  # Any: the request's reply type, known to the asker only
        self.error: Exception | None = None
        self.target: Child | None = target
        """Whose handler owes the answer; None once it took the reply to answer later."""
        self.task: trio.lowlevel.Task | None = None
        self.completion: tuple[Child, int, object] | None = None
        """(child, incarnation, label) that gets a `Completion` instead of a waiting task."""

    def settle(self, value: object, error: Exception | None) -> None:
        """End the ask; later endings are dropped."""
        if self.done:
            return
        self.close()
        if self.completion is not None:
            child, incarnation, label = self.completion
            self.completion = None
            child.box.deliver_to(incarnation, Completion(label=label, value=value, error=error))
            return
        self.value, self.error = value, error
        if self.task is not None:
            task, self.task = self.task, None
            trio.lowlevel.reschedule(task)

    def close(self) -> None:
        """Note that it has ended, or that nobody waits for it any more."""
        self.done = True
        if self.owed is not None:
            self.owed.discard(self)
            self.owed = None

    def take(self) -> Any:  # Any: as `value`
        """Return the answer or raise the error, and keep neither: others may still refer to us."""
        value, error = self.value, self.error
        self.value = self.error = None
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # the traceback holds this frame


class ReplyTo:
    """The right to answer one request, once. Dropping it unanswered ends the ask with `NoReply`.

    Any task of this `trio.run` may use it; another thread calls `trio.from_thread.run_sync`.
    """

    __slots__ = ("_child", "_pending", "_what")

    def __init__(self, pending: Pending, what: type, child: Child) -> None:
        self._pending = pending
        self._what = what
        self._child = child

    @property
    def answered(self) -> bool:
        """Whether the ask has ended: answered, withdrawn by its asker, expired or failed."""
        return self._pending.done

    @trio.lowlevel.enable_ki_protection
    def reply(self, value: object) -> None:
        """Answer the request. An answer that comes too late, or second, is dropped without harm."""
        self._pending.settle(value, None)

    @trio.lowlevel.enable_ki_protection
    def fail(self, error: Exception) -> None:
        """Let the ask raise `error`: the same object, in the asker's task. Nobody crashes here."""
        self._pending.settle(None, error)

    @property
    def pending(self) -> Pending:
        """The ask itself; for the library."""
        return self._pending

    def withdraw(self) -> None:
        """Give the ask up without an outcome: its asker is gone."""
        self._pending.close()

    @classmethod
    def to_nobody(cls, child: Child) -> ReplyTo:
        """Build a reply that goes nowhere, for a request that was told."""
        reply_to = cls(Pending(child), Request, child)
        reply_to.withdraw()
        return reply_to

    def __del__(self) -> None:
        pending = self._pending
        if not pending.done:
            # Anything may run here: the garbage collector, another thread. So not settle() itself.
            error = NoReply(self._child.path, self._what.__name__)
            try:
                self._child.tree.token.run_sync_soon(pending.settle, None, error)
            except trio.RunFinishedError:
                return


@attrs.define(eq=False)
class Envelope(Generic[M_co]):
    """A message together with what came with it. Treat it as read-only."""

    message: M_co
    reply_to: ReplyTo | None = None
    """Where to answer; None for a message that was told."""
    deadline: float = math.inf
    """When the asker stops waiting, on `trio.current_time()`'s clock."""
    deliveries: int = 0
    """How many incarnations had it in hand and crashed."""
    reserved: int = 0
    """Incarnation it is owed to, for the library's own messages; 0 for ordinary ones."""
    taken: bool = False
    """Of the library's own messages: whether it has left the inbox."""
    replied: bool = False
    """Whether the actor has answered it, or taken the reply."""

    @property
    def stale(self) -> bool:
        """Whether it is a request nobody waits for any more."""
        return self.reply_to is not None and (
            self.reply_to.answered
            or (self.deadline != math.inf and self.deadline <= trio.current_time())
        )

    def answer(self, value: object) -> None:
        """Answer the request it carries, unless that was answered or taken; for the library."""
        if self.reply_to is not None and not self.replied:
            self.replied = True
            self.reply_to.reply(value)

    def withdraw(self) -> None:
        """End the ask it carries, with nobody to be told."""
        if self.reply_to is not None:
            self.reply_to.withdraw()

    def refuse(self, error: Exception) -> None:
        """End the ask it carries, if it carries one, with `error`."""
        if self.reply_to is not None:
            self.reply_to.fail(copy.copy(error))  # one for each: their tracebacks differ


def is_envelope(item: object) -> TypeGuard[Envelope[Any]]:
    """Whether an item of a queue is an envelope; the other ones are bare messages."""
    return type(item) is Envelope


@attrs.frozen(kw_only=True)
class Completion(Generic[L, R]):
    """How a request sent with `Inbox.send_request` ended; arrives in the sender's own inbox."""

    label: L
    """What the sender gave to tell its requests apart."""
    value: R | None = None
    error: Exception | None = None
    """`ActorCrashed`, `ActorStopped`, `NoReply`, or what `ReplyTo.fail` was given."""

    def unwrap(self) -> R:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("R", self.value)


class DownReason(enum.Enum):
    """Why a watched incarnation is gone."""

    NORMAL = "normal"
    """It returned."""
    CRASHED = "crashed"
    STOPPED = "stopped"
    """Its supervisor stopped it."""


@attrs.frozen(kw_only=True)
class Down:
    """A watched incarnation has ended. Exactly one arrives for each watch."""

    ref: Ref[Any]  # Any: watching does not need the message type
    incarnation: int
    """Number of the incarnation that ended, from 1; 0 if the actor never ran and never will."""
    reason: DownReason
    will_restart: bool
    """Whether a next incarnation was intended then; the restart limit may still forbid it."""


class DeadLetterReason(enum.Enum):
    """Why a message will not be handled."""

    IN_HAND = "in_hand"
    """The incarnation that had it in hand crashed or was stopped."""
    STOPPED = "stopped"
    """The actor has stopped and no further incarnation will come."""
    OVERFLOW = "overflow"
    """The inbox was full and its policy drops."""
    UNHANDLED = "unhandled"
    """An `Actor` subclass has no handler for it."""


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A message that no incarnation will handle to its end."""

    path: str
    """Path of the actor it was for."""
    message: object
    reason: DeadLetterReason
    asked: bool
    """Whether somebody waited for an answer, and was told."""
