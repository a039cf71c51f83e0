"""`open_client`, and the client it opens."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Final, Literal

import trio

from greenroom.client._engine import Engine, Notice
from greenroom.client._feed import QUEUE_MESSAGES, Feed
from greenroom.client._membership import Membership
from greenroom.client._room import Room
from greenroom.client._status import Status, Subscription
from greenroom.client._target import Connector, connect_tcp, parse_url
from greenroom.client._token import TokenSource
from greenroom.protocol import (
    JSON_CODEC,
    PROTOBUF_CODEC,
    Codec,
    Position,
    ReconnectPolicy,
    RefreshOk,
    State,
    is_valid_room_name,
)

_CODECS: Final[dict[str, Codec]] = {"json": JSON_CODEC, "protobuf": PROTOBUF_CODEC}


class Client:
    """A connection to a node that comes back by itself; made by `open_client`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def state(self) -> State:
        """DISCONNECTED, CONNECTED, UNREACHABLE or CLOSED."""
        return self._engine.standing.status.state

    @property
    def status(self) -> Status:
        """The state with what led to it, and when the next try begins."""
        return self._engine.standing.status

    @property
    def user(self) -> str | None:
        """Who the node says we are; None before the first connection."""
        return self._engine.welcome.user if self._engine.welcome is not None else None

    def state_changes(self) -> Subscription[Status]:
        """The present `Status`, then each new one: `async for status in client.state_changes()`.

        The iteration ends after CLOSED. A slow reader loses the oldest.
        """
        subscription = self._engine.standing.changes.subscribe()
        subscription.tell(self._engine.standing.status)
        return subscription

    async def wait_connected(self) -> None:
        """Wait until the node knows who we are.

        Raises:
            ClientClosed: It never will.
        """
        await trio.lowlevel.checkpoint()
        while self.state is not State.CONNECTED:
            self._engine.check_open()
            await self._engine.standing.wait_change()

    @asynccontextmanager
    async def join(self, room: str, *, since: Position | None = None) -> AsyncGenerator[Room]:
        """Enter a room for the time of an `async with` block, over any number of reconnects.

        The block starts once the node has let us in.

        Args:
            room: 1 to 100 characters of `A-Z a-z 0-9 . _ : -`.
            since: The last message you have, to receive first what came after it; None starts
                with what comes next.

        Raises:
            CommandRefused: The node does not let us in, or this client is in the room already.
            ClientClosed: The client can't connect any more.
            ValueError: That is no room's name.
        """
        if not is_valid_room_name(room):
            raise ValueError(f"a room's name is 1 to 100 of A-Z a-z 0-9 . _ : -, not {room!r}")
        membership = Membership(
            room,
            feed=Feed(room, since=since, capacity=QUEUE_MESSAGES),
            engine=self._engine,
            policy=ReconnectPolicy(self._engine.random),
        )
        self._engine.enter(membership)
        try:
            while not membership.is_joined:
                self._engine.check_open()
                if membership.error is not None:
                    raise membership.error
                await membership.wait_change()
            yield Room(membership, self._engine)
        finally:
            self._engine.leave(membership)

    async def refresh(self) -> RefreshOk | None:
        """Get a new token from the `token` callable and give it to the node.

        Done by itself when the node says that the token expires. None if there was no connection:
        the next one begins with a new token anyway.

        Raises:
            CommandRefused: The node does not accept the token.
            ClientClosed: The client can't connect any more.
        """
        return await self._engine.refresh()

    def notices(self) -> Subscription[Notice]:
        """What the node says about the connection: TOKEN_EXPIRING, DRAIN, and stray ERRORs."""
        return self._engine.notices.subscribe()


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: TokenSource,
    ssl_context: ssl.SSLContext | None = None,
    codec: Literal["json", "protobuf"] | Codec = "json",
    connector: Connector = connect_tcp,
    random: Random | None = None,
) -> AsyncGenerator[Client]:
    """Connect to a node, and again whenever the connection is lost, until the block is left.

    It does not wait for the first connection: `Client.join` does, and `Client.wait_connected`.
    Between tries it waits 1, 2, 4, 8, ... at most 30 s with full jitter, or as long as the node
    says (DRAIN, Retry-After); after 10 s of CONNECTED the row starts again. Silence for as long as
    the node says (25 s, usually) makes the state UNREACHABLE, 8 s more end the connection. When
    trying is useless (close codes 4500-4999, HTTP 401 and the like, an untrusted certificate, a
    `token` callable that raises) the state is CLOSED and every operation, also one that waits,
    raises `ClientClosed`; if none did, the `async with` does on leaving.

    An exception of the block leaves it as it is, never inside an exception group. Leaving says
    goodbye to the node and waits for its answer 2 s at the most; when cancelled or left by an
    exception, not at all.

    Args:
        url: `ws://HOST:PORT/ws` or `wss://...`.
        token: The token, or an async function that gets one. It is called for each connection and
            when the token is about to expire; it should retry by itself what is worth it.
        ssl_context: For `wss://`; None verifies against the system's authorities.
        codec: How messages are written on the wire; what they say is the same. `"protobuf"` takes
            half of the bytes.
        connector: Opens the byte stream; tests give one of their own.
        random: For the jitter; give a seeded one to make the waits repeatable.

    Raises:
        ValueError: The `url` is none, or there is no such `codec`.
        ClientClosed: As said above.
    """
    engine = Engine(
        parse_url(url, ssl_context),
        token=token,
        codec=_codec(codec),
        connector=connector,
        random=random or Random(),  # noqa: S311 - jitter is no secret
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.run)
            try:
                yield Client(engine)
            finally:
                engine.stop()
    except BaseExceptionGroup as group:
        # The engine raises nothing of its own, so what is in the nursery's group came from the
        # block; only a cancellation that hits both leaves more than one.
        errors = list(group.exceptions)
        if len(errors) > 1:
            raise
        _raise_unchanged(errors[0])
    engine.raise_untold_failure()


def _codec(codec: str | Codec) -> Codec:
    if not isinstance(codec, str):
        return codec
    if codec not in _CODECS:
        raise ValueError(f"a codec is {' or '.join(_CODECS)}, not {codec!r}")
    return _CODECS[codec]


def _raise_unchanged(error: BaseException) -> None:
    """Raise `error` without making what is being handled its context."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context
