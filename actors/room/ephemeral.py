"""The history of an ephemeral room: none. Offsets live as long as the actor; delivery at most once.

The ring still serves those who reconnect quickly and those who ask for the newest messages; and as
long as it has a message, a PUBLISH repeated under its key after a reconnect is not said twice.
"""

from collections.abc import Sequence
from itertools import islice

import attrs

from greenroom.actors.cast import Cast
from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Said
from greenroom.actors.ledger import RoomLedger
from greenroom.actors.ports import Head
from greenroom.actors.room import recovery
from greenroom.actors.room.audience import Audience
from greenroom.actors.room.history import answer
from greenroom.actors.room.messages import (
    Admitted,
    JoinRoom,
    ReadHistory,
)
from greenroom.actors.room.paging import check_position, page_of
from greenroom.actors.room.recovery import Lost, Recovered
from greenroom.actors.room.ring import Remembered
from greenroom.protocol import ErrorCode, GapReason, Message
from greenroom.supervisor import Envelope


class EphemeralHistory:
    """Numbers messages itself, acknowledges at once."""

    def __init__(self, room: str, audience: Audience, cast: Cast, ledger: RoomLedger) -> None:
        self._room = room
        self._audience = audience
        self._services = cast.services
        self._ledger = ledger
        self._feed = cast.callbacks
        self._said: dict[tuple[str, str], Message] = {}  # {(user, key): message}, oldest first

    durable = False
    idle = True

    async def start(self) -> None:
        """Begin a new epoch: nobody knows any more what the last one held."""
        self._audience.stand_at(Head(self._services.new_id(48), 0))

    async def publish(self, said: Sequence[Said]) -> None:
        """Number, send and acknowledge; only the last, what was said under the same key before."""
        entries: list[Remembered] = []
        senders: list[Subscription | None] = []
        audience = self._audience
        head = audience.head
        timestamp = self._services.now_ms()
        self._ledger.published += len(said)
        for one in said:
            place = (one.member.user, one.key)
            known = self._said.get(place)
            if known is not None:
                self._repeat(known, one)
                continue
            offset = head.offset + len(entries) + 1
            message = Message(
                room=self._room,
                epoch=head.epoch,
                offset=offset,
                message_id=offset,
                user=one.member.user,
                content=one.content,
                timestamp=timestamp,
            )
            entries.append(Remembered(message, one.key))
            senders.append(None if one.echo else one.member)
            self._said[place] = message
            audience.acknowledge(one, message, status=1, duplicate=False)
        self._ledger.accepted += len(entries)
        if entries:
            self._feed.sent(entries)
            await audience.deliver(entries, senders)
            self._forget()
        else:
            audience.write_acks()

    def _repeat(self, known: Message, said: Said) -> None:
        if said.content == known.content:
            self._ledger.accepted += 1
            self._audience.acknowledge(said, known, status=1, duplicate=True)
        else:
            self._ledger.refused[ErrorCode.KEY_CONFLICT.message] += 1
            said.refuse(ErrorCode.KEY_CONFLICT)

    def _forget(self) -> None:
        """Know the keys of as many messages as the room remembers, and at most of an eighth more.

        Not of one after the other: the first of a dictionary is behind all that were deleted.
        """
        remembered = len(self._audience.ring)
        excess = len(self._said) - remembered
        if excess > remembered // 8:
            for place in list(islice(self._said, excess)):
                del self._said[place]

    async def join(self, envelope: Envelope[JoinRoom]) -> None:
        """Let the member in, with what the ring still has."""
        request = envelope.message
        limits = self._services.limits
        audience = self._audience
        plan = recovery.plan(
            request.position,
            audience.head,
            audience.ring,
            max_messages=limits.max_recovered_messages,
            max_bytes=limits.answer_bytes,
            may_read=request.may_read,
            first=audience.ring.first_offset or 1,
            forgotten=GapReason.DROPPED,
        )
        outcome: Recovered | Lost
        if isinstance(plan, recovery.MustRead):
            outcome = Lost(GapReason.DROPPED, plan.after + 1, audience.head.offset)
        else:
            outcome = plan
        if request.member.state is not SubscriptionState.CLOSED:
            audience.admit(request, outcome)
        answer(envelope, Admitted(audience.incarnation))

    async def read(self, envelope: Envelope[ReadHistory]) -> None:
        """Answer from the ring; what is older is gone."""
        request = envelope.message
        head = self._audience.head
        refused = check_position(request, head)
        if refused is not None:
            answer(envelope, refused)
            return
        first = request.since.offset + 1 if request.since is not None else 1
        end = request.before.offset if request.before is not None else head.offset + 1
        entries = [e for e in self._audience.ring if first <= e.message.offset < end]
        page = page_of(request, head, entries, self._services.limits)
        oldest = self._audience.ring.first_offset
        if page.messages and request.since is None and page.messages[0].offset == oldest:
            page = attrs.evolve(page, more=False)  # what was before that is gone
        answer(envelope, page)

    def abandon(self, error: Exception) -> None:
        """Nobody ever waits here."""
