"""The rooms one connection is in, and everything it does there.

The path of a PUBLISH: command -> checked here -> the room's inbox -> completion in the connection's
inbox -> ACK. What takes a round trip is labelled with the method that goes on with it.
"""

from collections import deque
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

import attrs

from greenroom.actors.access import Action, RoomKind, refusal, room_kind
from greenroom.actors.cast import Cast
from greenroom.actors.connection_messages import RejoinSoon
from greenroom.actors.frames import frame_of
from greenroom.actors.identity import Identity
from greenroom.actors.order import Order
from greenroom.actors.outbox import Outbox
from greenroom.actors.registry import NoRoom, OpenRoom
from greenroom.actors.room_messages import (
    JoinRoom,
    LeaveRoom,
    NotYet,
    Page,
    Published,
    PublishTo,
    ReadHistory,
    Refused,
    TypingIn,
    WhoIsIn,
)
from greenroom.actors.subscription import Gate, Subscription
from greenroom.actors.window import Ticket
from greenroom.protocol import (
    Ack,
    Answer,
    Codec,
    Error,
    ErrorCode,
    History,
    HistoryOk,
    Join,
    Leave,
    Ok,
    Position,
    Presence,
    PresenceOk,
    Publish,
    Removed,
    Typing,
)
from greenroom.supervisor import ActorCrashed, ActorStopped, Completion, Down, Inbox, NoReply, Ref

MOST_ATTEMPTS: Final = 8
"""A command that crashed its room this often is ERROR 100."""
REJOIN_SECONDS: Final = 1.0
"""After a room could not take its members back, the time until the next try."""

Outcome = Completion[Any, Any]  # Any: labels and values of all our questions


@attrs.define(eq=False)
class Place:
    """This connection's place in one room."""

    member: Subscription
    room: Ref[Any]
    join: Join
    """The command that made it; repeated while the room has not answered it."""


@attrs.frozen
class Said:
    """A PUBLISH under way."""

    place: Place
    command: Publish
    key: str
    number: int
    """In its member's order."""
    ticket: Ticket
    attempt: int = 1


@attrs.frozen
class Asked:
    """A HISTORY that waits, or is under way."""

    place: Place
    command: History
    ticket: Ticket
    attempt: int = 1


class Attendance:
    """One connection's places, from AUTH to the end."""

    def __init__(
        self, inbox: Inbox[Any], cast: Cast, identity: Identity, codec: Codec, outbox: Outbox
    ) -> None:
        self._inbox = inbox
        self._cast = cast
        self._limits = cast.services.limits
        self._codec = codec
        self._outbox = outbox
        self._places: dict[str, Place] = {}  # {room: place}
        # {room: order}, while a place or a PUBLISH under way has it: it outlives a LEAVE.
        self._orders: WeakValueDictionary[str, Order] = WeakValueDictionary()
        self._identity = identity
        self._asked: deque[Asked] = deque()  # bounded by the window: each has a ticket
        self._reading = 0

    def say(self, answer: Answer) -> None:
        """Send one message to the client."""
        self._outbox.push(frame_of(self._codec, answer))

    def close(self) -> None:
        """Let nothing of any room pass any more."""
        for place in self._places.values():
            place.member.close()

    # JOIN and LEAVE.

    async def join(self, command: Join, ticket: Ticket) -> None:
        """Find the room and ask it in; the room itself writes JOIN_OK."""
        name = command.room
        kind = room_kind(name, ephemeral_prefix=self._cast.services.ephemeral_prefix)
        if name in self._places:
            self._refuse(command.id, ErrorCode.ALREADY_JOINED, ticket)
            return
        if len(self._places) >= self._limits.max_rooms_per_connection:
            self._refuse(command.id, ErrorCode.LIMIT_EXCEEDED, ticket)
            return
        refused = refusal(Action.JOIN, kind, self._identity.claims)
        if refused is not None:
            self._refuse(command.id, refused, ticket)
            return
        room = await self._find(name)
        if room is None:
            self._refuse(command.id, ErrorCode.NOT_AVAILABLE, ticket)
            return
        member = Subscription(
            room=name,
            kind=kind,
            user=self._identity.claims.subject,
            connection=self._inbox.ref,
            codec=self._codec,
            outbox=self._outbox,
            order=self._orders.setdefault(name, Order()),
        )
        place = self._places[name] = Place(member, room, command)
        await self._enter(place, ticket)

    async def _find(self, name: str) -> Ref[Any] | None:
        """The room's actor: known, or opened by the registry."""
        for _ in range(MOST_ATTEMPTS):
            room = self._cast.rooms.find(name)
            if room is not None:
                return room
            try:
                return await self._cast.registry.ask(OpenRoom(name))
            except (ActorCrashed, NoReply):
                continue
            except (ActorStopped, NoRoom):
                break
        return None

    async def _enter(self, place: Place, ticket: Ticket | None = None) -> None:
        """Ask the room in: for the first time, or again after it crashed or ended."""
        member = place.member
        self._inbox.watch(place.room)
        if member.gate is Gate.JOINING:
            request = JoinRoom(member=member, id=place.join.id, since=place.join.since)
        else:
            since = Position(member.epoch, member.next_offset - 1)
            request = JoinRoom(member=member, since=since)
        label = partial(self._entered, place, ticket)
        await self._inbox.send_request(place.room, request, label=label)

    async def _entered(self, place: Place, ticket: Ticket | None, outcome: Outcome) -> None:
        if ticket is not None:
            ticket.done()
        member = place.member
        if self._places.get(member.room) is not place:
            return  # left meanwhile
        match outcome.error:
            case ActorCrashed() | ActorStopped():
                return  # the room's Down is here or on its way, and makes us try again
            case None:
                answer = outcome.value
            case _:
                answer = Refused(ErrorCode.INTERNAL)
        if not isinstance(answer, Refused):
            return
        if member.gate is Gate.OPEN and answer.code.temporary:
            self._inbox.send_after(REJOIN_SECONDS, RejoinSoon(member.room))
            return
        was_open = member.was_open
        self._drop(place)
        if was_open:
            self.say(Removed(room=member.room, code=answer.code, rejoin=answer.code.temporary))
        else:
            self.say(Error.of(answer.code, id=place.join.id))

    async def room_down(self, down: Down) -> None:
        """A room has crashed, or ended: get back in, and miss nothing."""
        for place in self._places.values():
            if place.room is down.ref:
                await self.rejoin(place.member.room)
                return

    async def rejoin(self, name: str) -> None:
        """Enter again where this connection left off."""
        place = self._places.get(name)
        if place is None:
            return
        room = await self._find(name)
        if room is None:
            self._inbox.send_after(REJOIN_SECONDS, RejoinSoon(name))
            return
        place.room = room
        await self._enter(place)

    async def leave(self, command: Leave) -> None:
        """Close the gate, then tell the room."""
        place = self._places.get(command.room)
        if place is None:
            self.say(Error.of(ErrorCode.NOT_JOINED, id=command.id))
            return
        if place.member.gate is Gate.JOINING and place.join.id is not None:
            self.say(Error.of(ErrorCode.NOT_JOINED, id=place.join.id))  # no room will answer it now
        self._drop(place)
        await place.room.tell(LeaveRoom(place.member))
        if command.id is not None:
            self.say(Ok(id=command.id))

    def _drop(self, place: Place) -> None:
        place.member.close()
        del self._places[place.member.room]
        self._inbox.unwatch(place.room)

    # PUBLISH.

    async def publish(self, command: Publish, ticket: Ticket) -> None:
        """Check it and send it to the room, under its key or one of ours."""
        place = self._places.get(command.room)
        if place is None:
            self._refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        if len(command.content.encode()) > self._limits.max_content_bytes:
            self._refuse(command.id, ErrorCode.CONTENT_TOO_LARGE, ticket)
            return
        refused = refusal(Action.PUBLISH, place.member.kind, self._identity.claims)
        if refused is not None:
            self._refuse(command.id, refused, ticket)
            return
        key = command.key or self._cast.services.new_id()
        place.member.unanswered[key] = command.echo
        await self._publish(Said(place, command, key, place.member.order.begin(), ticket))

    async def _publish(self, said: Said) -> None:
        request = PublishTo(
            member=said.place.member,
            number=said.number,
            key=said.key,
            content=said.command.content,
            echo=said.command.echo,
        )
        label = partial(self._published, said)
        await self._inbox.send_request(said.place.room, request, label=label)

    async def _published(self, said: Said, outcome: Outcome) -> None:
        member = said.place.member
        match outcome.error:
            case None:
                answer: Published | Refused | NotYet = outcome.unwrap()
                if isinstance(answer, Published):
                    self._acknowledge(said, answer)
                    return
                if isinstance(answer, NotYet):
                    await self._publish(said)
                    return
                code = answer.code
            case ActorCrashed() | NoReply() if self._may_repeat(said):
                await self._publish(attrs.evolve(said, attempt=said.attempt + 1))
                return
            case ActorStopped():
                code = ErrorCode.NOT_AVAILABLE
            case _:
                code = ErrorCode.INTERNAL
        member.unanswered.pop(said.key, None)
        member.order.finish(said.number)
        self._refuse(said.command.id, code, said.ticket)

    def _may_repeat(self, said: Said) -> bool:
        # Where nothing is stored, no key tells a repetition from a new message.
        ephemeral = said.place.member.kind is RoomKind.EPHEMERAL
        return not ephemeral and said.attempt < MOST_ATTEMPTS

    def _acknowledge(self, said: Said, published: Published) -> None:
        message = published.message
        said.place.member.acknowledged(said.key, message.offset)
        said.place.member.order.finish(said.number)
        said.ticket.done()
        if said.command.id is None:
            return
        self.say(
            Ack(
                id=said.command.id,
                room=message.room,
                message_id=message.message_id,
                epoch=message.epoch,
                offset=message.offset,
                timestamp=message.timestamp,
                status=published.status,
                duplicate=published.duplicate,
            )
        )

    # TYPING, HISTORY, PRESENCE.

    async def typing(self, command: Typing) -> None:
        """Tell the room; errors come without id, as TYPING has none."""
        place = self._places.get(command.room)
        if place is None:
            self.say(Error.of(ErrorCode.NOT_JOINED))
        else:
            await place.room.tell(TypingIn(place.member))

    async def history(self, command: History, ticket: Ticket) -> None:
        """Ask the room for a page, when not too many are under way."""
        place = self._places.get(command.room)
        if place is None:
            self._refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        refused = refusal(Action.READ, place.member.kind, self._identity.claims)
        if refused is not None:
            self._refuse(command.id, refused, ticket)
            return
        self._asked.append(Asked(place, command, ticket))
        await self._read_next()

    async def _read_next(self) -> None:
        while self._asked and self._reading < self._limits.in_flight_reads:
            self._reading += 1
            await self._read(self._asked.popleft())

    async def _read(self, asked: Asked) -> None:
        command = asked.command
        request = ReadHistory(
            member=asked.place.member,
            before=command.before,
            since=command.since,
            limit=command.limit,
        )
        label = partial(self._page_read, asked)
        await self._inbox.send_request(asked.place.room, request, label=label)

    async def _page_read(self, asked: Asked, outcome: Outcome) -> None:
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and asked.attempt < MOST_ATTEMPTS:
            await self._read(attrs.evolve(asked, attempt=asked.attempt + 1))
            return
        self._reading -= 1
        self._say_page(asked.command, asked.ticket, _value_of(outcome))
        await self._read_next()

    def _say_page(self, command: History, ticket: Ticket, answer: Page | Refused) -> None:
        if isinstance(answer, Refused):
            self._refuse(command.id, answer.code, ticket)
            return
        ticket.done()
        if command.id is not None:
            self.say(
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
            self._refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        label = partial(self._present, command, ticket, attempt)
        await self._inbox.send_request(place.room, WhoIsIn(), label=label)

    async def _present(
        self, command: Presence, ticket: Ticket, attempt: int, outcome: Outcome
    ) -> None:
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and attempt < MOST_ATTEMPTS:
            await self.presence(command, ticket, attempt + 1)
            return
        answer = _value_of(outcome)
        if isinstance(answer, Refused):
            self._refuse(command.id, answer.code, ticket)
            return
        if len(answer) > self._limits.max_presence_members:
            self._refuse(command.id, ErrorCode.LIMIT_EXCEEDED, ticket)
            return
        ticket.done()
        if command.id is not None:
            self.say(PresenceOk(id=command.id, room=command.room, members=tuple(answer)))

    def _refuse(self, id: int | None, code: ErrorCode, ticket: Ticket) -> None:
        ticket.done()
        self.say(Error.of(code, id=id))


def _value_of(outcome: Outcome) -> Any:  # Any: what the question's answer is, or Refused
    match outcome.error:
        case None:
            return outcome.value
        case ActorStopped():
            return Refused(ErrorCode.NOT_AVAILABLE)
        case _:
            return Refused(ErrorCode.INTERNAL)
