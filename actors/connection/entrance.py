"""Who comes into a room and who has to go, as a connection sees it: JOIN, LEAVE, another token.

The decision is made by `access`, from the token or from what the gate says; the gate is asked
through the doorkeeper, and its answer is labelled with the method that goes on with it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs

from greenroom.actors.cast import Cast
from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.identity import Identity
from greenroom.actors.connection.places import MOST_ATTEMPTS, Outcome, Place, Places
from greenroom.actors.connection.window import Ticket
from greenroom.actors.ports import GateUnavailable
from greenroom.actors.rights.access import RoomPolicy, Source, refusal, rights_in, source_of
from greenroom.actors.rights.doorkeeper import AskRights
from greenroom.protocol import Error, ErrorCode, Join, Leave, Ok, Removed, Right, Rights
from greenroom.supervisor import ActorCrashed, ActorStopped, Inbox, NoReply


@attrs.frozen(eq=False)
class Knock:
    """A JOIN that waits for the gate."""

    command: Join
    policy: RoomPolicy
    ticket: Ticket
    attempt: int = 1


class Entrance:
    """The doors of all rooms, for one connection."""

    __slots__ = ("_cast", "_client", "_identity", "_inbox", "_knocks", "_places")

    def __init__(
        self, inbox: Inbox[Any], cast: Cast, identity: Identity, client: Answering, places: Places
    ) -> None:
        self._inbox = inbox
        self._cast = cast
        self._identity = identity
        self._client = client
        self._places = places
        self._knocks: dict[str, Knock] = {}  # {room: knock}; bounded together with the places

    async def join(self, command: Join, ticket: Ticket) -> None:
        """See who may enter, and take a place for who may.

        Nobody looks for a room before the right to enter it is known: one that exists and one that
        does not answer alike.
        """
        name = command.room
        policy = self._cast.services.policies.of(name)
        if self._places.get(name) is not None or name in self._knocks:
            self._client.refuse(command.id, ErrorCode.ALREADY_JOINED, ticket)
        elif self._is_in_enough_rooms(policy):
            self._client.refuse(command.id, ErrorCode.LIMIT_EXCEEDED, ticket)
        elif (source := source_of(name, policy, self._identity.claims)) is Source.GATE:
            await self._knock(Knock(command, policy, ticket))
        else:
            rights = rights_in(name, policy, self._identity.claims)
            await self._let_in(command, policy, rights, source, ticket)

    def _is_in_enough_rooms(self, policy: RoomPolicy) -> bool:
        limits = self._cast.services.limits
        if len(self._places) + len(self._knocks) >= limits.max_rooms_per_connection:
            return True
        most = policy.max_rooms_per_connection
        if most is None:
            return False
        policies = [place.policy for place in self._places]
        policies += [knock.policy for knock in self._knocks.values()]
        return sum(each is policy for each in policies) >= most

    async def _knock(self, knock: Knock) -> None:
        """Ask the gate; the client may go on meanwhile, but is not in the room yet."""
        self._knocks[knock.command.room] = knock
        await self._ask_gate(knock.command.room, partial(self._answered_at_gate, knock))

    async def _ask_gate(self, room: str, label: Callable[[Outcome], Awaitable[None]]) -> None:
        request = AskRights(room, self._identity.claims.subject)
        await self._inbox.send_request(self._cast.doorkeeper, request, label=label)

    async def _answered_at_gate(self, knock: Knock, outcome: Outcome) -> None:
        name = knock.command.room
        if self._knocks.get(name) is not knock:
            knock.ticket.done()  # left meanwhile
            return
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and knock.attempt < MOST_ATTEMPTS:
            await self._knock(attrs.evolve(knock, attempt=knock.attempt + 1))
            return
        del self._knocks[name]
        match outcome.error:
            case None:
                # Under the token that is in force now.
                claims = self._identity.claims
                rights = rights_in(name, knock.policy, claims, answer=outcome.value)
                source = source_of(name, knock.policy, claims)
                await self._let_in(knock.command, knock.policy, rights, source, knock.ticket)
            case GateUnavailable() | ActorStopped():
                self._client.refuse(knock.command.id, ErrorCode.NOT_AVAILABLE, knock.ticket)
            case _:
                self._client.refuse(knock.command.id, ErrorCode.INTERNAL, knock.ticket)

    async def _let_in(
        self, command: Join, policy: RoomPolicy, rights: Rights, source: Source, ticket: Ticket
    ) -> None:
        refused = refusal(Right.JOIN, rights)
        if refused is not None:
            self._client.refuse(command.id, refused, ticket)
        else:
            await self._places.take(command, policy, rights, source, ticket)

    async def leave(self, command: Leave) -> None:
        """Close the subscription, then tell the room."""
        place = self._places.get(command.room)
        knock = self._knocks.pop(command.room, None)
        if place is not None:
            await self._places.give_up(place, ErrorCode.NOT_JOINED)
        elif knock is not None:
            self._places.overtake(knock.command, ErrorCode.NOT_JOINED)
        else:
            self._client.say(Error.of(ErrorCode.NOT_JOINED, id=command.id))
            return
        if command.id is not None:
            self._client.say(Ok(id=command.id))

    # Another token.

    async def reconsider(self) -> None:
        """Another token is in force: leave the rooms that it does not open."""
        claims = self._identity.claims
        for place in list(self._places):
            name = place.member.room
            source = source_of(name, place.policy, claims)
            if source is Source.GATE:
                await self._ask_gate(name, partial(self._answered_again, place, 1))
            else:
                await self._change(place, rights_in(name, place.policy, claims), source)

    async def _answered_again(self, place: Place, attempt: int, outcome: Outcome) -> None:
        name = place.member.room
        if self._places.get(name) is not place:
            return
        if isinstance(outcome.error, (ActorCrashed, NoReply)) and attempt < MOST_ATTEMPTS:
            await self._ask_gate(name, partial(self._answered_again, place, attempt + 1))
            return
        claims = self._identity.claims
        source = source_of(name, place.policy, claims)
        if outcome.error is None:
            rights = rights_in(name, place.policy, claims, answer=outcome.value)
            await self._change(place, rights, source)
        elif source is Source.GATE and place.source is not Source.GATE:
            # The token that let it in is not in force any more, and nobody else has let it in.
            await self._remove(place, ErrorCode.NOT_AVAILABLE)
        # Else it stays as it is: a gate that is away removes nobody whom it has let in.

    async def _change(self, place: Place, rights: Rights, source: Source) -> None:
        place.rights, place.source = rights, source
        refused = refusal(Right.JOIN, rights)
        if refused is not None:
            await self._remove(place, refused)

    async def _remove(self, place: Place, code: ErrorCode) -> None:
        was_open = place.member.was_open
        await self._places.give_up(place, code)
        if was_open:
            room = place.member.room
            self._client.say(Removed(room=room, code=code, rejoin=code.temporary))
