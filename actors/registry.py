"""The registry: rooms by name, sessions by user. It owns the sessions and nothing else.

A connection sends it one message, when it has authenticated; a room is opened through it only when
it does not exist yet. Everything it knows can be told again by those who live: connections watch
it, and announce themselves to each new incarnation.
"""

from typing import Any

import attrs
import trio

from greenroom.actors.cast import Cast, cast_of
from greenroom.actors.room import RoomMessage, room_spec
from greenroom.actors.services import Services
from greenroom.supervisor import (
    AlreadyStarted,
    ChildSpec,
    Down,
    Inbox,
    Ref,
    Request,
    StartFailed,
    SupervisorStopped,
    TooManyChildren,
)


@attrs.frozen(kw_only=True)
class Session:
    """An authenticated client on this node."""

    id: str = attrs.field(repr=False)
    """Unguessable; as good as the token."""
    user: str
    connection: Ref[Any]  # Any: whoever finds it decides what to tell it


@attrs.frozen(kw_only=True)
class OpenSession(Request[Session]):
    """A connection has authenticated; or it announces itself again, with the session it has."""

    user: str
    connection: Ref[Any]
    session: str | None = attrs.field(default=None, repr=False)


class NoRoom(Exception):
    """The room can't be opened now: the node has as many as it may, or is stopping."""


@attrs.frozen
class OpenRoom(Request[Ref[RoomMessage]]):
    """Find a room's actor, or start it. Fails with `NoRoom`."""

    name: str


@attrs.frozen
class SessionsOf(Request[tuple[Session, ...]]):
    """Ask for a user's sessions."""

    user: str


RegistryMessage = OpenSession | OpenRoom | SessionsOf | Down


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
    sessions = Sessions()
    task_status.started()
    async for message in inbox:
        match message:
            case OpenSession():
                session = Session(
                    id=message.session or services.new_id(128),
                    user=message.user,
                    connection=message.connection,
                )
                sessions.open(session)
                inbox.watch(message.connection)
                inbox.reply(session)
            case Down(ref=connection):
                sessions.close(connection)
            case OpenRoom(name):
                ref = await open_room(name, cast)
                if ref is None:
                    inbox.fail(NoRoom())
                else:
                    inbox.reply(ref)
            case SessionsOf(user):
                inbox.reply(sessions.of(user))
            case _:
                raise TypeError(f"the registry does not understand {message!r}")


async def open_room(name: str, cast: Cast) -> Ref[RoomMessage] | None:
    """The room's actor, started if need be; None if that can't be now."""
    ref = cast.rooms.find(name)
    if ref is not None:
        return ref
    try:
        return await cast.rooms.start_child(room_spec(name, cast))
    except AlreadyStarted:
        return cast.rooms.find(name)
    except (StartFailed, SupervisorStopped, TooManyChildren):
        return None


class Sessions:
    """Who is connected. Bounded by the number of connections."""

    def __init__(self) -> None:
        self._by_connection: dict[Ref[Any], Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}  # {user: {session id: session}}

    def open(self, session: Session) -> None:
        """Note a session; the same connection's earlier one is forgotten."""
        self.close(session.connection)
        self._by_connection[session.connection] = session
        self._by_user.setdefault(session.user, {})[session.id] = session

    def close(self, connection: Ref[Any]) -> None:
        """Forget the session of a connection that has ended."""
        session = self._by_connection.pop(connection, None)
        if session is None:
            return
        sessions = self._by_user[session.user]
        sessions.pop(session.id, None)
        if not sessions:
            del self._by_user[session.user]

    def of(self, user: str) -> tuple[Session, ...]:
        """A user's sessions, oldest first."""
        return tuple(self._by_user.get(user, {}).values())
