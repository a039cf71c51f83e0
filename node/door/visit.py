"""One connection while it is the listener's: who comes, TLS, the first head, and where it goes.

WebSocket and HTTP are others' (a connection actor gets the socket with the bytes read so far; the
web side serves requests). Nothing that a peer leaves out lets it stay: one deadline covers PROXY
header, TLS handshake and request head; and what it sends before that is over is bounded too.
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Protocol

import attrs
import structlog
import trio

from greenroom.node.door.headcount import Headcount, Seat
from greenroom.node.door.peek import (
    MAX_HEAD_BYTES,
    TOO_MANY_HERE,
    TOO_OFTEN,
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
    too_often,
)
from greenroom.node.door.proxies import Peer, Proxies, canonical_address
from greenroom.node.door.proxy_protocol import (
    MAX_HEADER_BYTES,
    Proxied,
    ProxyHeaderError,
    read_proxy_header,
)
from greenroom.node.door.tls import forget_handshake
from greenroom.node.door.turnstile import Turnstile
from greenroom.node.http.server import WebSide
from greenroom.node.http.streams import Transport

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.visit")

RECEIVE_BYTES = 4096
REFUSAL_SECONDS = 1.0
BEHIND_A_PROXY = "if a proxy is there, see trusted_proxies"


@attrs.frozen(kw_only=True)
class Arrival:
    """A WebSocket handshake that may be let in, and what is known about its connection."""

    upgrade: WebSocketUpgrade
    received: bytes = attrs.field(repr=False)
    """Every byte read so far, of its head and behind it; whoever goes on reads these first."""
    peer: Peer
    """Whoever has sent it, also behind a trusted proxy."""
    deadline: float
    """When the handshake has to be over, as `trio.current_time()`."""


class Admit(Protocol):
    """Gives a connection to an actor; owns the stream once it returns, and not when it raises."""

    async def __call__(self, stream: Transport, arrival: Arrival) -> Refusal | None:
        """Return a refusal when there is no room for it."""
        ...


def _anybody() -> Headcount:
    return Headcount(most=1_000_000)


def _any_time() -> Turnstile:
    return Turnstile(None)


@attrs.frozen(kw_only=True)
class Door:
    """Everything the listener needs."""

    listeners: Sequence[trio.SocketListener]
    tls: ssl.SSLContext | None
    policy: Callable[[], Policy]
    """What holds right now."""
    web: WebSide
    proxies: Proxies = attrs.field(factory=Proxies)
    handshake_seconds: float = 5.0
    """From accept to a complete head, TLS handshake included; a connection actor has the rest."""
    max_pending: int = 10_000
    """Connections that are with the listener (not yet read, or served HTTP) at a time."""
    pending: Headcount = attrs.field(factory=_anybody)
    """The same of each address; those of trusted proxies are not counted, as they are many's."""
    connects: Turnstile = attrs.field(factory=_any_time)
    """How often an address may connect, trusted proxies as often as they like."""
    requests: Turnstile = attrs.field(factory=_any_time)
    """How often it may ask for something over HTTP, be it a WebSocket, also behind a proxy."""


class Visit:
    """One connection, from accept to its end or its hand-over."""

    def __init__(self, stream: trio.SocketStream, door: Door, admit: Admit) -> None:
        """Args: stream: The connection; it stays the caller's to close, unless `handed_over`."""
        self._door = door
        self._admit = admit
        self._stream = stream
        self._transport: Transport = stream
        self._deadline = trio.current_time() + door.handshake_seconds
        self._upgrade: Arrival | None = None
        self._seat: Seat | None = None
        # At the other end of the connection, as the socket or a PROXY header says.
        self._neighbour = Peer("", 0, tls=door.tls is not None)
        self.peer = self._neighbour
        """Who has sent the present request; through a trusted proxy each may be another's."""
        self.handed_over = False

    async def serve(self) -> None:
        """From accept to the end, or to the hand-over. Start reading here."""
        received: bytes | None = None
        try:
            with trio.move_on_at(self._deadline):
                if await self._may_come_in():
                    await self._secure()
                    received = await self._read_request()
            if received:
                await self._serve_web(received)
            if self._upgrade is not None:
                await self._hand_over(self._upgrade)
        finally:
            if self._seat is not None:
                self._seat.leave()

    # Who it is.

    async def _may_come_in(self) -> bool:
        host, port, *_ = self._stream.socket.getpeername()
        address = canonical_address(host)
        self.peer = self._neighbour = attrs.evolve(self._neighbour, address=address, port=port)
        proxies = self._door.proxies
        if proxies.announces(self._neighbour):
            try:
                said = await self._read_proxy_header()
            except ProxyHeaderError as error:
                log.warning("no PROXY header", reason=str(error), peer=str(self._neighbour))
                return False
            if said is None:
                return False
            self.peer = self._neighbour = proxies.announced(self._neighbour, said)
        if proxies.trusts(self._neighbour.address):
            return True
        refusal = self._take_a_seat(self._neighbour.address)
        if refusal is not None:
            self._log_refusal(refusal, None)
            await turn_away(self._stream, refusal, self._door)
        return refusal is None

    def _take_a_seat(self, address: str) -> Refusal | None:
        # First of all, as coming in vain costs us too.
        early = self._door.connects.wait(address, trio.current_time())
        if early:
            return too_often(early)
        self._seat = self._door.pending.enter(address)
        return TOO_MANY_HERE if self._seat is None else None

    async def _read_proxy_header(self) -> Proxied | None:
        """Read just that: what follows it, TLS perhaps, stays in the socket. None at the end."""
        sock = self._stream.socket
        header = b""
        while True:
            ahead = await sock.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
            if not ahead:
                return None
            found = read_proxy_header(header + ahead)
            # What is no whole header yet is all of it, so it can be taken: nobody polls.
            taken = len(ahead) if found is None else found[1] - len(header)
            header += await sock.recv(taken)
            if found is not None:
                return found[0]

    async def _secure(self) -> None:
        if self._door.tls is None:
            return
        # https_compatible: browsers close without TLS's goodbye.
        secured = trio.SSLStream(
            self._stream, self._door.tls, server_side=True, https_compatible=True
        )
        self._transport = secured
        try:
            await secured.do_handshake()
        finally:
            forget_handshake(secured)

    # What it wants.

    async def _read_request(self, first: bytes = b"") -> bytes | None:
        """Read one head. b"": the connection is at its end; None: it became `self._upgrade`."""
        buffer = bytearray(first)
        seen = dropped = 0
        try:
            while True:
                if seen == 0:
                    dropped += drop_empty_lines(buffer)
                end = find_head_end(buffer, seen)
                check_beginning(buffer[:end], dropped=dropped)
                if end is not None:
                    break
                seen = len(buffer)
                data = await self._transport.receive_some(RECEIVE_BYTES)
                if not data:
                    return b""
                buffer += data
            head = parse_head(buffer[:end])
            self.peer = self._door.proxies.behind(self._neighbour, head)
            early = self._door.requests.wait(self.peer.address, trio.current_time())
            policy = attrs.evolve(self._door.policy(), tls=self.peer.tls)
            verdict = too_often(early) if early else decide(head, policy)
        except BadHeadError as error:
            head, verdict = None, error.refusal
        match verdict:
            case PlainHttp():
                return bytes(buffer)
            case WebSocketUpgrade():
                self._upgrade = Arrival(
                    upgrade=verdict,
                    received=bytes(buffer),
                    peer=self.peer,
                    deadline=self._deadline,
                )
                return None
            case Refusal():
                self._log_refusal(verdict, head)
                await self._refuse(verdict, head)
                return b""

    async def _serve_web(self, received: bytes) -> None:
        async def next_request(first: bytes) -> bytes | None:
            request = await self._read_request(first)
            if self._upgrade is not None:
                deadline = trio.current_time() + self._door.handshake_seconds
                self._upgrade = attrs.evolve(self._upgrade, deadline=deadline)
            return request

        await self._door.web.serve(
            self._transport, received, next_request=next_request, peer=lambda: self.peer
        )

    async def _hand_over(self, arrival: Arrival) -> None:
        refusal = await self._admit(self._transport, arrival)
        if refusal is None:
            self.handed_over = True
        else:
            self._log_refusal(refusal, arrival.upgrade.head)
            await self._refuse(refusal, arrival.upgrade.head)

    # What it gets instead.

    async def _refuse(self, refusal: Refusal, head: RequestHead | None) -> None:
        """Answer, and read what is still coming: closing on unread bytes could undo the answer."""
        with trio.move_on_after(REFUSAL_SECONDS):
            await self._transport.send_all(refusal_bytes(refusal, head, tls=self.peer.tls))
            if isinstance(self._transport, trio.SocketStream):
                await self._transport.send_eof()
            for _ in range(MAX_HEAD_BYTES // RECEIVE_BYTES):
                if not await self._transport.receive_some(RECEIVE_BYTES):
                    break

    def _log_refusal(self, refusal: Refusal, head: RequestHead | None) -> None:
        peer = str(self.peer)
        origin = head.value("origin") if refusal.status == HTTPStatus.FORBIDDEN and head else None
        # Refusals that an operator's own setup may cause: TLS ended by a proxy, or a page on
        # another host; and all the world coming from one address.
        if origin is not None:
            log.warning(
                "origin refused", origin=origin[:200], hint="allow it with --origin", peer=peer
            )
        elif refusal is TOO_MANY_HERE:
            log.warning("too many connections from one address", peer=peer, hint=BEHIND_A_PROXY)
        elif refusal.reason == TOO_OFTEN:
            log.warning("one address comes too often", peer=peer, hint=BEHIND_A_PROXY)
        else:
            log.debug("request refused", status=refusal.status, reason=refusal.reason, peer=peer)


async def turn_away(stream: trio.SocketStream, refusal: Refusal, door: Door) -> None:
    """Refuse a connection of which nothing was read, at once, in one write at the most.

    It is over its limit, so nobody waits for its request; who waits for TLS is told nothing.
    """
    if door.tls is None:
        with trio.move_on_after(REFUSAL_SECONDS):
            await stream.send_all(refusal_bytes(refusal, tls=False))
    await trio.aclose_forcefully(stream)
