"""The inbox as an actor sees it: one for each incarnation, over the child's one queue."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import trio
from trio.lowlevel import Abort, RaiseCancelT, checkpoint, current_task, enable_ki_protection

from ._box import as_envelope
from ._errors import IncarnationEnded, NoReply, NotARequest, StashFull
from ._messages import DeadLetterReason, Envelope, Pending, ReplyTo, Request, is_envelope
from ._ref import Ref, submit, submit_nowait
from ._timers import Timer

if TYPE_CHECKING:
    from ._incarnation import Incarnation
    from ._supervisor import Supervisor

M = TypeVar("M")
R = TypeVar("R")

# Messages in a row without a checkpoint; keeps a pass below 1 ms of our own time.
RECEIVE_BUDGET = 64

_NOTHING: Any = object()  # no message in hand; Any so that it can stand where a message does


_Kept = tuple[Sequence[Envelope[Any]], Sequence[Envelope[Any]]]


class _Batch(list[Envelope[Any]]):
    """Several messages in hand; a type of its own, since a message may itself be a list."""

    __slots__ = ()


class Inbox(Generic[M]):
    """What an actor receives from. Belongs to one incarnation; the messages behind it outlive that.

    Only one task may receive at a time. `async for message in inbox` never ends by itself: the
    actor returns, or its supervisor cancels it.
    """

    __slots__ = (
        "_asked",
        "_box",
        "_budget",
        "_hand",
        "_incarnation",
        "_items",
        "_kept",
        "_laid_aside",
        "_ref",
    )

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation
        self._ref = incarnation.child.ref  # so that there is one while this life lasts
        self._box = incarnation.child.box
        self._items = self._box.items
        self._budget = 0
        self._hand: Any = _NOTHING  # a bare message, an Envelope, or a _Batch
        self._asked = False  # whether the next receive has to end a request, or forget laid_aside
        self._laid_aside: list[Envelope[Any]] = []  # stashed since the last receive
        self._kept: _Kept = ((), ())  # in hand, and laid aside, before the clean-up

    # --- who am I

    @property
    def ref(self) -> Ref[M]:
        """The ref under which others know this actor."""
        return self._ref

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor this actor is a child of."""
        return self._incarnation.child.parent.handle

    @property
    def incarnation(self) -> int:
        """Which life this is, from 1."""
        return self._incarnation.number

    @property
    def stopping(self) -> bool:
        """Whether the supervisor has told this incarnation to stop."""
        return self._incarnation.stopping

    # --- receiving

    def __aiter__(self) -> Inbox[M]:
        return self

    @enable_ki_protection
    async def receive(self) -> M:
        """Return the next message; it is *in hand* until the next call.

        Requests that nobody waits for any more are skipped. Checkpoints when it has to wait, and
        every so often.

        A request in hand that was neither answered nor taken ends here: its asker gets `NoReply`.

        Raises:
            trio.BusyResourceError: Another task is receiving.
            IncarnationEnded: This inbox belongs to a former life.

        Cancellation:
            Loses nothing: a message is taken only when it is returned.
        """
        items = self._items
        if items and self._budget and not self._asked and type(items[0]) is not Envelope:
            self._budget -= 1
            self._hand = message = items.popleft()
            if self._box.senders:
                self._box.admit()
            return cast("M", message)
        return await self._receive_slowly()

    __anext__ = receive

    @enable_ki_protection
    def receive_nowait(self) -> M:
        """Return the next message at once.

        Raises:
            trio.WouldBlock: None waits.
        """
        self._check_alive()
        self._put_down()
        item = self._take()
        if item is _NOTHING:
            raise trio.WouldBlock
        return self._hold(item)

    @enable_ki_protection
    async def receive_batch(self, max_messages: int) -> list[Envelope[M]]:
        """Return at least one message and at most `max_messages`.

        All of them are in hand until the next receive.

        Cancellation:
            Loses nothing.
        """
        self._put_down()
        first = await self._next()
        batch = _Batch((as_envelope(first),))
        self._hand = batch
        self._asked = batch[0].reply_to is not None
        self._fill(batch, max_messages - 1)
        return list(batch)

    @enable_ki_protection
    def receive_batch_nowait(self, max_messages: int) -> list[Envelope[M]]:
        """Add what waits, at most `max_messages`, to what is in hand; return it, perhaps empty."""
        self._check_alive()
        batch = self._hand_as_batch()
        before = len(batch)
        self._fill(batch, max_messages)
        return batch[before:]

    async def _receive_slowly(self) -> M:
        self._put_down()
        item = await self._next()
        return self._hold(item)

    async def _next(self) -> Any:  # Any: a bare message or an Envelope
        """Wait for an item that is worth handling, and take it."""
        incarnation = self._incarnation
        while True:
            self._check_alive()
            if self._items and (not self._budget or incarnation.stopping):
                self._budget = RECEIVE_BUDGET
                await checkpoint()
            elif not self._items:
                await self._wait()
                if incarnation.stopping:  # woken, then told to stop: leave it for the next one
                    await checkpoint()
                    self._check_alive()
            if self._budget:
                self._budget -= 1
            item = self._take()
            if item is not _NOTHING:
                return item

    async def _wait(self) -> None:
        box = self._box
        if box.receiver is not None:
            raise trio.BusyResourceError(f"another task receives from {box.child.path!r}")
        box.receiver = current_task()

        def abort(_: RaiseCancelT) -> Abort:
            box.receiver = None
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        self._budget = RECEIVE_BUDGET

    def _take(self) -> Any:  # Any: as _next
        while self._items:
            item = self._box.take()
            if not (is_envelope(item) and item.stale):
                return item
            self._box.skipped += 1
        return _NOTHING

    def _fill(self, batch: list[Envelope[Any]], room: int) -> None:
        items, box = self._items, self._box
        while room > 0 and items:
            first: object = items[0]
            if type(first) is not Envelope and not box.senders:  # as `Box.take`, without its calls
                batch.append(Envelope(items.popleft()))
            else:
                item = self._take()
                if item is _NOTHING:
                    return
                envelope = as_envelope(item)
                self._asked = self._asked or envelope.reply_to is not None
                batch.append(envelope)
            room -= 1

    def hasten(self) -> None:
        """Make the next receive look up: this life is to stop, or has ended; for the library."""
        self._budget = 0

    # --- what is in hand

    def _hold(self, item: M | Envelope[M]) -> M:
        self._hand = item
        if isinstance(item, Envelope):
            self._asked = item.reply_to is not None
            return cast("M", item.message)
        self._asked = False
        return item

    def _hand_as_batch(self) -> list[Envelope[Any]]:
        if self._hand is _NOTHING:
            self._hand = _Batch()
        elif type(self._hand) is not _Batch:
            self._hand = _Batch((as_envelope(self._hand),))
        return cast("_Batch", self._hand)

    def _put_down(self) -> None:
        """Finish with what is in hand; an unanswered request that was not taken ends here."""
        if self._asked:
            self._asked = False
            self._laid_aside = []
            hand = self._hand
            if type(hand) is _Batch:  # its reply_tos were handed out: whoever has them may answer
                for envelope in hand:
                    if envelope.reply_to is not None and not envelope.reply_to.answered:
                        self._incarnation.owe(envelope.reply_to)
            elif hand is not _NOTHING and not hand.reply_to.answered:
                hand.reply_to.fail(NoReply(self._box.child.path, type(hand.message).__name__))
        self._hand = _NOTHING

    def in_hand(self) -> list[Envelope[Any]]:
        """What the incarnation has not finished; for the library, when it has ended."""
        hand, self._hand, self._asked = self._hand, _NOTHING, False
        self.hasten()
        if hand is _NOTHING:
            return [*self._kept[0]]
        return [*self._kept[0], *(hand if type(hand) is _Batch else (as_envelope(hand),))]

    def keep_hand(self) -> None:
        """Lay what is in hand where clean-up can't lose it by receiving; for the library.

        Its deadline caps no ask of the clean-up either.
        """
        self._kept = (self.in_hand(), self.laid_aside())
        self._laid_aside = []

    def laid_aside(self) -> list[Envelope[Any]]:
        """What was stashed since the last receive: a crash may be its fault; for the library."""
        return [*self._kept[1], *self._laid_aside]

    @enable_ki_protection
    def done(self) -> None:
        """Say that what is in hand is finished, before asking for more.

        For an actor that does something long between a batch and the next: a crash or stop then
        buries nothing. An unanswered request ends as at the next receive.
        """
        self._check_alive()
        self._put_down()

    @property
    def deadline(self) -> float:
        """When the asker of the request in hand stops waiting; infinite where nobody waits."""
        hand = self._hand
        if type(hand) is not Envelope or (hand.replied and hand.reply_to is not None):
            return float("inf")  # answered; of a request whose reply was taken, the asker waits on
        return hand.deadline

    @enable_ki_protection
    def reply(self, value: object) -> None:
        """Answer the request in hand (of a single `receive`). Harmless if the asker is gone.

        A message of a `Request` type that was told, not asked, has nobody to answer: nothing
        happens.

        Raises:
            NotARequest: Nothing in hand wants an answer, or it has one already.
        """
        self._reply_to(taking=False).reply(value)

    @enable_ki_protection
    def fail(self, error: Exception) -> None:
        """Let the ask in hand raise `error`, without crashing this actor."""
        self._reply_to(taking=False).fail(error)

    def answer(self, value: object) -> None:
        """Answer what is in hand if it still wants an answer; otherwise do nothing."""
        if type(self._hand) is Envelope:
            self._hand.answer(value)

    def request(self) -> Envelope[Any] | None:
        """What is in hand, if it came with more than the message; for the library."""
        return self._hand if is_envelope(self._hand) else None

    def bury(self, reason: DeadLetterReason, error: Exception) -> None:
        """Make the message in hand a dead letter; an asker gets `error`."""
        for envelope in self.in_hand():
            self._box.bury(envelope, reason, error)

    @enable_ki_protection
    def take_reply(self) -> ReplyTo:
        """Take over the request's answer, to give it later, from any task; the ask waits.

        It ends with `NoReply` if the `ReplyTo` is dropped, with `ActorCrashed` or `ActorStopped` if
        this incarnation ends first.
        """
        reply_to = self._reply_to(taking=True)
        self._incarnation.owe(reply_to)
        return reply_to

    def _reply_to(self, *, taking: bool) -> ReplyTo:
        path = self._box.child.path
        hand = self._hand
        if type(hand) is not Envelope:
            if isinstance(hand, Request):  # told
                return ReplyTo.to_nobody(self._box.child)
            raise NotARequest(path, "nothing with a reply is in hand")
        reply_to = hand.reply_to
        if reply_to is None:
            return ReplyTo.to_nobody(self._box.child)
        if hand.replied:
            raise NotARequest(path, "it has been answered or taken")
        hand.replied = True
        if taking:
            hand.reply_to, self._asked = None, False
        return reply_to

    @enable_ki_protection
    def stash(self) -> None:
        """Lay the message in hand aside.

        `unstash`, or a restart, puts it back in front of the inbox; a timer's message, a `Down` or
        a `Completion` is owed to this incarnation only, so a restart drops it. Until the next
        receive the message still counts as in hand, should this incarnation crash.

        Raises:
            StashFull: The stash has no free place; the message is still in hand.
        """
        self._check_alive()
        child = self._incarnation.child
        capacity = child.stash_capacity
        items = self._hand_as_batch()
        if len(child.stash) + len(items) > capacity:
            raise StashFull(child.path, capacity)
        child.stash.extend(items)
        self._laid_aside += items
        self._hand, self._asked = _NOTHING, True

    @enable_ki_protection
    def unstash(self) -> int:
        """Put everything stashed back in front of the inbox, oldest first; return how many."""
        self._check_alive()
        child = self._incarnation.child
        count = len(child.stash)
        self._box.put_back(child.stash)
        child.stash.clear()
        return count

    # --- state across restarts

    def save(self, state: object) -> None:
        """Keep `state` for the next incarnation, until the child or its supervisor ends."""
        self._check_alive()
        self._incarnation.child.saved = state

    @property
    def saved(self) -> Any:  # Any: whatever save() was given
        """What an incarnation last saved; None if none did."""
        return self._incarnation.child.saved

    # --- others

    @enable_ki_protection
    async def send_request(self, ref: Ref[Any], request: Request[R], *, label: object) -> None:
        """Send `request` and carry on; its outcome arrives here as `Completion(label=label, ...)`.

        Waits only for room in the target's inbox; checkpoints when it waits, and every so often.
        The completion passes a full inbox. The request has no deadline, and dies with this
        incarnation only in that nobody hears the outcome.
        """
        envelope = self._request(ref, request, label)
        await submit(ref, envelope)

    @enable_ki_protection
    def send_request_nowait(self, ref: Ref[Any], request: Request[R], *, label: object) -> None:
        """As `send_request`, but raise `InboxFull` instead of waiting."""
        envelope = self._request(ref, request, label)
        submit_nowait(ref, envelope)

    def _request(self, ref: Ref[Any], request: Request[R], label: object) -> Envelope[Request[R]]:
        self._check_alive()
        incarnation = self._incarnation
        pending = Pending(ref._child)
        pending.completion = (incarnation.child, incarnation.number, label)
        return Envelope(request, ReplyTo(pending, type(request), ref._child))

    @enable_ki_protection
    def watch(self, ref: Ref[Any]) -> int:
        """Ask for exactly one `Down` about the incarnation of `ref` alive, or already dead, now.

        Watching it again before the `Down` has come changes nothing; watch again afterwards for the
        next one, but not before there is one: while the actor is restarted, what is told at once is
        the end that is known already, and who answers each `Down` with a watch does nothing else
        until then. Ask the actor something first: the next incarnation answers.

        Returns:
            The number of that incarnation; 0 if the actor has not begun to live.
        """
        self._check_alive()
        return self._incarnation.watch(ref._child)

    @enable_ki_protection
    def unwatch(self, ref: Ref[Any]) -> None:
        """Take the watch back, and its `Down` out of the inbox if it waits there."""
        self._incarnation.unwatch(ref._child)

    @enable_ki_protection
    def send_after(self, seconds: float, message: M) -> Timer:
        """Put `message` into this inbox, full or not, after `seconds` of this life."""
        self._check_alive()
        return self._incarnation.start_timer(seconds, message, repeat=False)

    @enable_ki_protection
    def send_interval(self, seconds: float, message: M) -> Timer:
        """Put `message` into this inbox every `seconds`; a tick that still waits is not doubled."""
        self._check_alive()
        if not seconds > 0:
            raise ValueError(f"an interval must be more than 0 seconds, not {seconds!r}")
        return self._incarnation.start_timer(seconds, message, repeat=True)

    @contextmanager
    def grace(self, *, ending: bool = False) -> Generator[trio.CancelScope, None, None]:
        """Shield clean-up that awaits, until `shutdown_seconds` after the stop request.

        Before a stop request it shields without an end, and the library sets the deadline when one
        comes; with `ending` the seconds count from now, for clean-up after an error.
        """
        with self._incarnation.grace(ending=ending) as scope:
            yield scope

    # --- names and groups

    @enable_ki_protection
    def register(self, name: Hashable) -> None:
        """Hold `name` in this tree until this incarnation ends.

        Raises:
            NameTaken: Another living actor holds it.
        """
        self._check_alive()
        self._incarnation.child.tree.names.register(name, self._incarnation)

    @enable_ki_protection
    def unregister(self, name: Hashable) -> None:
        """Give `name` back, if held."""
        self._incarnation.child.tree.names.unregister(name, self._incarnation)

    @enable_ki_protection
    def join(self, group: Hashable) -> None:
        """Be a member of `group` until this incarnation ends; joining twice changes nothing."""
        self._check_alive()
        self._incarnation.child.tree.names.join(group, self._incarnation)

    @enable_ki_protection
    def leave(self, group: Hashable) -> None:
        """Leave `group`, if in it."""
        self._incarnation.child.tree.names.leave(group, self._incarnation)

    @enable_ki_protection
    def listen(self, key: Hashable) -> None:
        """Get one `NameEvent` for each change of the name or group `key`, past a full inbox."""
        self._check_alive()
        self._incarnation.child.tree.names.listen(key, self._incarnation)

    def _check_alive(self) -> None:
        incarnation = self._incarnation
        if incarnation.child.incarnation is not incarnation:
            raise IncarnationEnded(incarnation.child.path, incarnation.number)
