"""The doorkeeper: asks the gate who may do what in a room, and remembers the answers for a while.

Asked by connections, and only where neither the room's kind nor the token decides. The loop only
sorts what comes in; tasks ask the gate, so neither connections nor other questions wait for a slow
answer. Trouble of the gate is an answer (`GateUnavailable`), never a crash, and so is a bug in it.
"""

import logging
from collections import OrderedDict
from typing import Final
from weakref import WeakValueDictionary

import attrs
import trio

from greenroom.actors.ports import GateUnavailable, RoomGate
from greenroom.actors.services import CastLimits
from greenroom.protocol import NO_RIGHTS, Rights
from greenroom.supervisor import ChildSpec, Envelope, Inbox, ReplyTo, Request

log = logging.getLogger("greenroom.actors.rights.doorkeeper")

MOST_QUESTIONS: Final = 1_000
"""Under way and waiting for their turn; one more is `GateUnavailable`."""
TURNS_PER_USER: Final = 4
"""Questions about one user that the gate is asked at a time: who tries every door at once does not
keep the others waiting."""
NO_SECONDS: Final = 1.0
"""How long it is remembered that somebody may do nothing: who is invited tries again at once."""
MOST_REMEMBERED: Final = 10_000
"""Answers; of more, the oldest is forgotten."""


@attrs.frozen
class AskRights(Request[Rights]):
    """What may `user` do in `room`? Fails with `GateUnavailable`."""

    room: str
    user: str


class NobodyKnows:
    """The gate of a node that has none: it lets nobody in."""

    async def rights_in(self, room: str, user: str) -> Rights | None:  # noqa: ARG002 - the port's
        """Nobody has any."""
        await trio.lowlevel.checkpoint()
        return None


def doorkeeper_spec(gate: RoomGate, limits: CastLimits) -> ChildSpec[AskRights]:
    """The doorkeeper's recipe.

    Its inbox holds 1,000 questions; when it is full, connections wait with their JOIN: the loop
    empties it at once, so that lasts no longer than a pass of the scheduler.
    """
    return ChildSpec(id="doorkeeper", start=doorkeeper, args=(gate, limits), inbox_capacity=1_000)


async def doorkeeper(
    inbox: Inbox[AskRights],
    gate: RoomGate,
    limits: CastLimits,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Questions -> memory -> the gate -> answers."""
    async with trio.open_nursery() as nursery:
        desk = Desk(gate, limits, nursery)
        task_status.started()
        while True:
            for envelope in await inbox.receive_batch(100):
                desk.take(envelope)


class Desk:
    """What one incarnation remembers, and what it is asking. A question is asked once at a time."""

    def __init__(self, gate: RoomGate, limits: CastLimits, nursery: trio.Nursery) -> None:
        self._gate = gate
        self._seconds = limits.gate_seconds
        self._remember_seconds = limits.gate_memory_seconds
        self._turns = trio.CapacityLimiter(limits.gate_questions_at_once)
        self._turns_of: WeakValueDictionary[str, trio.CapacityLimiter] = WeakValueDictionary()
        # {user: turns}, while one of their questions is open
        self._nursery = nursery
        self._waiting: dict[AskRights, list[ReplyTo]] = {}  # one question, all who asked it
        self._remembered: OrderedDict[AskRights, tuple[Rights, float]] = OrderedDict()
        # {question: (answer, until)}, the first asked first
        self._gate_works = True  # as its last answer showed

    def take(self, envelope: Envelope[AskRights]) -> None:
        """Answer from memory, or ask the gate."""
        question, reply_to = envelope.message, envelope.reply_to
        if reply_to is None:
            return
        known = self._recall(question)
        if known is not None:
            reply_to.reply(known)
        elif question in self._waiting:
            self._waiting[question].append(reply_to)
        elif len(self._waiting) >= MOST_QUESTIONS:
            reply_to.fail(GateUnavailable("too many questions"))
        else:
            self._waiting[question] = [reply_to]
            self._nursery.start_soon(self._ask, question)

    def _recall(self, question: AskRights) -> Rights | None:
        known = self._remembered.get(question)
        if known is None:
            return None
        answer, until = known
        if until > trio.current_time():
            return answer
        del self._remembered[question]
        return None

    def _turns_for(self, user: str) -> trio.CapacityLimiter:
        turns = trio.CapacityLimiter(TURNS_PER_USER)
        return self._turns_of.setdefault(user, turns)

    async def _ask(self, question: AskRights) -> None:
        answer: Rights | None = None
        error = GateUnavailable("no answer in time")
        asked = False  # the user may have had so many questions that this one's turn did not come
        with trio.move_on_after(self._seconds):
            try:
                async with self._turns_for(question.user), self._turns:
                    asked = True
                    answer = await self._gate.rights_in(question.room, question.user) or NO_RIGHTS
            except GateUnavailable as trouble:
                error = trouble
            except Exception:  # a bug in it, told to those who asked; the others go on
                log.exception("the gate is broken")
                error = GateUnavailable("broken")
        if asked:
            self._note(None if answer is not None else error)
        asking = self._waiting.pop(question)
        if answer is None:
            for reply_to in asking:
                reply_to.fail(error)
            return
        seconds = self._remember_seconds if answer else min(NO_SECONDS, self._remember_seconds)
        self._remembered[question] = (answer, trio.current_time() + seconds)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        for reply_to in asking:
            reply_to.reply(answer)

    def _note(self, trouble: GateUnavailable | None) -> None:
        """Tell the log once when the gate stops answering, and once when it goes on."""
        if trouble is not None and self._gate_works:
            log.warning("the gate does not say who may enter: %s", trouble)
        elif trouble is None and not self._gate_works:
            log.info("the gate says again who may enter")
        self._gate_works = trouble is None
