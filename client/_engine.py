"""What goes on behind a client: one connection after the other, and what outlives each of them.

The loop is `Engine.run`; rooms keep their own side in `Membership`. Everything here but `run`,
`request` and `refresh` is synchronous, so no two tasks ever see it half changed.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final, TypeAlias, TypeVar, TypeVarTuple, Unpack

import trio

from greenroom.client._connection import Connection
from greenroom.client._errors import ClientClosed, CommandRefused
from greenroom.client._link import Ending
from greenroom.client._membership import Membership
from greenroom.client._pace import Pacemaker
from greenroom.client._request import Request
from greenroom.client._requests import Requests
from greenroom.client._standing import Standing
from greenroom.client._status import Broadcast
from greenroom.client._target import Connector, Target
from greenroom.client._token import Token, TokenSource
from greenroom.protocol import (
    MAX_PUBLISHES_IN_FLIGHT,
    Answer,
    AuthOk,
    Codec,
    Drain,
    Error,
    ErrorCode,
    Event,
    Leave,
    Limits,
    ReconnectPolicy,
    RefreshOk,
    TokenExpiring,
    Typing,
    drain_delay,
    may_reconnect,
    reconnect_delay,
)

R = TypeVar("R")
Ts = TypeVarTuple("Ts")
Notice: TypeAlias = TokenExpiring | Drain | Error
"""A push that is about the connection and no room."""

MOST_TYPINGS_WAITING: Final = 64
"""TYPINGs are hints: while this many frames wait to be written, new ones are dropped."""


class Engine:
    """The background of one client."""

    def __init__(
        self,
        target: Target,
        *,
        token: TokenSource,
        codec: Codec,
        connector: Connector,
        random: Random,
    ) -> None:
        self._target = target
        self._token = Token(token)
        self.codec = codec
        self._connector = connector
        self.random = random
        self._policy = ReconnectPolicy(random)
        self._connection: Connection | None = None  # the one there is, authenticated or not
        self._told_at: float | None = None  # not before this may we come back, says a DRAIN
        self._memberships: dict[str, Membership] = {}
        self._requests = Requests(connection=lambda: self.connection, is_joined=self._is_joined)
        self._joins = Pacemaker(go_on=self._join_on, under_way=self._joins_under_way)
        self._stopped = False
        self._between = trio.CancelScope()  # around what `run` does without a connection
        self._failure: ClientClosed | None = None
        self._failure_told = False
        self.publish_slots = trio.Semaphore(MAX_PUBLISHES_IN_FLIGHT)
        """One for each PUBLISH that waits for its ACK; with none left, `publish` waits."""
        self.standing = Standing()
        self.notices = Broadcast[Notice]()
        self.welcome: AuthOk | None = None
        """The latest AUTH_OK."""

    # The loop.

    async def run(self) -> None:
        """Keep a connection until `stop` or until the node wants no more of us."""
        try:
            while self._begin_try():
                ending = await self._connect_once()
                if self._is_over(ending):
                    return
                wait = self._policy.disconnected(
                    trio.current_time(), told_seconds=self._told_seconds(ending)
                )
                self.standing.move(
                    Event.LOST,
                    detail=ending.detail,
                    close_code=ending.close_code,
                    retry_at=trio.current_time() + wait,
                )
                await self._between_connections(trio.sleep, wait)
        except Exception as error:  # noqa: BLE001 - told to the user by every operation, as one error
            self._fail(Ending(detail="the client failed", cause=error))

    def _begin_try(self) -> bool:
        """Say that a try begins; False if the user has closed the client meanwhile."""
        if self.standing.is_closed:
            return False
        self.standing.retrying()
        return True

    async def _connect_once(self) -> Ending:
        try:
            token = await self._between_connections(self._token.get)
        except Exception as error:  # noqa: BLE001 - the user's code; it becomes the cause
            return Ending(detail="no token could be had", final=True, cause=error)
        if token is None:
            return Ending(detail="closed", final=True)
        session = self.welcome.session if self.welcome is not None else None
        self._connection = Connection(
            self._target, connector=self._connector, codec=self.codec, owner=self
        )
        ending = await self._connection.run(token, session)
        self._requests.lost(self._connection.lost())
        self._connection = None
        self._token.disconnected()
        for membership in self._memberships.values():
            membership.disconnected()
        return ending

    async def _between_connections(
        self, fn: Callable[[Unpack[Ts]], Awaitable[R]], *args: *Ts
    ) -> R | None:
        """Wait for something while there is no connection; None if `stop` cut it short."""
        with trio.CancelScope() as self._between:
            if not self._stopped:
                return await fn(*args)
        return None

    def _is_over(self, ending: Ending) -> bool:
        """Whether no connection follows the one that ended so; if it is not our own doing, fail."""
        if self.standing.is_closed:
            return True
        stale = ending.token_expired and self._token.is_fixed
        if ending.final or stale or not may_reconnect(ending.close_code):
            self._fail(ending)
            return True
        return False

    def _told_seconds(self, ending: Ending) -> float | None:
        """What the node said about when to come back, if it did."""
        told_at, self._told_at = self._told_at, None
        if ending.retry_after_seconds is not None:
            return ending.retry_after_seconds
        return None if told_at is None else max(0.0, told_at - trio.current_time())

    # Leaving.

    def stop(self) -> None:
        """The user closes the client: say goodbye and end `run`. What waits ends with an error."""
        self._stopped = True
        self._between.cancel()
        if self._connection is not None:
            self._connection.end(Ending(detail="closed", final=True))
        if not self.standing.is_closed:
            self._end(Ending(detail="closed"))

    def _fail(self, ending: Ending) -> None:
        if self._stopped:
            return
        error = ClientClosed(ending.detail, ending.close_code, ending.http_status)
        error.__cause__ = ending.cause
        self._failure = error
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        self.standing.move(Event.ENDED, detail=ending.detail, close_code=ending.close_code)
        if self._requests.fail(self.closed_error):
            self._failure_told = True  # by `wait`, which somebody does for each request
        for membership in list(self._memberships.values()):
            membership.end(self.closed_error())
        self.notices.end()

    def closed_error(self) -> Exception:
        """What every operation raises once the client is CLOSED."""
        if self._failure is None:
            return trio.ClosedResourceError("the client was closed")
        error = ClientClosed(*self._failure.args)  # each task raises its own, with its traceback
        error.__cause__ = self._failure.__cause__
        return error

    def check_open(self) -> None:
        """Raise unless the client may still connect."""
        if self.standing.is_closed:
            self._failure_told = True
            raise self.closed_error()

    def raise_untold_failure(self) -> None:
        """Raise the error that ended the client, unless an operation has raised it before."""
        if self._failure is not None and not self._failure_told:
            raise self.closed_error()

    # What the connection tells (`Owner`).

    def opened(self, auth: AuthOk) -> None:
        """Enter the rooms again; what waits in a room follows its JOIN_OK."""
        self.welcome = auth
        if self._connection is not None:
            self._joins.connected(self._connection.start_soon)
            self._requests.connected(self._connection.start_soon)
        self._policy.connected(trio.current_time())
        self.standing.move(Event.OPENED)
        for membership in self._memberships.values():
            membership.connected()
        self._requests.send()

    def received(self) -> None:
        """Any bytes end UNREACHABLE."""
        self.standing.received()

    def silent(self) -> None:
        """A whole heartbeat without a byte."""
        self.standing.move(Event.SILENT)

    def pushed(self, answer: Answer) -> None:
        """Take a push to the room it is about."""
        match answer:
            case TokenExpiring():
                self.notices.tell(answer)
                if not self._token.is_fixed and self._connection is not None:
                    self._connection.start_soon(self._refresh_quietly)
            case Drain():
                delay = drain_delay(answer.after_ms, answer.spread_ms, self.random)
                self._told_at = trio.current_time() + delay
                self.notices.tell(answer)
            case Error():
                self.notices.tell(answer)
            case _:
                room = getattr(answer, "room", None)
                membership = self._memberships.get(room) if isinstance(room, str) else None
                if membership is not None:
                    membership.pushed(answer)

    # Rooms.

    @property
    def connection(self) -> Connection | None:
        """The authenticated connection, if there is one."""
        return self._connection if self.standing.has_socket else None

    def enter(self, membership: Membership) -> None:
        """Take up a room and JOIN it, now or as soon as there is a connection.

        Raises:
            CommandRefused: `ALREADY_JOINED`: this client is in the room.
        """
        self.check_open()
        if membership.room in self._memberships:
            raise CommandRefused.of(ErrorCode.ALREADY_JOINED)
        self._memberships[membership.room] = membership
        if self.connection is not None:
            membership.connected()

    def leave(self, membership: Membership) -> None:
        """Give up a room; the LEAVE is not waited for."""
        if self._memberships.get(membership.room) is membership:
            del self._memberships[membership.room]
            if self.connection is not None and membership.needs_leave:
                self.connection.send(Leave(room=membership.room))
        membership.end(trio.ClosedResourceError("left the room"))

    def typing(self, room: str) -> None:
        """Send a TYPING if that can be done at once."""
        connection = self.connection
        if connection is not None and connection.unsent < MOST_TYPINGS_WAITING:
            connection.send(Typing(room=room))

    # Requests.

    async def request(self, request: Request[R]) -> R:
        """Send the command, again on each new connection, until it is answered.

        Cancellation:
            The command may have been carried out; only its reply is dropped.
        """
        self.check_open()
        self._requests.add(request)
        try:
            return await request.wait()
        finally:
            number = self._requests.remove(request)
            if number is not None and self._connection is not None:
                self._connection.forget(number)

    async def request_until_final(self, make: Callable[[], Request[R]], *, over: trio.Event) -> R:
        """As `request`, and again after a wait for as long as the node answers "not now".

        Args:
            make: Builds the request; called for each try, it may raise what ends them.
            over: Ends a wait early, because `make` will raise.
        """
        attempt = 0
        while True:
            try:
                return await self.request(make())
            except CommandRefused as refused:
                if not refused.temporary:
                    raise
                wait = refused.retry_after_seconds
            with trio.move_on_after(
                reconnect_delay(attempt, self.random) if wait is None else wait
            ):
                await over.wait()
            attempt += 1

    def _is_joined(self, room: str) -> bool:
        membership = self._memberships.get(room)
        return membership is not None and membership.is_joined

    # JOINs, when the node says ERROR 111.

    def may_join(self) -> bool:
        """Whether one more JOIN may be sent now; if not, the room goes on when it may."""
        return self._joins.may_send()

    def join_answered(self) -> None:
        """A JOIN was not refused for its rate."""
        self._joins.answered()

    def join_put_off(self, seconds: float | None) -> None:
        """One was, for so many seconds."""
        self._joins.refused(seconds)

    def _joins_under_way(self) -> int:
        return sum(membership.is_joining for membership in self._memberships.values())

    def _join_on(self) -> None:
        for membership in list(self._memberships.values()):
            membership.go_on()

    def room_ready(self) -> None:
        """A JOIN_OK came: what waited for it can be sent."""
        self._requests.send()

    def room_failed(self, room: str, error: Exception) -> None:
        """A room is over for good: nothing that waits for it will be sent."""
        self._requests.fail(lambda: error, room=room)

    # The token.

    async def refresh(self) -> RefreshOk | None:
        """Get a token and send it in a REFRESH; None if there is no connection, which needs none.

        Raises:
            CommandRefused: The node did not accept the token.
        """
        self.check_open()
        return await self._token.refresh(lambda: self.connection)

    async def _refresh_quietly(self) -> None:
        """Answer TOKEN_EXPIRING; if that fails, the node closes with 4003, and AUTH tries again."""
        with suppress(Exception):  # AUTH will tell the user, if it fails for the same reason
            await self.refresh()

    @property
    def limits(self) -> Limits:
        """What the node allows; the protocol's own limits until it has said so."""
        return self.welcome.limits if self.welcome is not None else Limits()
