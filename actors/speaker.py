"""The speaker: says in rooms what the operator's server has to say, without being a member of any.

It takes the way that every PUBLISH takes (a voice, the room, the archive), so what it says is
ordered, stored and told as anything else, and recognised by its key when it is said again. Nobody
sees it come or go, and it needs no right: who may use it, the gate before it decides.
"""

from functools import partial
from typing import Any, Final, cast

import attrs
import trio

from greenroom.actors.cast import Cast, cast_of
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.places import MOST_ATTEMPTS, send_unsent
from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Said, Voice
from greenroom.actors.connection.window import Window
from greenroom.actors.registry import NoRoom, OpenRoom
from greenroom.actors.room.messages import Admitted, JoinRoom, Refused
from greenroom.actors.services import Services
from greenroom.protocol import JSON_CODEC, ErrorCode, Message
from greenroom.supervisor import (
    ActorCrashed,
    ActorStopped,
    ChildSpec,
    Completion,
    Down,
    Inbox,
    NoReply,
    ReplyTo,
    Request,
)

IN_FLIGHT: Final = 256
IN_FLIGHT_BYTES: Final = 4 * 1024 * 1024
"""What is said and has no answer yet; beyond either, more is put off."""
SECONDS_TO_WAIT: Final = 1.0
"""What who is put off for that reason is told."""

Outcome = Completion[Any, Any]  # Any: labels and values of its questions


@attrs.frozen
class Spoken:
    """It is said: stored, or in an ephemeral room sent."""

    message: Message
    status: int
    duplicate: bool
    """The same user has said it in this room before, under the same key."""


@attrs.frozen
class PutOff:
    """Not now: there is too much of it."""

    seconds: float


@attrs.frozen(kw_only=True)
class Speak(Request[Spoken | Refused | PutOff]):
    """Say something in a room. Answered when it is stored, or is known not to be."""

    room: str
    user: str
    key: str
    content: str


SpeakerMessage = Speak | Down | Outcome


def speaker_spec(services: Services) -> ChildSpec[Any]:  # Any: completions' labels and values
    """The speaker's recipe.

    Its inbox holds 1,000 messages; when it is full, who asks waits. In a crash what has no answer
    ends in `ActorCrashed`; who says it again under its key says it once.
    """
    return ChildSpec(id="speaker", start=speaker, args=(services,), inbox_capacity=1_000)


async def speaker(
    inbox: Inbox[SpeakerMessage], services: Services, *, task_status: trio.TaskStatus[None]
) -> None:
    """Take what is to be said, and go on with what rooms answer."""
    lectern = Lectern(inbox, cast_of(inbox.supervisor, services))
    task_status.started()
    while True:
        for envelope in await inbox.receive_batch(100):
            match envelope.message:
                case Speak() as request:
                    await lectern.speak(request, envelope.reply_to)
                case Completion(label=go_on) as outcome:
                    await go_on(outcome)
                case Down(ref=room):
                    await lectern.room_down(room)
                case _:
                    raise TypeError(f"the speaker does not understand {envelope.message!r}")


class Lectern:
    """What one incarnation has said and not heard of."""

    def __init__(self, inbox: Inbox[Any], cast: Cast) -> None:
        self._inbox = inbox
        self._cast = cast
        self._voices: dict[str, Voice] = {}  # {room: voice}, while something has no answer
        self._window = Window(
            max_commands=IN_FLIGHT,
            max_bytes=IN_FLIGHT_BYTES,
            on_stop=lambda: None,
            on_go=lambda: None,
        )

    async def speak(self, request: Speak, reply_to: ReplyTo | None) -> None:
        """Send it to its room, which answers."""
        if reply_to is None or reply_to.answered:
            return
        if self._window.is_full:
            reply_to.reply(PutOff(SECONDS_TO_WAIT))
            return
        voice = self._voices.get(request.room)
        entering = voice is None
        if voice is None:
            room = await self._find(request.room)
            if room is None:
                reply_to.reply(Refused(ErrorCode.NOT_AVAILABLE))
                return
            voice = self._voices[request.room] = Voice(
                request.room,
                room,
                stored=self._cast.services.policies.of(request.room).stored,
                on_quiet=self._drop,
                on_put_off=lambda _room, _seconds: None,
            )
        said = self._statement(voice, request, reply_to)
        voice.unanswered[said] = None
        voice.unsent.append(said)
        if entering:
            await self._enter(voice)
        else:
            await send_unsent(voice)

    def _statement(self, voice: Voice, request: Speak, reply_to: ReplyTo) -> "Statement":
        size = len(request.content.encode())
        member = Subscription(
            room=request.room,
            user=request.user,
            session="",
            connection=self._inbox.ref,
            codec=JSON_CODEC,
            outbox=cast("Outbox", NoOutbox()),
            state=SubscriptionState.CLOSED,
            was_open=True,  # as one that has left, with a PUBLISH under way
        )
        return Statement(
            voice=voice,
            member=member,
            id=None,
            key=request.key,
            content=request.content,
            echo=True,  # no connection of the user has it yet
            ticket=self._window.open(size),
            size=size,
            reply_to=reply_to,
        )

    async def _find(self, name: str) -> Any:  # Any: the room's own messages
        for _ in range(MOST_ATTEMPTS):
            try:
                return self._cast.rooms.find(name) or await self._cast.registry.ask(OpenRoom(name))
            except (ActorCrashed, NoReply):
                continue
            except (ActorStopped, NoRoom):
                break
        return None

    async def _enter(self, voice: Voice) -> None:
        """Learn which incarnation of the room takes what we say."""
        member = next(reversed(voice.unanswered)).member
        label = partial(self._entered, voice)
        await self._inbox.send_request(voice.room, JoinRoom(member=member), label=label)

    async def _entered(self, voice: Voice, outcome: Outcome) -> None:
        if self._voices.get(voice.name) is not voice:
            return
        match outcome.error:
            case ActorCrashed() | ActorStopped() | NoReply():
                await self._enter_again(voice)
                return
            case None:
                answer: Admitted | Refused = outcome.unwrap()
            case _:
                answer = Refused(ErrorCode.INTERNAL)
        if isinstance(answer, Refused):
            voice.refuse(answer.code)
        elif self._inbox.watch(voice.room) != answer.incarnation:
            await self._enter_again(voice)  # it has crashed since
        else:
            voice.term = answer.incarnation
            await send_unsent(voice)

    async def room_down(self, room: object) -> None:
        """A room has crashed, or ended: say again what has no answer."""
        for voice in list(self._voices.values()):
            if voice.room is room:
                await self._enter_again(voice)

    async def _enter_again(self, voice: Voice) -> None:
        voice.lost()
        if not voice.unanswered:
            return
        room = await self._find(voice.name)
        if room is None:
            voice.refuse(ErrorCode.NOT_AVAILABLE)
            return
        voice.room = room
        await self._enter(voice)

    def _drop(self, voice: Voice) -> None:
        """All of it is answered: watch the room no longer."""
        if self._voices.get(voice.name) is voice:
            del self._voices[voice.name]
        self._inbox.unwatch(voice.room)


@attrs.define(eq=False, kw_only=True)
class Statement(Said):
    """Something said that is answered to whoever asked for it, not to a socket."""

    reply_to: ReplyTo
    _outcome: Spoken | Refused | PutOff | None = attrs.field(default=None, init=False)

    def ack(self, message: Message, *, status: int, duplicate: bool) -> bytes:
        """Note what it became; the answer follows when the members have it."""
        self._outcome = Spoken(message, status, duplicate)
        return b""

    def refuse(self, code: ErrorCode) -> None:
        """Answer that it is not said."""
        self._end(Refused(code))

    def put_off(self, seconds: float) -> None:
        """Answer that the room sends too much already."""
        self._end(PutOff(seconds))

    def _end(self, outcome: Refused | PutOff) -> None:
        if not self.answered:
            self._outcome = outcome
            self.finish()

    def finish(self) -> None:
        """Answer; `ack` or `_end` has said what."""
        super().finish()
        self.reply_to.reply(self._outcome)


class NoOutbox:
    """Where a member has no socket. What would go there is dropped, and was answered already."""

    @property
    def last_received_at(self) -> float:
        """Now: it was heard when it said something."""
        return trio.current_time()

    def push(self, frames: bytes) -> bool:  # noqa: ARG002 - an outbox's
        """Drop it."""
        return False
