"""The one port: accepts, does the TLS handshake, reads the first head, and leads each on its way.

An actor. What it does not do: WebSocket (a connection actor gets the socket with the bytes read so
far) and HTTP (the web side does). No exception of one connection ends anything but that connection,
and nothing a peer leaves out lets it stay: one deadline covers TLS handshake and request head.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import attrs
import structlog
import trio

from greenroom.node.errors import ListenError
from greenroom.node.peek import (
    MAX_HEAD_BYTES,
    BadHeadError,
    PlainHttp,
    Policy,
    Refusal,
    RequestHead,
    WebSocketUpgrade,
    check_beginning,
    decide,
    drop_empty_lines,
    find_head_end,
    parse_head,
    refusal_bytes,
)
from greenroom.node.streams import Transport
from greenroom.node.web import WebSide
from greenroom.supervisor import Inbox

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.listener")

RECEIVE_BYTES = 4096
BACKLOG = 1024
REFUSAL_SECONDS = 1.0

CAPACITY_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
CAPACITY_PAUSE_SECONDS = 0.1
CALM_SECONDS = 10.0  # a shortage is over when accepting has gone well for so long
# accept(2): errors of the connection that was to be accepted, not of the listening socket.
PEER_ERRORS = {
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
}


@attrs.frozen(kw_only=True)
class Arrival:
    """A WebSocket handshake that was let in, and what is known about its connection."""

    head: RequestHead
    received: bytes = attrs.field(repr=False)
    """Every byte read so far; whoever goes on reads these first."""
    peer: str
    tls: bool
    deadline: float
    """When the handshake has to be over, as `trio.current_time()`."""


class Admit(Protocol):
    """Gives a connection to an actor; owns the stream once it returns, and not when it raises."""

    async def __call__(self, stream: Transport, arrival: Arrival) -> Refusal | None:
        """Return a refusal when there is no room for it."""
        ...


@attrs.frozen(kw_only=True)
class Door:
    """Everything the listener needs."""

    listeners: Sequence[trio.SocketListener]
    tls: ssl.SSLContext | None
    policy: Callable[[], Policy]
    """What holds right now."""
    web: WebSide
    handshake_seconds: float = 5.0
    """From accept to a complete head, TLS handshake included; a connection actor has the rest."""
    max_pending: int = 10_000
    """Connections that are with the listener (not yet read, or served HTTP) at a time."""


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Bind and listen; nothing is accepted yet.

    Raises:
        ListenError: The address is taken, not ours, or not to be resolved.
    """
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except socket.gaierror as error:
        raise ListenError(f"host {host} can't be resolved: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(
                f"port {port} on {host} is taken by another program; choose one with --port"
            ) from error
        raise ListenError(f"can't listen on {host} port {port}: {error.strerror}") from error


async def serve_listener(
    inbox: Inbox[Any],  # Any: nobody sends it anything
    door: Door,
    admit: Admit,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Accept until told to stop. A crash leaves the sockets open for the next incarnation."""
    try:
        async with trio.open_nursery() as nursery:
            for listener in door.listeners:
                nursery.start_soon(_accept_forever, listener, door, admit, nursery)
            task_status.started()
            async for _ in inbox:
                pass
    finally:
        if inbox.stopping:
            for listener in door.listeners:
                listener.socket.close()


class Shortage:
    """Says once that the system gives no more sockets, and once that it does again.

    At the limit each connection that ends lets one in, so a single success ends nothing yet.
    """

    def __init__(self) -> None:
        self._last_at: float | None = None

    def met(self, error: OSError, *, now: float) -> None:
        """The system refused."""
        if self._last_at is None:
            own = error.errno == errno.EMFILE  # the others are the whole machine's
            hint = "raise ulimit -n" if own else "this machine is at its limit"
            log.error("accepting pauses", reason=error.strerror, hint=hint)
        self._last_at = now

    def accepted(self, *, now: float) -> None:
        """The system gave a socket."""
        if self._last_at is not None and now - self._last_at >= CALM_SECONDS:
            self._last_at = None
            log.info("accepting goes on")


async def _accept_forever(
    listener: trio.SocketListener, door: Door, admit: Admit, nursery: trio.Nursery
) -> None:
    shortage = Shortage()
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno in CAPACITY_ERRORS:
                shortage.met(error, now=trio.current_time())
                await trio.sleep(CAPACITY_PAUSE_SECONDS)
                continue
            if error.errno in PEER_ERRORS:
                continue
            raise
        shortage.accepted(now=trio.current_time())
        if len(nursery.child_tasks) > door.max_pending:
            log.warning("connection dropped", reason="too many at once")
            await trio.aclose_forcefully(stream)
            continue
        nursery.start_soon(_serve_in_fence, stream, door, admit)


async def _serve_in_fence(stream: trio.SocketStream, door: Door, admit: Admit) -> None:
    """Serve one connection; whatever goes wrong in there stays in there."""
    visit = _Visit(stream, door, admit)
    try:
        await visit.serve()
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the peer left: how many a connection ends
    except* Exception:
        log.exception("connection failed", peer=visit.peer)
    finally:
        if not visit.handed_over:
            await trio.aclose_forcefully(stream)


class _Visit:
    """One connection while it is the listener's."""

    def __init__(self, stream: trio.SocketStream, door: Door, admit: Admit) -> None:
        self._door = door
        self._admit = admit
        self._transport: Transport = stream
        self._deadline = trio.current_time() + door.handshake_seconds
        self._upgrade: Arrival | None = None
        self.peer = ""
        self.handed_over = False

    async def serve(self) -> None:
        """From accept to the end, or to the hand-over. Start reading here."""
        received: bytes | None = None
        with trio.move_on_at(self._deadline):
            self.peer = _peer_name(self._transport)
            await self._secure()
            received = await self._read_request()
        if received:
            await self._serve_web(received)
        if self._upgrade is not None:
            await self._hand_over(self._upgrade)

    async def _secure(self) -> None:
        if self._door.tls is None:
            return
        assert isinstance(self._transport, trio.SocketStream)  # noqa: S101  # wrapped once, here
        # https_compatible: browsers close without TLS's goodbye.
        secured = trio.SSLStream(
            self._transport, self._door.tls, server_side=True, https_compatible=True
        )
        self._transport = secured
        await secured.do_handshake()

    async def _read_request(self, first: bytes = b"") -> bytes | None:
        """Read one head. b"": the connection is at its end; None: it became `self._upgrade`."""
        buffer = bytearray(first)
        seen = 0
        try:
            while True:
                if seen == 0:
                    drop_empty_lines(buffer)
                end = find_head_end(buffer, seen)
                check_beginning(buffer[:end])
                if end is not None:
                    break
                seen = len(buffer)
                data = await self._transport.receive_some(RECEIVE_BYTES)
                if not data:
                    return b""
                buffer += data
            head = parse_head(buffer[:end])
            verdict = decide(head, self._door.policy())
        except BadHeadError as error:
            head, verdict = None, error.refusal
        match verdict:
            case PlainHttp():
                return bytes(buffer)
            case WebSocketUpgrade():
                self._upgrade = self._arrival(verdict.head, bytes(buffer))
                return None
            case Refusal():
                self._log_refusal(verdict, head)
                await self._refuse(verdict)
                return b""

    def _arrival(self, head: RequestHead, received: bytes) -> Arrival:
        return Arrival(
            head=head,
            received=received,
            peer=self.peer,
            tls=self._door.tls is not None,
            deadline=self._deadline,
        )

    async def _serve_web(self, received: bytes) -> None:
        async def next_request(first: bytes) -> bytes | None:
            request = await self._read_request(first)
            if self._upgrade is not None:
                deadline = trio.current_time() + self._door.handshake_seconds
                self._upgrade = attrs.evolve(self._upgrade, deadline=deadline)
            return request

        await self._door.web.serve(self._transport, received, next_request=next_request)

    async def _hand_over(self, arrival: Arrival) -> None:
        refusal = await self._admit(self._transport, arrival)
        if refusal is None:
            self.handed_over = True
        else:
            self._log_refusal(refusal, arrival.head)
            await self._refuse(refusal)

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer, and read what is still coming: closing on unread bytes could undo the answer."""
        with trio.move_on_after(REFUSAL_SECONDS):
            await self._transport.send_all(refusal_bytes(refusal))
            if isinstance(self._transport, trio.SocketStream):
                await self._transport.send_eof()
            for _ in range(MAX_HEAD_BYTES // RECEIVE_BYTES):
                if not await self._transport.receive_some(RECEIVE_BYTES):
                    break

    def _log_refusal(self, refusal: Refusal, head: RequestHead | None) -> None:
        origin = head.value("origin") if refusal.status == HTTPStatus.FORBIDDEN and head else None
        if origin is None:
            log.debug(
                "request refused", status=refusal.status, reason=refusal.reason, peer=self.peer
            )
        else:
            # The one refusal that an operator's own setup causes: TLS ended by a proxy, or a page
            # on another host.
            log.warning(
                "origin refused", origin=origin[:200], hint="allow it with --origin", peer=self.peer
            )


def _peer_name(transport: Transport) -> str:
    stream = transport.transport_stream if isinstance(transport, trio.SSLStream) else transport
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return "gone"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
