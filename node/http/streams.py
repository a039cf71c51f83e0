"""The stream that Hypercorn serves: a connection whose first bytes were read already.

Shaped as Hypercorn's `TCPServer` expects it (which tells TLS from plain by attribute). Two things
are added. Hypercorn gets one request at a time, and each further head of a kept-alive connection is
looked at first: a WebSocket handshake may follow on pages (proxies do that), and Hypercorn's own
ways to upgrade would pass every limit here. And a write is bounded, because Hypercorn writes under
a shield: a peer that reads nothing could not be stopped.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import trio

from greenroom.actors.tracebacks import forget_frames
from greenroom.node.http.framing import RequestFrame

Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]

NextRequest = Callable[[bytes], Awaitable[bytes | None]]
"""Told the first bytes of a request, reads until its head is whole and returns all that was read;
b"" when the connection is at its end, None when it is somebody else's from here."""

WRITE_SECONDS = 3.0  # below the listener's grace
CLOSE_SECONDS = 1.0


class _WebStream:
    def __init__(
        self,
        transport: Transport,
        received: bytes,
        *,
        next_request: NextRequest,
    ) -> None:
        """Wrap a connection.

        Args:
            transport: The connection; the stream closes it, unless somebody else takes it over.
            received: What was read before, to be read again: at least one whole request head.
            next_request: Asked for each further request.
        """
        self._transport = transport
        self._next_request = next_request
        self._request: RequestFrame | None = None  # the one that Hypercorn has; None: not yet
        self._held = received  # not yet given to Hypercorn: of the first request, or of a later one
        self._response_sent = trio.Event()  # to `_request`
        # Where a body is no good, Hypercorn says that no more comes while the app still answers.
        self._sending = trio.Lock()
        self._closed = False
        self._detached = False
        self.on_end: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Called before the end of the stream is reported."""

    @contextmanager
    def finishing_response(self) -> Generator[None]:
        """Surround the sending of a response's last bytes; Hypercorn is through after them."""
        # Its next request can't begin in between: nobody but us can give it one.
        response_sent = self._response_sent
        try:
            yield
        finally:
            response_sent.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return more of the present request, or the next one's beginning; b"" at the end."""
        try:
            data = await self._receive(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            # Reset, or closed by a write that failed: an end like any other.
            forget_frames(error)
            data = b""
        if not data:
            await self.on_end()
        return data

    async def _receive(self, max_bytes: int | None) -> bytes:
        if self._request is None:
            await trio.lowlevel.checkpoint()
            return self._begin_request(self._held)
        # Hypercorn reads on while it answers; only the request's own framing tells what a body is.
        data = self._held or bytes(await self._transport.receive_some(max_bytes))
        if data and not self._request.ended:
            data, self._held = self._request.take(data)
        elif data:
            self._held = b""
            await self._response_sent.wait()
            request = None if self._closed else await self._next_request(data)
            self._detached = request is None and not self._closed
            data = self._begin_request(request) if request else b""
        return data

    def _begin_request(self, received: bytes) -> bytes:
        self._request, self._response_sent = RequestFrame(), trio.Event()
        data, self._held = self._request.take(received)
        return data

    async def send_all(self, data: bytes) -> None:
        """Write everything, or break the stream."""
        try:
            async with self._sending:
                with trio.fail_after(WRITE_SECONDS):
                    await self._transport.send_all(data)
        except (trio.TooSlowError, trio.BrokenResourceError) as error:
            # Whoever gets no answer any more is not read any more either.
            self._end_requests()
            forget_frames(error)
            await trio.aclose_forcefully(self._transport)
            raise trio.BrokenResourceError("the peer does not read") from error
        except trio.ClosedResourceError as error:  # by Hypercorn, while the app answers
            forget_frames(error)
            raise

    async def aclose(self) -> None:
        """Close the connection, politely but not for long."""
        if self._detached:
            await trio.lowlevel.checkpoint()
            return
        self._end_requests()
        with trio.move_on_after(CLOSE_SECONDS):
            await self._transport.aclose()

    def _end_requests(self) -> None:
        """Hypercorn wants no further request, though one may be waiting here for its turn."""
        self._closed = True
        self._response_sent.set()


class PlainWebStream(_WebStream):
    """A connection without TLS."""

    _transport: trio.SocketStream

    @property
    def socket(self) -> trio.socket.SocketType:
        """Where Hypercorn looks for the addresses."""
        return self._transport.socket

    async def send_eof(self) -> None:
        """Say that nothing more will be written."""
        if not self._detached:
            self._end_requests()
            async with self._sending:
                try:
                    await self._transport.send_eof()
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    forget_frames(error)  # the peer is gone, or we are: nothing is left to be said


class TlsWebStream(_WebStream):
    """A connection with TLS, whose handshake is over."""

    _transport: trio.SSLStream[trio.SocketStream]

    @property
    def transport_stream(self) -> trio.SocketStream:
        """Where Hypercorn looks for the addresses."""
        return self._transport.transport_stream

    async def do_handshake(self) -> None:
        """Do nothing more: the listener has done it, within its own deadline."""
        await self._transport.do_handshake()

    def selected_alpn_protocol(self) -> str:
        """Return the only protocol there is."""
        return "http/1.1"
