"""What a client says in its rooms: the way of a PUBLISH out of its connection.

command -> checked here -> the room's inbox -> (stored) -> the room writes the ACK into this
connection's outbox, with what others said in one write. No answer comes as a message: `Down` tells
of a room that can't answer any more, and then all is said again (`voice`).
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.meter import Meter
from greenroom.actors.connection.places import Places, send_unsent
from greenroom.actors.connection.subscription import Subscription
from greenroom.actors.connection.voice import Said, Voice
from greenroom.actors.connection.window import Ticket
from greenroom.actors.rights.access import refusal
from greenroom.actors.room.messages import PublishTo, TypingIn
from greenroom.actors.services import CastLimits
from greenroom.protocol import Error, ErrorCode, Publish, Right, Typing
from greenroom.supervisor import InboxFull, Ref


class Publishing:
    """One connection's PUBLISHes to all its rooms, and its TYPINGs.

    Args:
        ref: The connection's.
        limits: Of which the size of a message counts here.
        client: Who is told why not.
        places: Whoever has no place in a room says nothing there.
        meter: What the connection may still say.
        on_stuck: Called when `send_unsent` has to be, by a task that may wait.
    """

    __slots__ = (
        "_client",
        "_id",
        "_max_content_bytes",
        "_meter",
        "_numbers",
        "_on_stuck",
        "_places",
        "_stuck",
    )

    def __init__(
        self,
        ref: Ref[Any],
        limits: CastLimits,
        client: Answering,
        places: Places,
        meter: Meter,
        *,
        on_stuck: Callable[[], object],
    ) -> None:
        self._id = ref.id
        self._max_content_bytes = limits.max_content_bytes
        self._client = client
        self._places = places
        self._meter = meter
        self._on_stuck = on_stuck
        self._numbers = count(1)
        self._stuck: list[Voice] = []  # rooms whose inboxes were full

    def publish(self, command: Publish, ticket: Ticket) -> None:
        """Send it to its room, which answers. Never waits."""
        content = command.content
        size = len(content) if content.isascii() else len(content.encode())
        meter = self._meter
        if meter.publishes and size <= meter.publish_bytes:
            meter.publishes -= 1
            meter.publish_bytes -= size
        elif not meter.admits_publish(size, command.id, ticket):
            return
        place = self._places.get(command.room)
        if place is None:
            self._client.refuse(command.id, ErrorCode.NOT_JOINED, ticket)
            return
        most = place.policy.max_content_bytes or self._max_content_bytes
        if size > min(most, self._max_content_bytes):
            self._client.refuse(command.id, ErrorCode.CONTENT_TOO_LARGE, ticket)
            return
        refused = refusal(Right.PUBLISH, place.rights)
        if refused is not None:
            self._client.refuse(command.id, refused, ticket)
            return
        self._send(place.voice, place.member, command, size, ticket)

    def _send(
        self, voice: Voice, member: Subscription, command: Publish, size: int, ticket: Ticket
    ) -> None:
        # The connection's id can't be guessed, so neither can a key of ours.
        key = command.key or f"{self._id}-{next(self._numbers)}"
        said = Said(voice, member, command.id, key, command.content, command.echo, ticket, size)
        member.unanswered[key] = command.echo
        voice.unanswered[said] = None
        if voice.may_send:
            try:
                voice.room.tell_nowait(PublishTo(said, voice.term))
            except InboxFull:
                self._stuck.append(voice)
                self._on_stuck()
            else:
                return
        voice.unsent.append(said)

    async def send_unsent(self) -> None:
        """Send what found its room's inbox full, waiting for room there."""
        while self._stuck:
            await send_unsent(self._stuck[0])
            del self._stuck[0]

    def typing(self, command: Typing) -> None:
        """Tell the room, unless it is full: it is a hint. Its errors come without id."""
        place = self._places.get(command.room)
        if place is None:
            self._client.say(Error.of(ErrorCode.NOT_JOINED))
        elif (refused := refusal(Right.PUBLISH, place.rights)) is not None:
            self._client.say(Error.of(refused))
        else:
            with suppress(InboxFull):
                place.voice.room.tell_nowait(TypingIn(place.member))
