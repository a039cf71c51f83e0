"""Serves HTTP on connections that the listener hands over, through Hypercorn's Trio `TCPServer`.

Owns Hypercorn's settings and the bridge to it. What is answered stands in `http.py`; the listener
says what comes of each request head.
"""

import logging
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from greenroom.node.peek import MAX_HEAD_BYTES
from greenroom.node.streams import NextRequest, PlainWebStream, TlsWebStream, Transport

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
    ) -> None:
        """Serve a connection until it ends or `next_request` says that it is not ours any more.

        Args:
            transport: The connection, TLS handshake done.
            received: Its bytes so far: at least one whole request head.
            next_request: Asked for each further request.
        """
        make = TlsWebStream if isinstance(transport, trio.SSLStream) else PlainWebStream
        stream = make(transport, received, next_request=next_request)
        app = _telling_its_end(self._app, stream)
        server = _Http1Server(
            ASGIWrapper(app),  # type: ignore[arg-type]  # Hypercorn's own, narrower ASGI types
            self._config,
            self._context,
            ConnectionState({}),
            cast("Any", stream),  # Any: typed for TLS alone, and used by attribute
        )
        # Its timer for idle connections would keep the connection's tasks for its whole length.
        stream.on_end = server.idle_task.stop
        await server.run()


class _Http1Server(TCPServer):
    """Hypercorn's server without its way to HTTP/2, which knows neither our peek nor its limits.

    The peek refuses every request that asks for it; this is the fence behind the peek.
    """

    async def _read_data(self) -> None:
        # The wrapper around the HTTP/1.1 protocol does nothing but to put HTTP/2 in its place.
        self.protocol = cast("Any", self.protocol.protocol)  # Any: the two are used alike
        try:
            await super()._read_data()
        except (H2CProtocolRequiredError, H2ProtocolAssumedError):
            await self.protocol.handle(Closed())


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
