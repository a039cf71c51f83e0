"""The stream that Hypercorn serves: a connection whose first bytes were read already.

Shaped as Hypercorn's `TCPServer` expects it (which tells TLS from plain by attribute). Two things
are added. Every request head of a kept-alive connection is looked at before Hypercorn sees it,
because proxies send a WebSocket handshake down a connection that served pages before. And a write
is bounded, because Hypercorn writes under a shield: a peer that reads nothing could not be stopped.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import trio

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
            received: What was read before, to be read again.
            next_request: Asked for each further request.
        """
        self._transport = transport
        self._received = received
        self._next_request = next_request
        self._between_requests = False
        self._response_sent = trio.Event()
        self._detached = False
        self.on_end: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Called before the end of the stream is reported."""

    @contextmanager
    def finishing_response(self) -> Generator[None]:
        """Surround the sending of a response's last bytes: what comes after them is a head.

        The peer can have them, and answer, before Hypercorn is through with its own side.
        """
        self._between_requests, self._response_sent = True, trio.Event()
        try:
            yield
        finally:
            self._response_sent.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what was read before, then what comes; b"" at the end."""
        if self._received:
            data, self._received = self._received, b""
            await trio.lowlevel.checkpoint()
            return data
        data = bytes(await self._transport.receive_some(max_bytes))
        # Hypercorn reads on while it answers, so only the bytes' arrival can tell what they are.
        if data and self._between_requests:
            await self._response_sent.wait()
            self._between_requests = False
            request = await self._next_request(data)
            self._detached = request is None
            data = request or b""
        if not data:
            await self.on_end()
        return data

    async def send_all(self, data: bytes) -> None:
        """Write everything, or break the stream."""
        try:
            with trio.fail_after(WRITE_SECONDS):
                await self._transport.send_all(data)
        except trio.TooSlowError as error:
            raise trio.BrokenResourceError("the peer does not read") from error

    async def aclose(self) -> None:
        """Close the connection, politely but not for long."""
        if self._detached:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(CLOSE_SECONDS):
            await self._transport.aclose()


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
            await self._transport.send_eof()


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
