"""One connection's places in its rooms: taking one, getting back in after a crash, giving it up.

Whether a place may be taken is decided before, in `entrance`. A room's answer, and word of its end,
come as messages to the connection; each answer is labelled with the method that goes on with it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import attrs

from greenroom.actors.cast import Cast
from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.identity import Identity
from greenroom.actors.connection.messages import RejoinSoon
from greenroom.actors.connection.meter import Meter
from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Voice
from greenroom.actors.connection.window import Ticket
from greenroom.actors.registry import NoRoom, OpenRoom
from greenroom.actors.rights.access import RoomPolicy, Source
from greenroom.actors.room.messages import Admitted, JoinRoom, LeaveRoom, PublishTo, Refused
from greenroom.protocol import Error, ErrorCode, Join, Position, Removed, Right, Rights
from greenroom.supervisor import (
    ActorCrashed,
    ActorStopped,
    Completion,
    Down,
    Inbox,
    NoReply,
    Ref,
)

MOST_ATTEMPTS: Final = 8
"""A command that crashed its room this often is ERROR 100."""
REJOIN_SECONDS: Final = 1.0
"""After a room could not take its members back, the time until the next try."""

Outcome = Completion[Any, Any]  # Any: labels and values of all our questions


@attrs.define(eq=False)
class Place:
    """This connection's place in one room."""

    member: Subscription
    voice: Voice
    join: Join
    """The command that made it; repeated while the room has not answered it."""
    policy: RoomPolicy
    rights: Rights
    """Of the token in force, or the gate's last answer."""
    source: Source
    """Where these are from: a token that says something else ends them."""


class Places:
    """All places of one connection, and what it has said in rooms that have not answered yet."""

    __slots__ = ("_cast", "_client", "_identity", "_inbox", "_meter", "_taken", "_voices", "get")

    def __init__(
        self, inbox: Inbox[Any], cast: Cast, identity: Identity, client: Answering, meter: Meter
    ) -> None:
        self._inbox = inbox
        self._cast = cast
        self._identity = identity
        self._client = client
        self._meter = meter
        self._taken: dict[str, Place] = {}  # {room: place}; bounded in `entrance`
        self.get: Callable[[str], Place | None] = self._taken.get
        """The place in a room, if there is one; each PUBLISH asks."""
        # {room: voice}, while there is a place or a PUBLISH under way: it outlives a LEAVE.
        self._voices: dict[str, Voice] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._taken.values())

    def close(self, *, goodbye: bool) -> None:
        """Let nothing of any room pass any more: the connection ends, for good or not."""
        for place in self._taken.values():
            place.member.goodbye = goodbye
            place.member.close()

    def dissolve(self) -> None:
        """Forget all places and voices, which refer back here; nobody asks for them after the end.

        A room may still answer what was said in it.
        """
        self._taken.clear()
        self._voices.clear()

    async def take(
        self, command: Join, policy: RoomPolicy, rights: Rights, source: Source, ticket: Ticket
    ) -> None:
        """Find the room and ask it in; the room itself writes JOIN_OK."""
        name = command.room
        room = await self._find(name)
        if room is None:
            self._client.refuse(command.id, ErrorCode.NOT_AVAILABLE, ticket)
            return
        member = Subscription(
            room=name,
            user=self._identity.claims.subject,
            session=self._identity.session.id,
            connection=self._inbox.ref,
            codec=self._client.codec,
            outbox=self._client.outbox,
        )
        voice = self._voice_in(name, room, policy)
        place = self._taken[name] = Place(member, voice, command, policy, rights, source)
        await self._enter(voice, member, place, ticket)

    def _voice_in(self, name: str, room: Ref[Any], policy: RoomPolicy) -> Voice:
        """A voice for a new place: one that has no answers yet from before a LEAVE goes on."""
        voice = self._voices.get(name)
        if voice is None:
            voice = Voice(
                name,
                room,
                stored=policy.stored,
                on_quiet=self._drop_if_quiet,
                on_put_off=self._meter.put_off,
            )
            self._voices[name] = voice
        elif voice.room is not room:
            voice.lost()
            voice.room = room
        return voice

    async def _find(self, name: str) -> Ref[Any] | None:
        """The room's actor: known, or opened by the registry."""
        for _ in range(MOST_ATTEMPTS):
            room = self._cast.rooms.find(name)
            if room is not None:
                return room
            try:
                return await self._cast.registry.ask(OpenRoom(name, self._meter.address))
            except (ActorCrashed, NoReply):
                continue
            except (ActorStopped, NoRoom):
                break
        return None

    async def _enter(
        self, voice: Voice, member: Subscription, place: Place | None, ticket: Ticket | None = None
    ) -> None:
        """Ask the room in: for the first time, or again after it crashed or ended.

        The room is watched from its answer on; until then the request's own outcome tells.
        """
        if place is not None and member.state is SubscriptionState.JOINING:
            request = JoinRoom(
                member=member,
                id=place.join.id,
                since=place.join.since,
                may_read=Right.READ in place.rights,
            )
        elif member.state is SubscriptionState.CLOSED:  # left, with PUBLISHes under way
            request = JoinRoom(member=member)
        else:
            since = Position(member.epoch, member.next_offset - 1)
            request = JoinRoom(member=member, since=since)
        label = partial(self._entered, voice, member, ticket)
        await self._inbox.send_request(voice.room, request, label=label)

    async def _entered(
        self, voice: Voice, member: Subscription, ticket: Ticket | None, outcome: Outcome
    ) -> None:
        if ticket is not None:
            ticket.done()
        if self._voices.get(voice.name) is not voice:
            return  # left meanwhile, and nothing said that has no answer
        match outcome.error:
            case ActorCrashed() | ActorStopped() | NoReply():
                await self._enter_again(voice)
                return
            case None:
                answer: Admitted | Refused = outcome.unwrap()
            case _:
                answer = Refused(ErrorCode.INTERNAL)
        if isinstance(answer, Refused):
            self._not_let_in(voice, member, answer.code)
        elif self._inbox.watch(voice.room) != answer.incarnation:
            await self._enter_again(voice)  # it has crashed since
        else:
            voice.term = answer.incarnation
            await send_unsent(voice)

    def _not_let_in(self, voice: Voice, member: Subscription, code: ErrorCode) -> None:
        if member.state is SubscriptionState.OPEN and code.temporary:
            self._inbox.send_after(REJOIN_SECONDS, RejoinSoon(voice.name))
            voice.refuse(code)
            return
        place = self._taken.get(voice.name)
        if place is not None and place.member is member:
            was_open = member.was_open
            self._drop(place)
            if was_open:
                self._client.say(Removed(room=member.room, code=code, rejoin=code.temporary))
            else:
                self._client.say(Error.of(code, id=place.join.id))
        voice.refuse(code if member.was_open else ErrorCode.NOT_JOINED, of=member)
        if not voice.term and voice.name not in self._taken:
            voice.refuse(code)  # what was said before a LEAVE, which nobody asks in again now

    async def room_down(self, down: Down) -> None:
        """A room has crashed, or ended: get back in, and miss nothing."""
        for voice in self._voices.values():
            if voice.room is down.ref:
                await self._enter_again(voice)
                return

    async def rejoin(self, name: str) -> None:
        """Enter again where this connection left off, unless a LEAVE and a JOIN have done so."""
        voice = self._voices.get(name)
        if voice is not None and not voice.term:
            await self._enter_again(voice)

    async def _enter_again(self, voice: Voice) -> None:
        voice.lost()
        place = self._taken.get(voice.name)
        if place is None and not voice.unanswered:
            return
        room = await self._find(voice.name)
        if room is None:
            voice.refuse(ErrorCode.NOT_AVAILABLE)
            if place is not None:
                self._inbox.send_after(REJOIN_SECONDS, RejoinSoon(voice.name))
            return
        voice.room = room
        if place is not None:
            await self._enter(voice, place.member, place)
        else:
            await self._enter(voice, next(reversed(voice.unanswered)).member, None)

    async def give_up(self, place: Place, code: ErrorCode) -> None:
        """Leave the room; `code` answers a JOIN that it has not answered."""
        if place.member.state is SubscriptionState.JOINING:
            self.overtake(place.join, code)
        self._drop(place)
        await place.voice.room.tell(LeaveRoom(place.member))

    def overtake(self, join: Join, code: ErrorCode) -> None:
        """Answer a JOIN that nobody else will answer now."""
        if join.id is not None:
            self._client.say(Error.of(code, id=join.id))

    def _drop(self, place: Place) -> None:
        place.member.close()
        del self._taken[place.member.room]
        self._drop_if_quiet(place.voice)

    def _drop_if_quiet(self, voice: Voice) -> None:
        """Watch a room no longer than there is a place in it, or an answer due from it."""
        if voice.name not in self._taken and not voice.unanswered:
            if self._voices.get(voice.name) is voice:
                del self._voices[voice.name]
            self._inbox.unwatch(voice.room)


async def send_unsent(voice: Voice) -> None:
    """Send a room what has waited for it, waiting for places in its inbox."""
    while voice.term and voice.unsent:
        said = voice.unsent[0]
        await voice.room.tell(PublishTo(said, voice.term))
        if voice.unsent and voice.unsent[0] is said:
            del voice.unsent[0]
