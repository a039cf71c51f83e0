"""The history of a durable room: nothing is delivered or acknowledged before the archive has it.

Every question to the archive comes back as a completion in the room's own inbox, labelled with the
method that goes on with it, so the room's loop never waits for storage.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import trio

from greenroom.actors.archive.archive import Load, Loaded, OutOfOrder, Read, Store, Writer
from greenroom.actors.cast import Cast
from greenroom.actors.connection.subscription import SubscriptionState
from greenroom.actors.connection.voice import Said
from greenroom.actors.ledger import RoomLedger
from greenroom.actors.ports import (
    Committed,
    Head,
    KeyConflict,
    NewMessage,
    StoredMessage,
    StoreUnavailable,
)
from greenroom.actors.room import recovery
from greenroom.actors.room.audience import Audience
from greenroom.actors.room.history import GoOn, answer
from greenroom.actors.room.messages import (
    Admitted,
    JoinRoom,
    ReadHistory,
    Refused,
)
from greenroom.actors.room.paging import check_position, from_ring, page_limit, page_of
from greenroom.actors.room.pipeline import Arrival, InFlight, Lineup, Pending, Pipeline
from greenroom.actors.room.recovery import Lost, Recovered
from greenroom.actors.room.ring import Remembered
from greenroom.protocol import ErrorCode, Message
from greenroom.supervisor import (
    ActorCrashed,
    ActorStopped,
    Completion,
    Envelope,
    Inbox,
    NoReply,
)

FILL_AGAIN_SECONDS: Final = 1.0
"""After a hole could not be filled because the archive could not read."""
MOST_ATTEMPTS: Final = 3
"""A read that crashed the archive this often is not asked again."""

Outcome = Completion[Any, Any]  # Any: labels and values of all our questions


class HistoryReplaced(Exception):
    """The history was replaced under a living room; everything it remembers is worthless."""


def remember(stored: StoredMessage) -> Remembered:
    """A row of the archive as the room keeps it."""
    message = Message(
        room=stored.room,
        epoch=stored.epoch,
        offset=stored.offset,
        message_id=stored.message_id,
        user=stored.user,
        content=stored.content,
        timestamp=stored.timestamp,
    )
    return Remembered(message, stored.key)


class DurableHistory:
    """One incarnation's dealings with the archive."""

    def __init__(
        self, inbox: Inbox[Any], room: str, audience: Audience, cast: Cast, ledger: RoomLedger
    ) -> None:
        self._inbox = inbox
        self._room = room
        self._audience = audience
        self._services = cast.services
        self._archive = cast.archive
        self._ledger = ledger
        self._writer = Writer()
        limits = cast.services.limits
        self._pipeline = Pipeline(
            batch_messages=limits.batch_messages,
            batches_in_flight=limits.batches_in_flight,
            max_messages=limits.waiting_messages,
            max_bytes=limits.waiting_bytes,
        )
        self._lineup: Lineup | None = None  # None until the archive has said where we stand
        self._loading = False
        self._filling = False
        self._reading = 0  # for JOIN and HISTORY
        self._ring_used_at = 0.0
        self._ring_expires = False  # a timer is set
        self._early: list[Envelope[Any]] = []  # joins and reads that wait for that; one a request

    durable = True

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return self._pipeline.idle and not self._early and not self._reading

    # Where do we stand? PUBLISHes and JOINs wait for the answer.

    async def start(self) -> None:
        """Ask the archive for the head: a barrier behind what the last incarnation had sent it."""
        if not self._loading:
            self._loading = True
            request = Load(room=self._room, recent=self._services.limits.ring_messages)
            await self._inbox.send_request(self._archive, request, label=self._loaded)

    async def _loaded(self, outcome: Outcome) -> None:
        self._loading = False
        if isinstance(outcome.error, (ActorCrashed, NoReply)):
            await self.start()
            return
        early, self._early = self._early, []
        if isinstance(outcome.error, (StoreUnavailable, ActorStopped)):
            # Whoever comes next makes us ask again.
            self._refuse([*self._pipeline.give_up()], ErrorCode.NOT_AVAILABLE)
            for envelope in early:
                answer(envelope, Refused(ErrorCode.NOT_AVAILABLE))
            return
        loaded: Loaded = outcome.unwrap()
        self._lineup = Lineup(loaded.head)
        self._audience.stand_at(loaded.head)
        self._audience.first = loaded.first
        for stored in loaded.recent:
            self._audience.ring.append(remember(stored))
        self._ring_used()
        for envelope in early:
            if isinstance(envelope.message, JoinRoom):
                await self.join(envelope)
            else:
                await self.read(envelope)
        await self._submit()

    # PUBLISH -> archive -> ACK and MESSAGE.

    async def publish(self, said: Sequence[Said]) -> None:
        """Queue these messages and submit what may go to the archive."""
        timestamp = self._services.now_ms()
        for one in said:
            self._ledger.published += 1
            message = NewMessage(
                room=self._room,
                user=one.member.user,
                key=one.key,
                content=one.content,
                timestamp=timestamp,
                content_hash=blake2b(one.content.encode(), digest_size=16).digest(),
            )
            pending = Pending(message, one)
            if not self._pipeline.offer(pending):
                self._refuse([pending], ErrorCode.NOT_AVAILABLE)
        if self._lineup is None:
            await self.start()
        else:
            await self._submit()

    async def _submit(self) -> None:
        while (batch := self._pipeline.next_batch()) is not None:
            request = Store(
                messages=[item.message for item in batch.items],
                writer=self._writer,
                continues=batch.continues,
            )
            await self._inbox.send_request(
                self._archive, request, label=partial(self._stored, batch)
            )

    async def _stored(self, batch: InFlight, outcome: Outcome) -> None:
        match outcome.error:
            case None:
                self._pipeline.came_back(batch)
                self._acknowledge(batch, outcome.unwrap())
                await self._deliver()
                self._audience.write_acks()  # where there was nothing to deliver with them
            case ActorCrashed() | NoReply() | OutOfOrder():
                if not self._pipeline.lost(batch):
                    self._refuse(batch.items, ErrorCode.INTERNAL)
            case StoreUnavailable() | ActorStopped():
                self._pipeline.came_back(batch)
                self._refuse(batch.items, ErrorCode.NOT_AVAILABLE)
            case bug:
                raise bug
        await self._submit()

    def _acknowledge(self, batch: InFlight, outcomes: Sequence[Committed | KeyConflict]) -> None:
        lineup = self._lineup
        assert lineup is not None  # noqa: S101 - nothing is submitted before
        for item, outcome in zip(batch.items, outcomes, strict=True):
            if isinstance(outcome, KeyConflict):
                self._refuse([item], ErrorCode.KEY_CONFLICT)
                continue
            stored = outcome.message
            if stored.epoch != lineup.head.epoch or self._is_at_the_place_of_another(stored):
                raise HistoryReplaced(self._room)
            entry = remember(stored)
            self._ledger.accepted += 1
            self._audience.acknowledge(
                item.said, entry.message, status=stored.status, duplicate=outcome.duplicate
            )
            sender = None if item.said.echo else item.said.member
            lineup.add(Arrival(entry, sender, fresh=not outcome.duplicate))

    def _is_at_the_place_of_another(self, stored: StoredMessage) -> bool:
        """Whether the members have heard something else there.

        So it is where a standby took over that lacked the newest messages. Without this, members
        would not hear what is said now: they count it as heard.
        """
        if stored.offset > self._audience.head.offset:
            return False
        known = self._audience.ring.after(stored.offset - 1, limit=1)
        return known is not None and any(entry.key != stored.key for entry in known)

    async def _deliver(self) -> None:
        lineup = self._lineup
        assert lineup is not None  # noqa: S101 - as above
        ready = lineup.take_ready()
        if ready and not [arrival for arrival in ready if not arrival.fresh]:
            await self._audience.deliver(
                [arrival.entry for arrival in ready], [arrival.sender for arrival in ready]
            )
        elif ready:
            self._audience.make_up([arrival.entry for arrival in ready])
        if ready:
            self._ring_used()
            self._services.watermarks.fanned_out(self._room, lineup.head)
        hole = lineup.hole()
        if hole is not None and not self._filling:
            self._filling = True
            last_before, first_after = hole
            request = Read(
                room=self._room,
                after=last_before,
                before=first_after,
                limit=min(first_after - last_before - 1, self._services.limits.ring_messages),
            )
            await self._inbox.send_request(self._archive, request, label=self._filled)

    async def _filled(self, outcome: Outcome) -> None:
        self._filling = False
        if isinstance(outcome.error, (StoreUnavailable, ActorCrashed, NoReply, ActorStopped)):
            self._inbox.send_after(FILL_AGAIN_SECONDS, GoOn(self._deliver))
            return
        lineup = self._lineup
        assert lineup is not None  # noqa: S101 - as above
        before = lineup.head
        for stored in outcome.unwrap():
            if stored.epoch != before.epoch:
                raise HistoryReplaced(self._room)
            lineup.add(Arrival(remember(stored), None, fresh=False))
        await self._deliver()
        if lineup.hole() is not None and lineup.head == before:
            raise HistoryReplaced(self._room)  # what we had acknowledged is not there

    def _refuse(self, items: Sequence[Pending], code: ErrorCode) -> None:
        self._ledger.refused[code.message] += len(items)
        for item in items:
            item.said.refuse(code)

    # JOIN with `since`, HISTORY.

    async def join(self, envelope: Envelope[JoinRoom]) -> None:
        """Let the member in where it left off; what the ring has not, the archive is asked for."""
        if self._lineup is None:
            self._early.append(envelope)
            await self.start()
            return
        request = envelope.message
        plan = recovery.plan(
            request.position,
            self._audience.head,
            self._audience.ring,
            max_messages=self._services.limits.max_recovered_messages,
            max_bytes=self._services.limits.answer_bytes,
            may_read=request.may_read,
            first=self._audience.first,
        )
        if isinstance(plan, recovery.MustRead):
            self._ledger.from_archive += 1
            await self._read_for_join(envelope, plan, attempt=1)
            return
        if isinstance(plan, Recovered) and plan.entries:
            self._ledger.from_ring += 1
            self._ring_used()
        self._admit(envelope, plan)

    async def _read_for_join(
        self, envelope: Envelope[JoinRoom], plan: recovery.MustRead, *, attempt: int
    ) -> None:
        member = envelope.message.member
        request = Read(
            room=self._room,
            after=plan.after,
            limit=plan.limit,
            wanted=lambda: member.state is not SubscriptionState.CLOSED,
        )
        self._reading += 1
        label = partial(self._joined_up, envelope, plan, attempt)
        await self._inbox.send_request(self._archive, request, label=label)

    async def _joined_up(
        self,
        envelope: Envelope[JoinRoom],
        plan: recovery.MustRead,
        attempt: int,
        outcome: Outcome,
    ) -> None:
        self._reading -= 1
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and attempt < MOST_ATTEMPTS:
            await self._read_for_join(envelope, plan, attempt=attempt + 1)
            return
        if outcome.error is not None:
            answer(envelope, Refused(_code_for(outcome.error)))
            return
        joined_up = recovery.join_up(
            plan,
            [remember(stored) for stored in outcome.unwrap()],
            self._audience.head,
            self._audience.ring,
            max_messages=self._services.limits.max_recovered_messages,
            max_bytes=self._services.limits.answer_bytes,
        )
        if isinstance(joined_up, recovery.MustRead):
            await self._read_for_join(envelope, joined_up, attempt=1)
        else:
            self._admit(envelope, joined_up)

    def _admit(self, envelope: Envelope[JoinRoom], outcome: Recovered | Lost) -> None:
        member = envelope.message.member
        if member.state is not SubscriptionState.CLOSED:  # it may have left meanwhile
            self._audience.admit(envelope.message, outcome)
        answer(envelope, Admitted(self._audience.incarnation))

    async def read(self, envelope: Envelope[ReadHistory]) -> None:
        """Answer HISTORY from the ring, or ask the archive."""
        if self._lineup is None:
            self._early.append(envelope)
            await self.start()
            return
        request = envelope.message
        head = self._audience.head
        refused = check_position(request, head)
        if refused is not None:
            answer(envelope, refused)
            return
        page = from_ring(
            request,
            head,
            self._audience.ring,
            self._services.limits,
            first=self._audience.first,
        )
        if page is None:
            self._ledger.from_archive += 1
            await self._read_page(envelope, head, attempt=1)
            return
        self._ledger.from_ring += 1
        self._ring_used()
        answer(envelope, page)

    async def _read_page(
        self, envelope: Envelope[ReadHistory], head: Head, *, attempt: int
    ) -> None:
        request = envelope.message
        since, before = request.since, request.before
        question = Read(
            room=self._room,
            after=None if since is None else since.offset,
            before=head.offset + 1 if before is None else min(before.offset, head.offset + 1),
            limit=page_limit(request, self._services.limits),
            wanted=lambda: not request.member.outbox.sealed,
        )
        self._reading += 1
        label = partial(self._page_read, envelope, head, attempt)
        await self._inbox.send_request(self._archive, question, label=label)

    async def _page_read(
        self, envelope: Envelope[ReadHistory], head: Head, attempt: int, outcome: Outcome
    ) -> None:
        self._reading -= 1
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and attempt < MOST_ATTEMPTS:
            await self._read_page(envelope, head, attempt=attempt + 1)
            return
        if outcome.error is not None:
            answer(envelope, Refused(_code_for(outcome.error)))
            return
        entries = [remember(stored) for stored in outcome.unwrap()]
        limits, first = self._services.limits, self._audience.first
        answer(envelope, page_of(envelope.message, head, entries, limits, first=first))

    # The ring is a cache: what nobody uses expires.

    def _ring_used(self) -> None:
        # One timer a room, which looks again where it comes too early: no message sets one anew.
        self._ring_used_at = trio.current_time()
        if not self._ring_expires and len(self._audience.ring):
            self._ring_expires = True
            self._inbox.send_after(self._services.limits.ring_seconds, GoOn(self._expire_ring))

    async def _expire_ring(self) -> None:
        left = self._ring_used_at + self._services.limits.ring_seconds - trio.current_time()
        if left > 0:
            self._inbox.send_after(left, GoOn(self._expire_ring))
            return
        self._ring_expires = False
        self._audience.ring.clear()

    def abandon(self, error: Exception) -> None:
        """This incarnation ends: who waits to get in or to read is told; who published knows."""
        for envelope in self._early:
            envelope.refuse(error)


def _code_for(error: Exception) -> ErrorCode:
    match error:
        case StoreUnavailable() | ActorStopped():
            return ErrorCode.NOT_AVAILABLE
        case ActorCrashed() | NoReply():
            return ErrorCode.INTERNAL
        case bug:
            raise bug
