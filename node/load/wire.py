"""One WebSocket of a load: opened, written without waiting, read with as little as possible.

On a plain socket a read is one wait and one `recv`, a write one `send` in the caller's own task; a
writer task exists only while the kernel says "would block". TLS and in-memory streams go through
Trio's own calls.
"""

import contextlib
import os
import socket
import ssl
from random import Random
from typing import Final

import trio
import wsproto
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.utilities import ProtocolError

from greenroom.client import Connector, Target
from greenroom.node.load.frames import (
    FrameError,
    FrameReader,
    Opcode,
    client_frame,
    close_code,
    close_payload,
)
from greenroom.protocol import MAX_ANSWER_BYTES, CloseCode, Codec, may_reconnect

OPEN_SECONDS: Final = 30.0
"""For TCP, TLS and the upgrade together; a node under load may be slow and yet be there."""

CLOSE_SECONDS: Final = 2.0
RETRY_STATUS: Final = frozenset({408, 425, 429})
"""Of the HTTP answers below 500 those after which trying again may help."""

_RECEIVE_BYTES: Final = 64 * 1024


class WireEnded(Exception):
    """There is nothing more to read or to write here."""

    def __init__(self, reason: str, *, status: int | None = None, final: bool = False) -> None:
        super().__init__(reason, status, final)
        self.reason = reason
        """A close code, or a few words."""
        self.status = status
        """Of the HTTP answer, when it was not 101."""
        self.final = final
        """Trying again does not help."""

    def __str__(self) -> str:
        return self.reason


class Wire:
    """An open WebSocket. One task reads; anybody may send, nobody waits for it.

    What the kernel does not take waits here without a bound of its own: a plan has only so many
    messages, and to hold them back would be to offer less than was asked for.

    Args:
        stream: The transport, after the upgrade; the wire owns it.
        codec: Says which opcode its frames have.
        nursery: Holds the writer; it outlives the wire's use.
        random: For the masks.
    """

    def __init__(
        self, stream: trio.abc.Stream, codec: Codec, nursery: trio.Nursery, random: Random
    ) -> None:
        self._stream = stream
        self._socket = _plain_socket(stream)
        self._nursery = nursery
        self._random = random
        self._opcode = Opcode.BINARY if codec.binary else Opcode.TEXT
        self._reader = FrameReader(max_bytes=MAX_ANSWER_BYTES)
        self._waiting = bytearray()
        self._writing = False
        self._closing = False
        self._closed = False
        self._ended: WireEnded | None = None

    async def receive(self) -> list[bytes]:
        """The payloads of the messages that came in; pings are answered in passing.

        Raises:
            WireEnded: The node closed, or the network did.
        """
        if self._ended is not None:
            raise self._ended
        payloads: list[bytes] = []
        data = await self._read()
        if data is None:
            return payloads
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            raise WireEnded(f"protocol error: {error}") from None
        for opcode, payload in messages:
            if opcode == self._opcode:
                payloads.append(payload)
            elif opcode == Opcode.PING:
                self._write(client_frame(Opcode.PONG, payload, self._random))
            elif opcode == Opcode.CLOSE:
                code = close_code(payload)
                self._ended = WireEnded(str(code), final=not may_reconnect(code))
                if not self._closing:
                    self._write(client_frame(Opcode.CLOSE, payload[:2], self._random))
                break
        return payloads

    async def _read(self) -> bytes | None:
        """What came in; None for a false alarm."""
        try:
            if self._socket is None:
                data = bytes(await self._stream.receive_some(_RECEIVE_BYTES))
            else:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:  # readable, and yet nothing to read: see select(2), BUGS
            return None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            raise WireEnded("connection lost") from None
        if not data:
            raise WireEnded("connection lost")
        return data

    def send(self, payload: bytes) -> None:
        """Send one message; what can't be written any more is dropped."""
        self._write(client_frame(self._opcode, payload, self._random))

    async def aclose(self) -> None:
        """Say goodbye, wait a moment for the answer, hang up; at once when cancelled."""
        try:
            with trio.move_on_after(CLOSE_SECONDS):
                if self._ended is None:  # else the node's own CLOSE has been answered
                    self._closing = True
                    payload = close_payload(CloseCode.NORMAL)
                    self._write(client_frame(Opcode.CLOSE, payload, self._random))
                with contextlib.suppress(WireEnded):
                    while True:
                        await self.receive()
        finally:
            self._closed = True
            if self._socket is not None:
                trio.lowlevel.notify_closing(self._socket)
                self._socket.detach()  # the descriptor is the stream's
                self._socket = None
            await trio.aclose_forcefully(self._stream)

    def _write(self, data: bytes) -> None:
        if self._closed:
            return
        if self._socket is not None and not self._waiting:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # the reader sees it too, and says so
        if data:
            self._waiting += data
            if not self._writing:
                self._writing = True
                self._nursery.start_soon(self._write_waiting)

    async def _write_waiting(self) -> None:
        with contextlib.suppress(
            OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError
        ):
            while self._waiting:
                if self._socket is None:
                    data, self._waiting = self._waiting, bytearray()
                    await self._stream.send_all(data)
                else:
                    await trio.lowlevel.wait_writable(self._socket)
                    del self._waiting[: self._socket.send(self._waiting)]
        self._writing = False


async def open_wire(
    target: Target, *, codec: Codec, connector: Connector, nursery: trio.Nursery, random: Random
) -> Wire:
    """Connect and upgrade.

    Raises:
        WireEnded: It failed; nothing is left open.
    """
    try:
        with trio.fail_after(OPEN_SECONDS):
            stream = await connector(target)
            try:
                await _upgrade(stream, target, codec)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
    except trio.TooSlowError:
        raise WireEnded("no connection in time") from None
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise WireEnded(why(error)) from error
    return Wire(stream, codec, nursery, random)


async def _upgrade(stream: trio.abc.Stream, target: Target, codec: Codec) -> None:
    ws = wsproto.WSConnection(ConnectionType.CLIENT)
    request = Request(
        host=target.authority, target=target.resource, subprotocols=[codec.subprotocol]
    )
    await stream.send_all(ws.send(request))
    while True:
        data = await stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise WireEnded("hung up during the upgrade")
        try:
            ws.receive_data(bytes(data))
            for event in ws.events():
                match event:
                    case AcceptConnection():  # nothing follows it before we send AUTH
                        return
                    case RejectConnection(status_code=status):
                        final = status < 500 and status not in RETRY_STATUS
                        raise WireEnded(f"HTTP {status}", status=status, final=final)
                    case _:
                        pass
        except ProtocolError:
            raise WireEnded("no WebSocket there") from None


def _plain_socket(stream: trio.abc.Stream) -> socket.socket | None:
    """The socket under `stream`, for calls that do not wait; None where there is more to it."""
    if not isinstance(stream, trio.SocketStream):
        return None
    sock = socket.socket(fileno=stream.socket.fileno())
    sock.setblocking(False)
    return sock


def why(error: BaseException) -> str:
    """Why there is no connection, in a few words that are the same for all members."""
    match error:
        case OSError(__cause__=BaseExceptionGroup() as attempts):
            # Trio has tried each address of a name; the first says as much as the others.
            return why(attempts.exceptions[0])
        case ssl.SSLCertVerificationError(verify_message=message):
            return f"the certificate is not trusted: {message}"
        case ssl.SSLError():
            return "no TLS there"
        case socket.gaierror():
            return "name not known"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case trio.TooSlowError():
            return "no answer in time"
        case _:
            return "it hung up"
