"""Serves HTTP on connections that the listener hands over, through Hypercorn's Trio `TCPServer`.

Owns Hypercorn's settings, the bridge to it, and the headers of every response that leaves by it.
What is answered stands in `app.py`; the listener says what comes of each request head.
"""

import logging
from collections.abc import Callable
from typing import Any, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import (
    H2CProtocolRequiredError,
    H2ProtocolAssumedError,
    H11Protocol,
)
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, H11SendableEvent
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from greenroom.node.door.peek import MAX_HEAD_BYTES
from greenroom.node.door.proxies import Peer
from greenroom.node.http.security_headers import default_headers
from greenroom.node.http.streams import NextRequest, PlainWebStream, TlsWebStream, Transport

IDLE_SECONDS = 5.0  # for the next request on a kept-alive connection, its head included
BODY_SECONDS = 10.0  # between two pieces of a request body
REQUESTS_PER_CONNECTION = 1_000_000  # Hypercorn's 1,000 would cut connections of a busy proxy


class WebSide:
    """Serves connections with one ASGI app. There is no lifespan: the app owns nothing."""

    def __init__(self, app: ASGIApp) -> None:
        """Args: app: What answers the requests."""
        config = Config()
        config.errorlog = logging.getLogger("hypercorn.error")
        config.accesslog = None
        config.include_server_header = False
        config.h11_max_incomplete_size = MAX_HEAD_BYTES
        config.keep_alive_timeout = IDLE_SECONDS
        config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
        config.read_timeout = BODY_SECONDS  # type: ignore[assignment]  # it is handed to fail_after
        self._config = config
        self._app = app
        self._context = WorkerContext(None)

    async def drain(self) -> None:
        """Close idle connections now and every other one after its present request."""
        await self._context.terminated.set()

    async def serve(
        self,
        transport: Transport,
        received: bytes,
        *,
        next_request: NextRequest,
        peer: Callable[[], Peer],
    ) -> None:
        """Serve a connection until it ends or `next_request` says that it is not ours any more.

        Args:
            transport: The connection, TLS handshake done.
            received: Its bytes so far: at least one whole request head.
            next_request: Asked for each further request.
            peer: Who has sent the present request. It goes into the app's scope, as `client` (the
                address in its one spelling, and the port, 0 where it is not known) and `scheme`: of
                whoever is behind a trusted proxy, and of nobody else's claims.
        """
        make = TlsWebStream if isinstance(transport, trio.SSLStream) else PlainWebStream
        stream = make(transport, received, next_request=next_request)
        app = _telling_its_end(_knowing_its_peer(self._app, peer), stream)
        server = _Http1Server(
            ASGIWrapper(app),  # type: ignore[arg-type]  # Hypercorn's own, narrower ASGI types
            self._config,
            self._context,
            ConnectionState({}),
            cast("Any", stream),  # Any: typed for TLS alone, and used by attribute
        )
        # Its timer for idle connections would keep the connection's tasks for its whole length.
        stream.on_end = server.idle_task.stop
        try:
            await server.run()
        finally:
            # It refers to the server, and would keep all of the connection for the collector.
            vars(server).pop("protocol", None)


class _Http1Server(TCPServer):
    """Hypercorn's server without its way to HTTP/2, which knows neither our peek nor its limits.

    The peek refuses every request that asks for it; this is the fence behind the peek.
    """

    async def _read_data(self) -> None:
        # The wrapper around the HTTP/1.1 protocol does nothing but to put HTTP/2 in its place.
        self.protocol = cast("Any", _Http1Protocol.in_place_of(self.protocol))  # Any: used alike
        try:
            await super()._read_data()
        except (H2CProtocolRequiredError, H2ProtocolAssumedError):
            await self.protocol.handle(Closed())

    async def _close(self) -> None:
        # Two tasks may have to do with the end of a request: what one is sending goes first.
        async with self.send_lock:
            await super()._close()


class _Http1Protocol(H11Protocol):
    """Hypercorn's HTTP/1.1, with our headers on every response: on its own errors too."""

    _host: str | None = None

    @classmethod
    def in_place_of(cls, wrapper: ProtocolWrapper) -> "_Http1Protocol":
        """Return one that does what is in the wrapper; nothing was received yet."""
        return cls(
            wrapper.app,
            wrapper.config,
            wrapper.context,
            wrapper.task_group,
            wrapper.state,
            wrapper.ssl,
            wrapper.client,
            wrapper.server,
            wrapper.send,
        )

    async def _create_stream(self, request: h11.Request) -> None:
        hosts = (value for name, value in request.headers if name == b"host")
        self._host = next(hosts, b"").decode("latin-1")
        await super()._create_stream(request)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response):
            headers = list(event.headers)
            given = {name for name, _ in headers}
            defaults = default_headers(tls=self.ssl, host=self._host)
            headers += [
                (name.encode("ascii"), value.encode("ascii"))
                for name, value in defaults.items()
                if name.lower().encode("ascii") not in given
            ]
            event = h11.Response(status_code=event.status_code, headers=headers)
        await super()._send_h11_event(event)


def _knowing_its_peer(app: ASGIApp, peer: Callable[[], Peer]) -> ASGIApp:
    """Tell the app who asks: of a connection from a proxy each request may be another client's."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        now = peer()  # there is one request at a time, and its head was looked at just before
        scheme = "https" if now.tls else "http"
        await app({**scope, "client": (now.address, now.port), "scheme": scheme}, receive, send)

    return wrapped


def _telling_its_end(app: ASGIApp, stream: PlainWebStream | TlsWebStream) -> ASGIApp:
    """Let `stream` know when a response ends, which only the app's messages say."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_telling(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                with stream.finishing_response():
                    await send(message)
            else:
                await send(message)

        await app(scope, receive, send_telling)

    return wrapped
