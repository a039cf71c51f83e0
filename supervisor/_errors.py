"""Every error the library raises, split by who can act on it.

`SpecError` and `AdministrationError` say that the caller asked for something wrong. `ActorCrashed`,
`ActorStopped` and `RequestExpired` say that an actor could not answer. `StartFailed` and
`RestartLimitExceeded` say that the tree itself is in trouble. Attributes carry the data; `str()`
says the actual values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ._reports import CrashReport


class ActorError(Exception):
    """Base of every error raised by `greenroom.supervisor`."""


# --- what asking or telling an actor may end with


class ActorCrashed(ActorError):
    """The incarnation that had the request in hand ended before it answered; another one may come.

    The request may or may not have had its effect. Asking again is safe only if the request is
    idempotent.
    """

    def __init__(self, actor: str, report: CrashReport | None = None) -> None:
        super().__init__(actor, report)
        self.actor = actor
        """Path of the actor, such as `"node/rooms/lobby"`."""
        self.report = report
        """What happened; None when the incarnation was stopped for a restart of its group."""

    def __str__(self) -> str:
        if self.report is None:
            return f"actor {self.actor!r} was stopped for a restart before it answered"
        return f"actor {self.actor!r} crashed before it answered: {self.report.summary}"


class ActorStopped(ActorError):
    """The actor has ended and no further incarnation will come; the request was not answered."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"actor {self.actor!r} has stopped"


class NoReply(ActorError):
    """The actor finished with the request, and with every way to answer it, without an answer."""

    def __init__(self, actor: str, request: str) -> None:
        super().__init__(actor, request)
        self.actor, self.request = actor, request

    def __str__(self) -> str:
        return f"actor {self.actor!r} did not answer {self.request}"


class UnhandledMessage(ActorError):
    """An `Actor` subclass has no handler for this type of request."""

    def __init__(self, actor: str, message_type: str) -> None:
        super().__init__(actor, message_type)
        self.actor, self.message_type = actor, message_type

    def __str__(self) -> str:
        return f"actor {self.actor!r} has no handler for {self.message_type}"


class InboxFull(ActorError, trio.WouldBlock):
    """The inbox had no free place; nothing was enqueued.

    `Ref.tell` under `Overflow.WAIT` waits for one.
    """

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(actor, capacity)
        self.actor, self.capacity = actor, capacity

    def __str__(self) -> str:
        return f"inbox of {self.actor!r} is full ({self.capacity} messages)"


class InboxOverflowed(ActorError):
    """Ends the incarnation of an actor with `Overflow.FAIL` whose inbox ran over."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(actor, capacity)
        self.actor, self.capacity = actor, capacity

    def __str__(self) -> str:
        return f"inbox of {self.actor!r} ran over ({self.capacity} messages): its policy is to fail"


class AskCycle(ActorError):
    """This ask or waiting tell would wait for an actor that itself, or through others, waits."""

    def __init__(self, actors: tuple[str, ...]) -> None:
        super().__init__(actors)
        self.actors = actors
        """The paths along the cycle; the first and the last are the same."""

    def __str__(self) -> str:
        return "actors would wait for each other for ever: " + " -> ".join(self.actors)


class RequestExpired(ActorError, trio.TooSlowError):
    """The deadline of the request in hand passed while its handler asked somebody else."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"the request that {self.actor!r} works on has expired"


class NotARequest(ActorError):
    """`Inbox.reply` or `take_reply` was called with no unanswered request in hand."""

    def __init__(self, actor: str, why: str) -> None:
        super().__init__(actor, why)
        self.actor, self.why = actor, why

    def __str__(self) -> str:
        return f"{self.actor!r} has nothing to reply to: {self.why}"


class StashFull(ActorError):
    """`Inbox.stash` found no free place; the message is still in hand."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(actor, capacity)
        self.actor, self.capacity = actor, capacity

    def __str__(self) -> str:
        return f"stash of {self.actor!r} is full ({self.capacity} messages)"


class IncarnationEnded(ActorError):
    """An `Inbox` was used after its incarnation had ended."""

    def __init__(self, actor: str, incarnation: int) -> None:
        super().__init__(actor, incarnation)
        self.actor, self.incarnation = actor, incarnation

    def __str__(self) -> str:
        return f"incarnation {self.incarnation} of {self.actor!r} has ended"


class NameTaken(ActorError):
    """The name is held by another living actor of the tree."""

    def __init__(self, name: object, owner: str) -> None:
        super().__init__(name, owner)
        self.name, self.owner = name, owner

    def __str__(self) -> str:
        return f"name {self.name!r} is held by {self.owner!r}"


# --- starting, restarting


class Ignore(Exception):
    """Raise before `task_status.started()` to say: leave me out, that is no failure.

    OTP's `ignore`.

    `start_child` then returns the ref of a child that does not run. A temporary or dynamic child is
    forgotten, any other stays listed as stopped, and group restarts try it again.
    """


class NotStarted(ActorError):
    """The child returned without calling `task_status.started()`."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"{self.actor!r} returned without calling task_status.started()"


class StartFailed(ActorError):
    """A child could not start; its own error is `__cause__` (for its caller) and `report`.

    Nothing is left behind: what the same call had started before is stopped again.
    """

    def __init__(self, actor: str, report: CrashReport | None = None) -> None:
        super().__init__(actor, report)
        self.actor, self.report = actor, report

    def __str__(self) -> str:
        why = "it was stopped while it started" if self.report is None else self.report.summary
        return f"{self.actor!r} did not start: {why}"


class RestartLimitExceeded(ActorError):
    """A supervisor gave up: more restarts than its limit allows. All its children are stopped."""

    def __init__(
        self,
        supervisor: str,
        child: str,
        max_restarts: int,
        max_seconds: float,
        report: CrashReport | None = None,
    ) -> None:
        super().__init__(supervisor, child, max_restarts, max_seconds, report)
        self.supervisor, self.child = supervisor, child
        self.max_restarts, self.max_seconds = max_restarts, max_seconds
        self.report = report
        """The last crash, if the child that spent the budget crashed."""

    def __str__(self) -> str:
        last = "" if self.report is None else f"; last: {self.report.summary}"
        return (
            f"{self.supervisor!r} restarted more than {self.max_restarts} times"
            f" in {self.max_seconds} s, lastly {self.child!r}{last}"
        )


# --- administration


class SpecError(ActorError, ValueError):
    """A child spec or supervisor spec contradicts itself."""


class AdministrationError(ActorError):
    """Base of what `start_child`, `terminate_child`, `restart_child` and `delete_child` refuse."""

    def __init__(self, supervisor: str, child: str) -> None:
        super().__init__(supervisor, child)
        self.supervisor, self.child = supervisor, child


class NoSuchChild(AdministrationError, LookupError):
    """No child of that id."""

    def __str__(self) -> str:
        return f"{self.supervisor!r} has no child {self.child!r}"


class AlreadyStarted(AdministrationError):
    """`start_child`: a child of that id runs, or waits for its restart."""

    def __str__(self) -> str:
        return f"child {self.child!r} of {self.supervisor!r} is already started"


class AlreadyPresent(AdministrationError):
    """`start_child`: a stopped child of that id is listed; `restart_child` or `delete_child` it."""

    def __str__(self) -> str:
        return f"child {self.child!r} of {self.supervisor!r} is already present, stopped"


class ChildRunning(AdministrationError):
    """`restart_child` and `delete_child` want a stopped child; this one runs."""

    def __str__(self) -> str:
        return f"child {self.child!r} of {self.supervisor!r} is running"


class ChildRestarting(AdministrationError):
    """`restart_child` and `delete_child` want a stopped child; this one waits for its restart."""

    def __str__(self) -> str:
        return f"child {self.child!r} of {self.supervisor!r} is being restarted"


class NotForDynamic(AdministrationError):
    """A dynamic supervisor keeps no stopped children: there is nothing to restart or delete."""

    def __str__(self) -> str:
        return f"{self.supervisor!r} is dynamic: {self.child!r} cannot be restarted or deleted"


class NotASupervisor(AdministrationError):
    """`Supervisor.supervisor(id)` named an actor."""

    def __str__(self) -> str:
        return f"child {self.child!r} of {self.supervisor!r} is an actor, not a supervisor"


class TooManyChildren(AdministrationError):
    """`start_child`: the supervisor already has `max_children`, those being restarted included."""

    def __init__(self, supervisor: str, child: str, max_children: int) -> None:
        super().__init__(supervisor, child)
        self.args = (supervisor, child, max_children)
        self.max_children = max_children

    def __str__(self) -> str:
        return (
            f"{self.supervisor!r} has {self.max_children} children; {self.child!r} is one too many"
        )


class SupervisorStopped(AdministrationError):
    """The supervisor is stopping, stopped, or waits for its own restart."""

    def __str__(self) -> str:
        return f"supervisor {self.supervisor!r} is not running; refused for child {self.child!r}"


class SupervisorBusy(AdministrationError):
    """A child called, while it starts or stops, the supervisor that waits for it."""

    def __str__(self) -> str:
        return f"{self.supervisor!r} itself waits for its child {self.child!r} to start or to stop"
