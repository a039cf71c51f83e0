"""Refs: the address of a child, valid across its restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    checkpoint,
    current_task,
    enable_ki_protection,
    wait_task_rescheduled,
)

from ._box import SEND_BUDGET
from ._errors import RequestExpired
from ._messages import Envelope, Pending, ReplyTo, Request
from ._waiting import check_cycle, current_actor

if TYPE_CHECKING:
    from ._child import Child
    from ._incarnation import Incarnation

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")


class Ref(Generic[M_contra]):
    """Names a child, not one of its incarnations. Compared by identity; one child has one ref."""

    __slots__ = ("__weakref__", "_box", "_child")

    def __init__(self, child: Child) -> None:
        self._child = child
        self._box = child.box

    @property
    def id(self) -> str:
        """The child's id among its siblings."""
        return self._child.id

    @property
    def path(self) -> str:
        """Where it stands in its tree, such as `"node/rooms/lobby"`."""
        return self._child.path

    def __repr__(self) -> str:
        return f"<Ref {self.path!r}>"

    @enable_ki_protection
    async def tell(self, message: M_contra) -> None:
        """Send `message`; if the inbox is full, do as its policy says: by default wait for room.

        To an actor that has stopped, it is a dead letter and no error, as OTP's cast. Messages of
        one sender arrive in order. Checkpoints when it waits, and every so often.

        Raises:
            InboxFull: The inbox is full and its policy is `Overflow.RAISE`.
            AskCycle: Waiting for room would never end.

        Cancellation:
            The message was not sent.
        """
        box = self._box
        if len(box.items) < box.limit and box.spent < SEND_BUDGET:
            box.spent += 1
            box.items.append(message)
            if box.receiver is not None:
                box.wake()
            return
        await box.put(message)

    @enable_ki_protection
    def tell_nowait(self, message: M_contra) -> None:
        """Send `message` without waiting.

        Raises:
            InboxFull: There is no room, and the policy drops nothing. It is a `trio.WouldBlock`.
        """
        box = self._box
        if len(box.items) < box.limit:
            box.items.append(message)
            if box.receiver is not None:
                box.wake()
        else:
            box.put_nowait(message)

    @enable_ki_protection
    async def ask(self, request: Request[R]) -> R:
        """Send `request` and wait for its answer.

        There is no timeout argument; wrap the call in `trio.fail_after`. That deadline travels: a
        request that has not been begun when it passes is skipped, and what the handler asks in turn
        is capped by it. (Under a shield Trio's effective deadline is infinite, and so is the one
        that travels.)

        Args:
            request: Shared, not copied, so keep it frozen. A restart may hand it to the next
                incarnation again if
                the child's `redeliver_at_most` says so; the ask stays open meanwhile.

        Returns:
            What the actor replied.

        Raises:
            ActorCrashed: The incarnation that had the request in hand crashed.
            ActorStopped: The actor has ended and no further incarnation will come.
            NoReply: The actor finished with the request without answering.
            InboxFull: The inbox was full, and its policy is not to wait.
            AskCycle: The actor asked waits, through others, for the asking one, or is the asking
                one.
            RequestExpired: The request on which the asking actor works has expired.
            Exception: What the actor passed to `fail`.

        Cancellation:
            A request not begun is withdrawn. One that was begun runs on; only the answer is
            dropped.
        """
        actor = current_actor()
        deadline = trio.current_effective_deadline()
        if actor is None or actor.inbox.deadline >= deadline:
            return cast("R", await _ask(self._child, request, deadline, actor))
        deadline = actor.inbox.deadline
        with trio.CancelScope(deadline=deadline):
            return cast("R", await _ask(self._child, request, deadline, actor))
        raise RequestExpired(actor.child.path)


async def _ask(
    child: Child, request: Request[R], deadline: float, actor: Incarnation | None
) -> Any:  # Any: R, from an untyped reply
    pending = Pending(child)
    if actor is not None:
        check_cycle(actor, pending)
        actor.waits_for = pending
    try:
        # The envelope holds the only ReplyTo, so that dropping it ends the ask.
        envelope = Envelope(request, ReplyTo(pending, type(request), child), deadline)
        box = child.box
        if len(box.items) < box.limit:
            box.append(envelope)
        else:
            await _put(child, envelope)
            if actor is not None:
                actor.waits_for = pending
        del envelope
        if pending.done:
            await checkpoint()
        else:
            pending.task = current_task()

            def abort(_: RaiseCancelT) -> Abort:
                pending.task = None
                pending.close()
                return Abort.SUCCEEDED

            await wait_task_rescheduled(abort)
    finally:
        if actor is not None:
            actor.waits_for = None
    return pending.take()


async def _put(child: Child, envelope: Envelope[Any]) -> None:
    """Enqueue a request; one that is not enqueued must not look like a dropped reply."""
    try:
        await child.box.put(envelope)
    except BaseException:
        envelope.withdraw()
        raise


async def submit(ref: Ref[Any], envelope: Envelope[Any]) -> None:
    """Enqueue a request whose answer comes as a completion, waiting for room; as `Ref.tell`."""
    box = ref._box
    if len(box.items) < box.limit and box.spent < SEND_BUDGET:
        box.spent += 1
        box.append(envelope)
    else:
        await _put(ref._child, envelope)


def submit_nowait(ref: Ref[Any], envelope: Envelope[Any]) -> None:
    """As `submit`, or raise `InboxFull`."""
    try:
        ref._box.put_nowait(envelope)
    except BaseException:
        envelope.withdraw()
        raise
