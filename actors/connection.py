"""A connection: one actor for one client, from the WebSocket handshake to the last byte.

The path in: socket -> trio-websocket (behind `websocket.converse`, the fence) -> this inbox ->
a command -> its room. The path out: a room, or this actor -> the outbox -> socket.
"""

import logging
from typing import Final

import trio

from greenroom.actors.attendance import Attendance
from greenroom.actors.cast import Cast
from greenroom.actors.connection_messages import (
    AuthOverdue,
    Beat,
    ConnectionMessage,
    Ended,
    Expired,
    ExpiryNear,
    FrameIn,
    Opened,
    Opening,
    RejoinSoon,
)
from greenroom.actors.frames import close_frame, frame_of
from greenroom.actors.identity import Identity, Rejected, identify
from greenroom.actors.liveness import Liveness
from greenroom.actors.outbox import Outbox
from greenroom.actors.websocket import converse, size_of
from greenroom.actors.window import Ticket, Window
from greenroom.protocol import (
    Answer,
    Auth,
    CloseCode,
    Command,
    Drain,
    Error,
    Heartbeat,
    History,
    Join,
    Leave,
    Presence,
    Publish,
    Pulse,
    Refresh,
    RefreshOk,
    ServerMachine,
    State,
    TokenExpiring,
    Typing,
)
from greenroom.supervisor import (
    ChildSpec,
    Completion,
    Down,
    Inbox,
    Restart,
    Timer,
)

log = logging.getLogger("greenroom.actors.connection")

REFUSED_SECONDS: Final = 0.5
"""For the HTTP answer to a client that gets no WebSocket; it has had its time."""

INBOX_CAPACITY: Final = 100
"""64 commands, and a few words from elsewhere. Full: our own reader waits; nobody else does."""


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
    async with trio.open_nursery() as nursery:  # for the outbox's flusher alone: it goes last
        host = Host(inbox, stream, opening, cast, nursery)
        task_status.started()
        try:
            await host.serve()
        except Exception:
            host.end(CloseCode.ACTOR_CRASHED)
            raise
        finally:
            host.end(CloseCode.SHUTDOWN)  # unless there is a reason already
            with inbox.grace():
                await host.part()
            nursery.cancel_scope.cancel()


class Host:
    """One client's whole visit."""

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
        self._opening = opening
        self._cast = cast
        self._services = cast.services
        self._limits = limits
        self._conversation = trio.CancelScope()
        self._farewell: bytes | None = None  # what `part` sends last; None: not ending yet
        self._outbox = Outbox(
            stream,
            nursery=nursery,
            received=opening.received,
            limit_bytes=limits.outbox_bytes,
            max_age_seconds=limits.outbox_seconds,
            max_unframed_bytes=2 * limits.max_frame_bytes,
            on_slow=lambda: self.end(CloseCode.SLOW_CONSUMER),
            on_flood=lambda: self.end(CloseCode.MESSAGE_TOO_BIG),
            grace=inbox.grace,
        )
        self._liveness = Liveness(limits, now=trio.current_time())
        self._window = Window(
            max_commands=limits.in_flight_publishes,
            max_bytes=limits.in_flight_bytes,
            on_stop=self._reading_stopped,
            on_go=self._reading_goes_on,
        )
        self._machine: ServerMachine | None = None  # None until the handshake is done
        self._attendance: Attendance | None = None  # None until AUTH
        self._identity: Identity | None = None  # None until AUTH
        self._beating: Timer | None = None

    # From the first byte to the last.

    async def serve(self) -> None:
        """Read and handle until `end` is called."""
        with self._conversation:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                async for message in self._inbox:
                    await self._handle(message)
                    if self._farewell is not None:
                        break  # `end` has cancelled us, but receiving need not be a checkpoint

    def end(self, code: CloseCode | None, *, instead: bytes = b"") -> None:
        """Stop conversing; the first call decides what the client is told.

        May be called from anywhere: by a room, when the outbox finds the client too slow.
        """
        if self._farewell is None:
            opened = self._machine is not None
            self._farewell = close_frame(code, code.reason) if opened and code else instead
            self._liveness.ended(code)
            log.debug("connection %s ends: %s", self._inbox.ref.id, code.reason if code else "")
        self._outbox.seal()
        self._conversation.cancel()

    async def part(self) -> None:
        """Close gates, say goodbye, close the socket: within `close_seconds`."""
        if self._attendance is not None:
            self._attendance.close()
        seconds = self._limits.close_seconds if self._machine else REFUSED_SECONDS
        await self._outbox.finish(self._farewell or b"", seconds=seconds)

    async def _read(self) -> None:
        ending = await converse(
            self._outbox,
            self._limits,
            handshake_until=self._opening.handshake_until,
            on_open=lambda codec: self._inbox.ref.tell(Opened(codec)),
            on_frame=self._on_frame,
        )
        await self._inbox.ref.tell(Ended(ending))

    async def _on_frame(self, frame: str | bytes) -> None:
        ticket = self._window.open(size_of(frame))
        await self._inbox.ref.tell(FrameIn(frame, ticket))
        await self._window.wait_room()

    # What comes in.

    async def _handle(self, message: ConnectionMessage) -> None:
        match message:
            case FrameIn(frame, ticket):
                await self._take(frame, ticket)
            case Completion(label=go_on):
                await go_on(message)
            case Beat():
                self._beat()
            case Down():
                await self._peer_down(message)
            case RejoinSoon(room):
                await self._rooms.rejoin(room)
            case Opened(codec):
                self._machine = ServerMachine(codec)
                self._inbox.send_after(self._limits.auth_seconds, AuthOverdue())
                self._beat()
            case Ended(ending):
                if ending.detail:
                    log.debug("client %s: %.200s", self._opening.peer, ending.detail)
                self.end(ending.close, instead=ending.answer)
            case AuthOverdue():
                if self._attendance is None:
                    self.end(CloseCode.NO_AUTH)
            case ExpiryNear():
                self._say(TokenExpiring(expires=self._known.expires_ms))
            case Expired():
                self.end(CloseCode.TOKEN_EXPIRED)
            case Drain():
                self._say(message)
            case _:
                raise TypeError(f"a connection does not understand {message!r}")

    async def _take(self, frame: str | bytes, ticket: Ticket) -> None:
        assert self._machine is not None  # noqa: S101 - Opened comes before the first frame
        if self._liveness.state is State.UNREACHABLE:
            self._liveness.heard(self._outbox.last_received_at)
        match self._machine.receive(frame):
            case CloseCode() as code:
                self.end(code)
            case Error() as error:
                self._say(error)
                ticket.done()
            case command:
                await self._obey(command, ticket)

    async def _obey(self, command: Command, ticket: Ticket) -> None:
        match command:
            case Publish():
                await self._rooms.publish(command, ticket)
                return
            case Join():
                await self._rooms.join(command, ticket)
                return
            case History():
                await self._rooms.history(command, ticket)
                return
            case Presence():
                await self._rooms.presence(command, ticket)
                return
            case Leave():
                await self._rooms.leave(command)
            case Typing():
                await self._rooms.typing(command)
            case Heartbeat():
                if command.echo is None:
                    now = self._services.now_ms()
                    self._say(Heartbeat(timestamp=now, echo=command.timestamp))
            case Auth():
                await self._authenticate(command)
            case Refresh():
                self._refresh(command)
        ticket.done()

    @property
    def _rooms(self) -> Attendance:
        assert self._attendance is not None  # noqa: S101 - the machine lets nothing by before AUTH
        return self._attendance

    def _say(self, answer: Answer) -> None:
        if self._machine is not None:
            self._outbox.push(frame_of(self._machine.codec, answer))

    # Who it is.

    async def _authenticate(self, command: Auth) -> None:
        assert self._machine is not None  # noqa: S101 - it has just let AUTH by
        identity = await identify(self._inbox, self._cast, command.token)
        if isinstance(identity, Rejected):
            self._say(Error.of(identity.error, id=command.id))
            self.end(identity.close)
            return
        self._machine.authenticated()
        self._liveness.authenticated()
        self._identity = identity
        self._attendance = Attendance(
            self._inbox, self._cast, identity, self._machine.codec, self._outbox
        )
        if command.id is not None:
            self._say(identity.auth_ok(command.id))

    def _refresh(self, command: Refresh) -> None:
        identity = self._known
        rejected = identity.renew(command.token)
        if rejected is not None:
            self._say(Error.of(rejected.error, id=command.id))
        elif command.id is not None:
            self._say(RefreshOk(id=command.id, expires=identity.expires_ms))

    @property
    def _known(self) -> Identity:
        assert self._identity is not None  # noqa: S101 - the machine lets nothing by before AUTH
        return self._identity

    # Who is gone.

    async def _peer_down(self, down: Down) -> None:
        if down.ref is self._cast.registry:
            await self._known.announce_again()
        elif self._attendance is not None:
            await self._attendance.room_down(down)

    def _beat(self) -> None:
        """Ask what the silence means, and come back when there may be more of it."""
        self._liveness.heard(self._outbox.last_received_at)
        match self._liveness.poll(trio.current_time()):
            case Pulse.GIVE_UP:
                self.end(CloseCode.NO_HEARTBEAT)
            case Pulse.SEND_HEARTBEAT:
                self._say(Heartbeat(timestamp=self._services.now_ms()))
            case Pulse.UNREACHABLE:
                log.debug("client %s is %s", self._opening.peer, self._liveness.state.name)
            case Pulse.NOTHING:
                pass
        self._arm_beat()

    def _arm_beat(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        seconds = max(0.0, self._liveness.next_at - trio.current_time())
        self._beating = self._inbox.send_after(seconds, Beat())

    def _reading_stopped(self) -> None:
        self._liveness.reading_stopped(trio.current_time())

    def _reading_goes_on(self) -> None:
        self._liveness.reading_goes_on(trio.current_time())
        self._arm_beat()
