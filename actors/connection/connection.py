"""A connection: one actor for one client, from the WebSocket handshake to the last byte.

The path in: socket -> `intake`, which reads and cuts -> `dialogue`, which obeys at once -> a room's
inbox. What has to wait for somebody (AUTH, JOIN, HISTORY) stands in line instead, and everything
behind it too; this actor works that off between two messages of its inbox. The path out: a room, or
this actor -> the outbox -> socket.
"""

import logging
import math
from contextlib import suppress
from typing import Final

import trio

from greenroom.actors.cast import Cast
from greenroom.actors.connection.dialogue import Dialogue
from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader
from greenroom.actors.connection.frames import close_frame
from greenroom.actors.connection.intake import Intake
from greenroom.actors.connection.liveness import Liveness
from greenroom.actors.connection.messages import ConnectionMessage, Opening, WorkWaits
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.websocket import shake_hands
from greenroom.actors.connection.window import Ticket, Window
from greenroom.actors.roll import Visitor
from greenroom.actors.sessions import is_goodbye
from greenroom.protocol import CloseCode, Codec, Command, Pulse
from greenroom.supervisor import ChildSpec, Completion, Inbox, InboxFull, Restart

log = logging.getLogger("greenroom.actors.connection")

REFUSED_SECONDS: Final = 0.5
"""For the HTTP answer to a client that gets no WebSocket; it has had its time."""

INBOX_CAPACITY: Final = 100
"""Words from elsewhere, which are few: what the client says does not come this way."""


def connection_spec(
    stream: trio.abc.Stream, opening: Opening, cast: Cast
) -> ChildSpec[ConnectionMessage]:
    """One connection's recipe: never restarted, a socket has only one life.

    Once started, the actor owns `stream` and closes it.
    """
    return ChildSpec(
        id=cast.services.new_id(),
        start=connection,
        args=(stream, opening, cast),
        restart=Restart.TEMPORARY,
        shutdown_seconds=cast.services.limits.close_seconds + 1.0,
        inbox_capacity=INBOX_CAPACITY,
        dead_letters=False,  # all that comes is for its client, who is gone then
    )


async def connection(
    inbox: Inbox[ConnectionMessage],
    stream: trio.abc.Stream,
    opening: Opening,
    cast: Cast,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Converse with the client until one side has enough, then close within bounds. Start here."""
    # Holds the outbox's flusher, which has a grace of its own; its scope is the conversation's.
    async with trio.open_nursery() as nursery:
        host = Host(inbox, stream, opening, cast, nursery)
        cast.services.roll.enter(inbox.ref.id, host)
        task_status.started()
        try:
            await host.serve()
        except Exception:
            host.end(CloseCode.ACTOR_CRASHED)
            raise
        finally:
            host.end(CloseCode.SHUTDOWN)  # unless there is a reason already
            try:
                with inbox.grace():
                    await host.part()
            finally:
                # Not before: until then its session may be one that comes back, or not.
                cast.services.bearers.forget(inbox.ref)
                cast.services.roll.leave(inbox.ref.id)
                host.dissolve()


class Host:
    """One client's whole visit."""

    __slots__ = (
        "_address",
        "_beat_slot",
        "_cast",
        "_conversation",
        "_crash",
        "_dialogue",
        "_dissolved",
        "_farewell",
        "_inbox",
        "_intake",
        "_limits",
        "_line",
        "_liveness",
        "_outbox",
        "_peer",
        "_reader",
        "_rung",
        "_services",
        "_since",
        "_token",
        "_window",
    )

    def __init__(
        self,
        inbox: Inbox[ConnectionMessage],
        stream: trio.abc.Stream,
        opening: Opening,
        cast: Cast,
        nursery: trio.Nursery,
    ) -> None:
        limits = cast.services.limits
        self._inbox = inbox
        self._peer = opening.peer
        self._address = opening.address
        self._token = opening.token
        self._since = cast.services.now_ms()
        self._cast = cast
        self._services = cast.services
        self._limits = limits
        self._conversation = nursery.cancel_scope
        self._conversation.deadline = opening.handshake_until
        self._farewell: bytes | None = None  # what `part` sends last; None: not ending yet
        self._outbox = Outbox(
            stream,
            nursery=nursery,
            received=opening.received,
            limit_bytes=limits.outbox_bytes,
            max_age_seconds=limits.outbox_seconds,
            max_unframed_bytes=2 * limits.max_frame_bytes,
            on_slow=lambda: self.end(CloseCode.SLOW_CONSUMER),
            on_flood=lambda: self.end(CloseCode.RATE_LIMITED),
            grace=inbox.grace,
        )
        self._liveness = Liveness(limits, now=trio.current_time())
        self._window = Window(
            max_commands=limits.in_flight_publishes,
            max_bytes=min(limits.in_flight_bytes, limits.max_frame_bytes_before_auth),
            on_stop=self._reading_stopped,
            on_go=self._reading_goes_on,
        )
        self._reader = FrameReader(
            limits.max_frame_bytes_before_auth, max_seconds=limits.message_seconds
        )
        self._intake = Intake(
            self._outbox,
            self._window,
            cast.services.readiness,
            self._reader,
            on_frames=self._on_frames,
            on_message=self._on_message,
            on_end=self._wait_in_line,
            on_crash=self._on_crash,
        )
        # What has to wait, oldest first; the first one is under way. Bounded by the window, as each
        # message has a ticket; behind an ending there is nothing.
        self._line: list[tuple[str | bytes | Command, Ticket] | Ending] = []
        self._rung = False  # whether `_work_off` is due
        self._crash: Exception | None = None  # raised while a message was obeyed at once
        self._dialogue: Dialogue | None = None  # None until the handshake is done
        self._beat_slot: int | None = None  # among the services' beats
        self._dissolved = False  # then `_outbox`, `_window` and `_intake` are gone

    # From the first byte to the last.

    async def serve(self) -> None:
        """Shake hands, then obey until `end` is called."""
        codec = await shake_hands(self._outbox, self._reader)
        if isinstance(codec, Ending):
            self._over(codec)
            return
        self._conversation.deadline = math.inf
        dialogue = self._open(codec)
        if self._intake.needs_task:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._intake.read)
                await self._serve_inbox(dialogue)
        else:
            await self._serve_inbox(dialogue)

    def _open(self, codec: Codec) -> Dialogue:
        self._dialogue = dialogue = Dialogue(
            self._inbox,
            self._cast,
            codec,
            self._outbox,
            self._liveness,
            address=self._address,
            token=self._token,
            end=self.end,
            throw_out=self.throw_out,
            on_auth=self._on_auth,
            on_echo=self._on_echo,
            on_stuck=self._ring,
        )
        self._token = None
        self._arm_beat()
        self._intake.go_on()
        return dialogue

    async def _serve_inbox(self, dialogue: Dialogue) -> None:
        async for message in self._inbox:
            self._services.bearers.enforce()
            match message:
                case WorkWaits():
                    pass
                case Completion(label=go_on):
                    await go_on(message)
                case _:
                    await dialogue.handle(message)
            if self._rung and self._farewell is None:
                await self._work_off(dialogue)
            if self._farewell is not None:
                break  # `end` has cancelled us, but receiving need not be a checkpoint

    def end(
        self, code: CloseCode | None, *, instead: bytes = b"", heard: int | None = None
    ) -> None:
        """Stop conversing; the first call decides what the client is told.

        May be called from anywhere: by a room, when the outbox finds the client too slow; by the
        registry, when another connection takes up the session.
        """
        if self._farewell is None:
            opened = self._dialogue is not None
            self._farewell = close_frame(code, code.reason) if opened and code else instead
            self._liveness.ended(code)
            goodbye = is_goodbye(said=code, heard=heard)
            if self._dialogue is not None:
                self._dialogue.close(goodbye=goodbye)
            log.debug("connection %s ends: %s", self._inbox.ref.id, code.reason if code else "")
        if not self._dissolved:
            self._disarm_beat()
            self._intake.stop()
            self._outbox.seal()
            self._conversation.cancel()

    def throw_out(self, code: CloseCode) -> None:
        """As `end`, of a client whose token is good no more, and whose outbox was silenced for it.

        Where the connection is ending already, its session still does not come back.
        """
        if self._dialogue is not None and is_goodbye(said=code, heard=None):
            self._dialogue.close(goodbye=True)
        self.end(code)

    @property
    def user(self) -> str | None:
        """Who it is; None before AUTH."""
        return None if self._dialogue is None else self._dialogue.user

    def look(self) -> Visitor | None:
        """Describe the visit, for operators; None once it is over."""
        if self._dissolved:
            return None
        return Visitor(
            connection=self._inbox.ref.id,
            address=self._address,
            since=self._since,
            user=self.user,
            rooms=() if self._dialogue is None else self._dialogue.rooms,
            waiting_bytes=self._outbox.waiting_bytes,
        )

    async def part(self) -> None:
        """Say goodbye, close the socket: within `close_seconds`."""
        self._line.clear()  # for the same reason as in `Intake.stop`
        seconds = self._limits.close_seconds if self._dialogue else REFUSED_SECONDS
        await self._outbox.finish(self._farewell or b"", seconds=seconds)

    def dissolve(self) -> None:
        """Let go of the parts, after `part`: they refer back here, to say what happens to them.

        So the last who knows of it frees all of it, and nothing is left to the garbage collector,
        at whose looks everybody stands still.
        """
        self._dissolved = True
        if self._dialogue is not None:
            self._dialogue.dissolve()
            self._dialogue = None
        self._crash = None
        del self._outbox, self._window, self._intake

    def _over(self, ending: Ending) -> None:
        if ending.detail:
            log.debug("client %s: %.200s", self._peer, ending.detail)
        self.end(ending.close, instead=ending.answer, heard=ending.heard)

    # What the client says.

    def _on_frames(self, came: int) -> int:
        dialogue = self._dialogue
        assert dialogue is not None  # noqa: S101 - reading begins with it
        return dialogue.pay_frames(came)

    def _on_message(self, frame: str | bytes, ticket: Ticket) -> None:
        """Obey at once, or let it wait in its turn. Called by the intake, in whatever task."""
        if self._line:
            self._line.append((frame, ticket))
            return
        dialogue = self._dialogue
        assert dialogue is not None  # noqa: S101 - reading begins with it
        command = dialogue.hear(frame, ticket)
        if command is not None and not dialogue.obey_now(command, ticket):
            self._wait_in_line((command, ticket))

    def _on_auth(self) -> None:
        """It is who it says: it may have all that is its own."""
        self._reader.max_bytes = self._limits.max_frame_bytes
        self._window.widen(self._limits.in_flight_bytes)

    def _wait_in_line(self, item: tuple[Command, Ticket] | Ending) -> None:
        self._line.append(item)
        self._ring()

    def _on_crash(self, error: Exception) -> None:
        self._crash = error
        self._ring()

    def _ring(self) -> None:
        """Have the actor work off what waits."""
        if not self._rung and self._farewell is None:
            self._rung = True
            with suppress(InboxFull):  # then it is awake, and looks after each message
                self._inbox.ref.tell_nowait(WorkWaits())

    async def _work_off(self, dialogue: Dialogue) -> None:
        """Do what could not be done at once, in this actor's own task, then read on.

        Never waits for a place in the window: what gives one back may be in the inbox. Nor does it
        take what comes meanwhile, so that the inbox has its turn whatever the client sends.
        """
        self._rung = False
        if self._crash is not None:
            raise self._crash
        if dialogue.attendance is not None:
            await dialogue.attendance.publishing.send_unsent()
        for _ in range(len(self._line)):
            if self._farewell is not None:
                return
            match self._line[0]:
                case Ending() as ending:
                    self._over(ending)
                case (command, ticket):
                    await dialogue.obey_in_turn(command, ticket)
            del self._line[0]
        if self._line:
            self._ring()
        elif self._farewell is None:
            self._intake.go_on()

    # How long it is silent.

    def _beat(self) -> None:
        """Ask what the silence means. Called in the task of all beats."""
        self._beat_slot = None
        try:
            self._take_pulse()
        except Exception as error:  # noqa: BLE001 - it is another actor's task that runs this
            self._on_crash(error)

    def _take_pulse(self) -> None:
        self._liveness.heard(self._outbox.last_received_at)
        match self._liveness.poll(trio.current_time()):
            case Pulse.GIVE_UP:
                self.end(CloseCode.NO_HEARTBEAT)
            case Pulse.SEND_HEARTBEAT if self._dialogue is not None:
                self._outbox.push(self._services.beats.heartbeat(self._dialogue.codec))
            case Pulse.UNREACHABLE:
                log.debug("client %s is %s", self._peer, self._liveness.state.name)
            case _:
                pass
        if self._farewell is None:
            self._arm_beat()

    def _on_echo(self) -> None:
        """Ask at the time that the answer sets: saves the look when it would be UNREACHABLE."""
        self._liveness.heard(self._outbox.last_received_at)
        self._disarm_beat()
        self._arm_beat()

    def _arm_beat(self) -> None:
        """Come back when there may be more silence."""
        self._beat_slot = self._services.beats.call_at(self._liveness.next_at, self._beat)

    def _disarm_beat(self) -> None:
        if self._beat_slot is not None:
            self._services.beats.forget(self._beat_slot, self._beat)
            self._beat_slot = None

    def _reading_stopped(self) -> None:
        self._liveness.reading_stopped(trio.current_time())

    def _reading_goes_on(self) -> None:
        """The window has room again; called by whoever answered, so the reading is for later."""
        if self._farewell is None:
            self._liveness.reading_goes_on(trio.current_time())
            self._disarm_beat()
            self._arm_beat()
            self._ring()
