"""The history of an ephemeral room: none. Offsets live as long as the actor; delivery at most once.

The ring still serves those who reconnect quickly and those who ask for the newest messages.
"""

from collections.abc import Sequence

import attrs

from greenroom.actors import recovery
from greenroom.actors.audience import Audience
from greenroom.actors.cast import Cast
from greenroom.actors.history import answer
from greenroom.actors.ledger import RoomLedger
from greenroom.actors.paging import check_position, page_of
from greenroom.actors.ports import Head
from greenroom.actors.recovery import Lost, Recovered
from greenroom.actors.ring import Remembered
from greenroom.actors.room_messages import (
    Admitted,
    JoinRoom,
    Published,
    PublishTo,
    ReadHistory,
)
from greenroom.actors.subscription import Gate
from greenroom.protocol import GapReason, Message
from greenroom.supervisor import Envelope


class EphemeralHistory:
    """Numbers messages itself, acknowledges at once."""

    def __init__(self, room: str, audience: Audience, cast: Cast, ledger: RoomLedger) -> None:
        self._room = room
        self._audience = audience
        self._services = cast.services
        self._ledger = ledger

    idle = True

    async def start(self) -> None:
        """Begin a new epoch: nobody knows any more what the last one held."""
        self._audience.head = Head(self._services.new_id(48), 0)

    async def publish(self, envelopes: Sequence[Envelope[PublishTo]]) -> None:
        """Number, send and acknowledge."""
        entries: list[Remembered] = []
        head = self._audience.head
        timestamp = self._services.now_ms()
        for offset, envelope in enumerate(envelopes, start=head.offset + 1):
            request = envelope.message
            message = Message(
                room=self._room,
                epoch=head.epoch,
                offset=offset,
                message_id=offset,
                user=request.member.user,
                content=request.content,
                timestamp=timestamp,
            )
            entries.append(Remembered(message, request.key))
        self._ledger.published += len(entries)
        self._ledger.accepted += len(entries)
        await self._audience.deliver(
            entries, [None if e.message.echo else e.message.member for e in envelopes]
        )
        for envelope, entry in zip(envelopes, entries, strict=True):
            if envelope.reply_to is not None:
                envelope.reply_to.reply(Published(message=entry.message, status=1, duplicate=False))

    async def join(self, envelope: Envelope[JoinRoom]) -> None:
        """Let the member in, with what the ring still has."""
        request = envelope.message
        limits = self._services.limits
        audience = self._audience
        plan = recovery.plan(
            request.since,
            audience.head,
            audience.ring,
            max_messages=limits.max_recovered_messages,
            max_bytes=limits.answer_bytes,
        )
        outcome: Recovered | Lost
        if isinstance(plan, recovery.MustRead):
            outcome = Lost(GapReason.DROPPED, plan.after + 1, audience.head.offset)
        else:
            outcome = plan
        if request.member.gate is not Gate.CLOSED:
            audience.admit(request, outcome)
        answer(envelope, Admitted())

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
