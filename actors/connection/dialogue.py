"""What one client says once it has its WebSocket, and what that leads to: AUTH, then commands.

A command whose room can take it is obeyed in the task that read it (`obey_now`), any other in its
turn in the connection's own (`obey_in_turn`). What is allowed when, the protocol's machine decides.
"""

from collections.abc import Callable
from typing import Any

from greenroom.actors.cast import Cast
from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.attendance import Attendance
from greenroom.actors.connection.identity import Identity, Rejected, identify
from greenroom.actors.connection.liveness import Liveness
from greenroom.actors.connection.messages import AuthOverdue, ConnectionMessage, RejoinSoon
from greenroom.actors.connection.meter import CHARGED, Meter
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.window import Ticket
from greenroom.protocol import (
    Auth,
    CloseCode,
    Codec,
    Command,
    Drain,
    Error,
    Heartbeat,
    History,
    Join,
    Leave,
    Presence,
    Publish,
    Refresh,
    RefreshOk,
    ServerMachine,
    State,
    TokenExpiring,
    Typing,
)
from greenroom.supervisor import Down, Inbox


class Dialogue:
    """One client's commands.

    Args:
        codec: What the handshake has agreed on.
        address: Where the client is; empty: nobody knows.
        token: What the handshake brought: meant by an AUTH that has none of its own.
        end: Ends the connection.
        throw_out: The same, when the token is good no more.
        on_auth: Called when AUTH has succeeded.
        on_echo: Called when a HEARTBEAT of ours is answered.
        on_stuck: Called when what was said has to be sent to a room by a task that may wait.
    """

    __slots__ = (
        "_auth_overdue",
        "_cast",
        "_client",
        "_end",
        "_goodbye",
        "_identity",
        "_inbox",
        "_liveness",
        "_machine",
        "_meter",
        "_on_auth",
        "_on_echo",
        "_on_stuck",
        "_outbox",
        "_throw_out",
        "_token",
        "attendance",
        "codec",
    )

    def __init__(
        self,
        inbox: Inbox[Any],  # Any: it only asks and watches with it
        cast: Cast,
        codec: Codec,
        outbox: Outbox,
        liveness: Liveness,
        *,
        address: str,
        token: str | None,
        end: Callable[[CloseCode], object],
        throw_out: Callable[[CloseCode], object],
        on_auth: Callable[[], object],
        on_echo: Callable[[], object],
        on_stuck: Callable[[], object],
    ) -> None:
        self._inbox = inbox
        self._cast = cast
        self._machine = ServerMachine(codec)
        self.codec = codec
        self._client = Answering(codec, outbox)
        self._meter = Meter(cast.services.rates, address, self._client, end=end)
        self._outbox = outbox
        self._liveness = liveness
        self._token = token  # None after AUTH: nobody needs it any more
        self._end = end
        self._throw_out = throw_out
        self._on_auth = on_auth
        self._on_echo = on_echo
        self._on_stuck = on_stuck
        self._goodbye: bool | None = None  # None until the connection ends; see `close`
        self._identity: Identity | None = None  # None until AUTH
        self.attendance: Attendance | None = None
        """What it does in rooms; None until AUTH."""
        auth_seconds = cast.services.limits.auth_seconds
        self._auth_overdue = inbox.send_after(auth_seconds, AuthOverdue())

    def close(self, *, goodbye: bool) -> None:
        """Let nothing of any room pass any more: the connection ends, for good or not."""
        self._goodbye = goodbye
        self._meter.close()
        if self.attendance is not None:
            self.attendance.places.close(goodbye=goodbye)
        if self._identity is not None:
            session = self._identity.session
            session.goodbye = goodbye
            if self.attendance is not None and not goodbye:
                session.rooms = tuple(place.member.room for place in self.attendance.places)

    def dissolve(self) -> None:
        """Let go of what refers back to its owner; see `Places.dissolve`."""
        if self.attendance is not None:
            self.attendance.places.dissolve()

    def pay_frames(self, came: int) -> int:
        """Charge the client for its frames; see `Meter`."""
        return self._meter.pay_frames(came)

    def hear(self, frame: str | bytes, ticket: Ticket) -> Command | None:
        """The command in a message; None where there is none, and the client was told so."""
        if self._liveness.state is State.UNREACHABLE:
            self._liveness.heard(self._outbox.last_received_at)
        command = self._machine.receive(frame)
        if isinstance(command, CloseCode):
            self._end(command)
        elif isinstance(command, Error):
            self._client.say(command)
            ticket.done()
        else:
            return command
        return None

    def obey_now(self, command: Command, ticket: Ticket) -> bool:
        """Obey what need not wait for anybody; False if this one has to."""
        match command:
            case Publish():
                attendance = self.attendance
                assert attendance is not None  # noqa: S101 - as in `_rooms`, without a call
                attendance.publishing.publish(command, ticket)
                return True
            case Heartbeat():
                if command.echo is None:
                    now = self._cast.services.now_ms()
                    self._client.say(Heartbeat(timestamp=now, echo=command.timestamp))
                else:
                    self._on_echo()
            case Typing():
                if self._meter.admits(command, ticket):
                    self._rooms.publishing.typing(command)
            case _:
                return False
        ticket.done()
        return True

    async def obey_in_turn(self, said: str | bytes | Command, ticket: Ticket) -> None:
        """Obey what stood in line, in the connection's own task."""
        command = self.hear(said, ticket) if isinstance(said, str | bytes) else said
        if command is not None and not self.obey_now(command, ticket):
            await self._obey(command, ticket)

    async def _obey(self, command: Command, ticket: Ticket) -> None:
        if isinstance(command, CHARGED) and not self._meter.admits(command, ticket):
            return
        match command:
            case Join():
                await self._rooms.entrance.join(command, ticket)
                return
            case History():
                await self._rooms.questions.history(command, ticket)
                return
            case Presence():
                await self._rooms.questions.presence(command, ticket)
                return
            case Leave():
                await self._rooms.entrance.leave(command)
            case Auth():
                await self._authenticate(command)
            case Refresh():
                await self._refresh(command)
            case Publish() | Typing() | Heartbeat():
                raise AssertionError("these need not wait")
        ticket.done()

    @property
    def user(self) -> str | None:
        """Who it is; None before AUTH."""
        return None if self._identity is None else self._identity.claims.subject

    @property
    def rooms(self) -> tuple[str, ...]:
        """Where it is, or is about to be."""
        attendance = self.attendance
        return () if attendance is None else tuple(p.member.room for p in attendance.places)

    # What else there is.

    async def handle(self, message: ConnectionMessage) -> None:
        """Take word from elsewhere, or from a timer."""
        match message:
            case Down():
                await self._peer_down(message)
            case RejoinSoon(room):
                await self._rooms.places.rejoin(room)
            case AuthOverdue():
                if self.attendance is None:
                    self._end(CloseCode.NO_AUTH)
            case Drain():
                self._client.say(message)
            case _:
                raise TypeError(f"a connection does not understand {message!r}")

    @property
    def _rooms(self) -> Attendance:
        assert self.attendance is not None  # noqa: S101 - the machine lets nothing by before AUTH
        return self.attendance

    # Who it is.

    async def _authenticate(self, command: Auth) -> None:
        token = self._token if command.token is None else command.token
        self._token = None
        identity = await identify(
            self._inbox,
            self._cast,
            token,
            session=command.session,
            end=self._end,
            silence=self._outbox.drop_waiting,
            throw_out=self._throw_out,
            warn=self._warn_of_expiry,
        )
        if isinstance(identity, Rejected):
            self._client.say(Error.of(identity.error, id=command.id))
            self._end(identity.close)
            return
        if self._goodbye is not None:  # ended while the registry's answer was on its way
            identity.session.goodbye = self._goodbye
            return
        self._machine.authenticated()
        self._meter.belongs_to(identity.claims.subject)
        self._on_auth()
        self._liveness.authenticated()
        self._identity = identity
        self._auth_overdue.cancel()
        self.attendance = Attendance(
            self._inbox, self._cast, identity, self._client, self._meter, on_stuck=self._on_stuck
        )
        if command.id is not None:
            self._client.say(identity.auth_ok(command.id))

    def _warn_of_expiry(self) -> None:
        """Called in the task that keeps the time for all connections."""
        if self._identity is not None:
            self._client.say(TokenExpiring(expires=self._identity.expires_ms))

    async def _refresh(self, command: Refresh) -> None:
        identity = self._known
        rejected = await identity.renew(command.token)
        if rejected is not None:
            self._client.say(Error.of(rejected.error, id=command.id))
            return
        if command.id is not None:
            self._client.say(RefreshOk(id=command.id, expires=identity.expires_ms))
        await self._rooms.entrance.reconsider()

    @property
    def _known(self) -> Identity:
        assert self._identity is not None  # noqa: S101 - the machine lets nothing by before AUTH
        return self._identity

    # Who is gone.

    async def _peer_down(self, down: Down) -> None:
        if down.ref is self._cast.registry:
            await self._known.announce_again()
        elif self.attendance is not None:
            await self.attendance.places.room_down(down)
