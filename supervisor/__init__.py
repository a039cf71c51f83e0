"""Supervised actors on Trio: OTP's supervision, in Trio's manners.

A function actor, asked once::

    import attrs
    import trio
    from greenroom.supervisor import ChildSpec, Inbox, Request, open_supervisor

    @attrs.frozen
    class Add(Request[int]):
        n: int

    async def counter(inbox: Inbox[Add], task_status: trio.TaskStatus[None]) -> None:
        total = 0
        task_status.started()
        async for message in inbox:
            total += message.n
            inbox.reply(total)

    async def main() -> None:
        async with open_supervisor([ChildSpec(id="counter", start=counter)]) as sup:
            print(await sup.ref("counter").ask(Add(1)))
"""

from ._actor import Actor, handles
from ._child import ChildState
from ._errors import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    AdministrationError,
    AlreadyPresent,
    AlreadyStarted,
    AskCycle,
    ChildRestarting,
    ChildRunning,
    Ignore,
    InboxFull,
    InboxOverflowed,
    IncarnationEnded,
    NameTaken,
    NoReply,
    NoSuchChild,
    NotARequest,
    NotASupervisor,
    NotForDynamic,
    NotStarted,
    RequestExpired,
    RestartLimitExceeded,
    SpecError,
    StartFailed,
    StashFull,
    SupervisorBusy,
    SupervisorStopped,
    TooManyChildren,
    UnhandledMessage,
)
from ._inbox import Inbox
from ._messages import (
    Completion,
    DeadLetter,
    DeadLetterReason,
    Down,
    DownReason,
    Envelope,
    ReplyTo,
    Request,
)
from ._names import NameEvent
from ._partition import partitioned
from ._ref import Ref
from ._reports import ChildEvent, CrashReport, Hooks, OverflowEvent, Phase, StuckReport
from ._snapshot import ChildSnapshot, InboxStatistics, SupervisorSnapshot
from ._specs import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    Overflow,
    Restart,
    RestartLimit,
    Strategy,
    SupervisorSpec,
    check_specs,
)
from ._strategy import Exit
from ._supervisor import ChildCounts, ChildInfo, Supervisor, open_supervisor, serve_supervisor
from ._timers import Timer

__all__ = [
    # trees
    "Supervisor", "SupervisorSpec", "open_supervisor", "serve_supervisor", "ChildSpec",
    "check_specs", "partitioned",
    "Restart", "Strategy", "RestartLimit", "Backoff", "AutoShutdown",
    # actors
    "Actor", "handles", "Inbox", "Ref", "Request", "Envelope", "ReplyTo", "Completion", "Down",
    "DownReason",
    "Overflow", "Timer", "NameEvent",
    # seeing
    "Hooks", "ChildEvent", "OverflowEvent", "CrashReport", "Phase", "StuckReport", "DeadLetter",
    "DeadLetterReason", "Exit", "ChildState", "ChildInfo", "ChildCounts", "ChildSnapshot",
    "SupervisorSnapshot",
    "InboxStatistics",
    # errors
    "ActorError", "ActorCrashed", "ActorStopped", "NoReply", "UnhandledMessage", "InboxFull",
    "InboxOverflowed",
    "AskCycle", "RequestExpired", "NotARequest", "StashFull", "IncarnationEnded", "NameTaken",
    "Ignore",
    "NotStarted", "StartFailed", "RestartLimitExceeded", "SpecError", "AdministrationError",
    "NoSuchChild",
    "AlreadyStarted", "AlreadyPresent", "ChildRunning", "ChildRestarting", "NotForDynamic",
    "NotASupervisor",
    "TooManyChildren", "SupervisorStopped", "SupervisorBusy",
]  # fmt: skip
