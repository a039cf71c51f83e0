"""The registry: rooms by name, sessions by user. It owns the sessions and nothing else.

A connection sends it one message, when it has authenticated; a room is opened through it only when
it does not exist yet. What it knows of the living they can tell again: connections watch it, and
announce themselves to each new incarnation. Sessions that wait for their client are lost with it,
and nobody notices: the client gets a new one, and rooms remember by themselves who was just there.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import attrs
import trio

from greenroom.actors.callbacks.feed import CallbackFeed
from greenroom.actors.cast import Cast, cast_of
from greenroom.actors.rights.revocations import Revocation
from greenroom.actors.room.messages import Forsake
from greenroom.actors.room.room import RoomMessage, room_spec
from greenroom.actors.services import Services
from greenroom.actors.sessions import Session, Sessions
from greenroom.protocol import Claims, CloseCode
from greenroom.supervisor import (
    ActorStopped,
    AlreadyStarted,
    ChildSpec,
    Down,
    Inbox,
    InboxFull,
    Ref,
    Request,
    StartFailed,
    SupervisorStopped,
    Timer,
    TooManyChildren,
)


@attrs.frozen(kw_only=True)
class OpenSession(Request[Session]):
    """A connection has authenticated; or it announces itself again, with the session it has.

    Fails with `TooManyConnections`.
    """

    claims: Claims = attrs.field(repr=False)
    """Of the token that let it in."""
    connection: Ref[Any]  # Any: see `Session.connection`
    end: Callable[[CloseCode], object]
    """Closes the connection; see `Session.end`."""
    claimed: str | None = attrs.field(default=None, repr=False)
    """The session that the client says it had. Believed where the user had it, and that was not
    long ago; else there is a new one, and no word about why."""
    known: str | None = attrs.field(default=None, repr=False)
    """The session that a former incarnation gave the connection."""


class NoRoom(Exception):
    """The room can't be opened now: node or opener have as many as they may, or it is stopping."""


class TooManyConnections(Exception):
    """The user has as many connections as one may have."""


@attrs.frozen
class OpenRoom(Request[Ref[RoomMessage]]):
    """Find a room's actor, or start it. Fails with `NoRoom`."""

    name: str
    opener: str = ""
    """To whom it is counted, should it be started: an address. Empty: to nobody."""


@attrs.frozen
class SessionsOf(Request[tuple[Session, ...]]):
    """Ask for a user's sessions that have a connection."""

    user: str


@attrs.frozen
class WaitedEnough:
    """Timer: some sessions' clients have not come back."""


RegistryMessage = OpenSession | OpenRoom | SessionsOf | WaitedEnough | Revocation | Down


def registry_spec(services: Services) -> ChildSpec[RegistryMessage]:
    """The registry's recipe.

    Its inbox holds 1,000 messages; when it is full, connections wait with their AUTH or JOIN. The
    message in hand at a crash is handed to the next incarnation, once.
    """
    return ChildSpec(
        id="registry",
        start=registry,
        args=(services,),
        inbox_capacity=1_000,
        redeliver_at_most=1,
    )


async def registry(
    inbox: Inbox[RegistryMessage], services: Services, *, task_status: trio.TaskStatus[None]
) -> None:
    """Answer who and where."""
    cast = cast_of(inbox.supervisor, services)
    desk = SessionDesk(inbox, services, cast.callbacks)
    task_status.started()
    async for message in inbox:
        match message:
            case OpenSession():
                try:
                    inbox.reply(desk.open(message))
                except TooManyConnections as refusal:
                    inbox.fail(refusal)
            case Down(ref=connection):
                desk.down(connection)
            case WaitedEnough():
                desk.expire()
            case Revocation():
                for session in desk.revoke(message):
                    forsake(session, cast)
            case OpenRoom(name, opener):
                ref = await open_room(name, opener, cast)
                if ref is None:
                    inbox.fail(NoRoom())
                else:
                    inbox.reply(ref)
            case SessionsOf(user):
                inbox.reply(desk.sessions.of(user))
            case _:
                raise TypeError(f"the registry does not understand {message!r}")


async def open_room(name: str, opener: str, cast: Cast) -> Ref[RoomMessage] | None:
    """The room's actor, started if need be; None if that can't be now."""
    ref = cast.rooms.find(name)
    if ref is not None:
        return ref
    services = cast.services
    if services.openers.count(opener) >= services.limits.max_rooms_per_address:
        return None
    try:
        return await cast.rooms.start_child(_counted(room_spec(name, cast), opener, cast))
    except AlreadyStarted:
        return cast.rooms.find(name)
    except (StartFailed, SupervisorStopped, TooManyChildren):
        return None


def _counted(spec: ChildSpec[RoomMessage], opener: str, cast: Cast) -> ChildSpec[RoomMessage]:
    """Have the room counted to its opener while it lives, in each of its incarnations."""
    start: Any = spec.start  # Any, here and below: whatever the room's own spec says

    async def counted(*args: Any, **options: Any) -> None:
        with cast.services.openers.counting(opener):
            await start(*args, **options)

    return attrs.evolve(spec, start=counted)


def forsake(session: Session, cast: Cast) -> None:
    """Have the rooms that wait for a session wait no longer."""
    for name in session.rooms:
        room = cast.rooms.find(name)
        if room is not None:
            # Never waiting for a room that waits for us; one that is as busy waits its time out.
            with suppress(InboxFull, ActorStopped):
                room.tell_nowait(Forsake(user=session.user, session=session.id))


class SessionDesk:
    """The sessions of one incarnation, and their one timer."""

    def __init__(
        self, inbox: Inbox[RegistryMessage], services: Services, feed: CallbackFeed
    ) -> None:
        limits = services.limits
        self._inbox = inbox
        self._feed = feed
        self._services = services
        self.sessions = Sessions(
            seconds=limits.session_seconds, max_waiting=limits.max_waiting_sessions
        )
        self._timer: Timer | None = None

    def open(self, request: OpenSession) -> Session:
        """Give a connection a new session, or the one it had."""
        user = request.claims.subject
        id = request.known
        if id is None and request.claimed is not None:
            id = request.claimed if self.sessions.has(request.claimed, user=user) else None
        # Who takes up a session takes the place of its connection, or of nobody's; who announces
        # itself again has been in. What waits for its client is bounded by itself.
        comes_in = id is None or (request.known is None and self.sessions.waits(id))
        most = self._services.limits.max_connections_per_user
        if comes_in and self.sessions.connected(user) >= most:
            raise TooManyConnections
        session = Session(
            id=id or self._services.new_id(128),
            claims=request.claims,
            connection=request.connection,
            end=request.end,
        )
        # One that announces itself again was called back by the incarnation that knew it.
        first = request.known is None and not self.sessions.knows(user)
        replaced = self.sessions.open(session)
        if first:
            self._feed.connected(user, first=True)
        if replaced is not None:
            # Not through its inbox: it may be full, or its connection wait for a client that is
            # long gone. That one is closed before this one hears that it is in.
            replaced.end(CloseCode.SESSION_REPLACED)
        self._inbox.watch(request.connection)
        return session

    def revoke(self, revocation: Revocation) -> list[Session]:
        """Some tokens are not good any more: return the sessions that end."""
        one_user = self._services.revocations.one_user
        over, users = self.sessions.revoke(
            lambda claims: (
                (
                    one_user(claims.subject) == revocation.user
                    if revocation.token_id is None
                    else claims.token_id == revocation.token_id
                )
                and self._services.revocations.revoked(claims)
            )
        )
        self._ended(users)
        return over

    def down(self, connection: Ref[Any]) -> None:
        """A connection has ended."""
        self._ended(self.sessions.down(connection, now=trio.current_time()))
        self._set_timer()

    def expire(self) -> None:
        """Some sessions have waited long enough."""
        self._timer = None
        self._ended(self.sessions.expire(now=trio.current_time()))
        self._set_timer()

    def _ended(self, users: Sequence[str]) -> None:
        for user in users:
            self._feed.connected(user, first=False)

    def _set_timer(self) -> None:
        due = self.sessions.next_expiry
        if self._timer is None and due is not None:
            seconds = max(0.0, due - trio.current_time())
            self._timer = self._inbox.send_after(seconds, WaitedEnough())
