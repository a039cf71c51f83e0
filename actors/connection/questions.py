"""What a connection's client asks of its rooms: HISTORY and PRESENCE.

Each answer comes to the connection, labelled with the method that goes on with it.
"""

from functools import partial
from typing import Any

import attrs

from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.places import MOST_ATTEMPTS, Outcome, Place, Places
from greenroom.actors.connection.window import Ticket
from greenroom.actors.rights.access import refusal
from greenroom.actors.room.messages import Page, ReadHistory, Refused, WhoIsIn
from greenroom.actors.services import CastLimits
from greenroom.protocol import ErrorCode, History, HistoryOk, Presence, PresenceOk, Right
from greenroom.supervisor import ActorCrashed, ActorStopped, Inbox, NoReply


@attrs.frozen
class Asked:
    """A HISTORY that waits, or is under way."""

    place: Place
    command: History
    ticket: Ticket
    attempt: int = 1


class Questions:
    """One connection's questions; of its HISTORYs only a few are under way at a time."""

    __slots__ = ("_asked", "_client", "_inbox", "_limits", "_places", "_reading")

    def __init__(
        self, inbox: Inbox[Any], limits: CastLimits, client: Answering, places: Places
    ) -> None:
        self._inbox = inbox
        self._limits = limits
        self._client = client
        self._places = places
        self._asked: list[Asked] = []  # bounded by the window: each has a ticket
        self._reading = 0

    async def history(self, command: History, ticket: Ticket) -> None:
        """Ask the room for a page, when not too many are under way."""
        place = self._places.get(command.room)
        if place is None:
            self._client.refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        refused = refusal(Right.READ, place.rights)
        if refused is not None:
            self._client.refuse(command.id, refused, ticket)
            return
        self._asked.append(Asked(place, command, ticket))
        await self._read_next()

    async def _read_next(self) -> None:
        while self._asked and self._reading < self._limits.in_flight_reads:
            self._reading += 1
            await self._read(self._asked.pop(0))

    async def _read(self, asked: Asked) -> None:
        command = asked.command
        request = ReadHistory(
            member=asked.place.member,
            before=command.before,
            since=command.since,
            limit=command.limit,
        )
        label = partial(self._page_read, asked)
        await self._inbox.send_request(asked.place.voice.room, request, label=label)

    async def _page_read(self, asked: Asked, outcome: Outcome) -> None:
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and asked.attempt < MOST_ATTEMPTS:
            await self._read(attrs.evolve(asked, attempt=asked.attempt + 1))
            return
        self._reading -= 1
        self._say_page(asked.command, asked.ticket, _value_of(outcome))
        await self._read_next()

    def _say_page(self, command: History, ticket: Ticket, answer: Page | Refused) -> None:
        if isinstance(answer, Refused):
            self._client.refuse(command.id, answer.code, ticket)
            return
        ticket.done()
        if command.id is not None:
            self._client.say(
                HistoryOk(
                    id=command.id,
                    room=command.room,
                    epoch=answer.epoch,
                    messages=tuple(answer.messages),
                    more=answer.more,
                )
            )

    async def presence(self, command: Presence, ticket: Ticket, attempt: int = 1) -> None:
        """Ask the room who is there."""
        place = self._places.get(command.room)
        if place is None:
            self._client.refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        label = partial(self._present, command, ticket, attempt)
        await self._inbox.send_request(place.voice.room, WhoIsIn(), label=label)

    async def _present(
        self, command: Presence, ticket: Ticket, attempt: int, outcome: Outcome
    ) -> None:
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and attempt < MOST_ATTEMPTS:
            await self.presence(command, ticket, attempt + 1)
            return
        answer = _value_of(outcome)
        if isinstance(answer, Refused):
            self._client.refuse(command.id, answer.code, ticket)
            return
        if len(answer) > self._limits.max_presence_members:
            self._client.refuse(command.id, ErrorCode.LIMIT_EXCEEDED, ticket)
            return
        ticket.done()
        if command.id is not None:
            self._client.say(PresenceOk(id=command.id, room=command.room, members=tuple(answer)))


def _value_of(outcome: Outcome) -> Any:  # Any: what the question's answer is, or Refused
    match outcome.error:
        case None:
            return outcome.value
        case ActorStopped():
            return Refused(ErrorCode.NOT_AVAILABLE)
        case _:
            return Refused(ErrorCode.INTERNAL)
