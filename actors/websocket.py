"""The fence: everything trio-websocket does for one connection, and everything it does to it.

The only file that knows trio-websocket. It does the handshake, parses frames, answers pings and
close frames over our outbox. What it raises, and it raises much that a client can provoke, ends
here as an `Ending` that says what the peer is to be told.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    wrap_server_stream,
)

from greenroom.actors.outbox import Outbox
from greenroom.actors.services import CastLimits
from greenroom.protocol import SUBPROTOCOLS, CloseCode, Codec, choose_subprotocol

RECEIVE_BYTES: Final = 16 * 1024
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# What wsproto finds wrong with a frame, and what RFC 6455, 7.4.1 calls it. trio-websocket only
# drops the connection; the close frame is ours to send.
VIOLATIONS: Final = frozenset(
    {
        CloseCode.PROTOCOL_ERROR,
        CloseCode.INVALID_DATA,
        CloseCode.MESSAGE_TOO_BIG,
    }
)


@attrs.frozen
class Ending:
    """The client's side of the connection is over."""

    close: CloseCode | None = None
    """What to tell the peer; None if it knows, or can't hear it."""
    answer: bytes = b""
    """What to send instead, where the handshake failed and there is no WebSocket to close."""
    detail: str = ""
    """For the log."""


async def converse(
    outbox: Outbox,
    limits: CastLimits,
    *,
    handshake_until: float,
    on_open: Callable[[Codec], Awaitable[object]],
    on_frame: Callable[[str | bytes], Awaitable[object]],
) -> Ending:
    """Handshake, then one message after the other to `on_frame`, until the client's end.

    Reading waits while `on_frame` does: that is how back-pressure reaches the client.

    Cancellation:
        Goes through; the outbox stays open for a close frame.
    """
    talk = _Talk(outbox, limits)
    try:
        async with trio.open_nursery() as nursery:
            codec = await talk.shake_hands(nursery, handshake_until)
            if codec is not None:
                await on_open(codec)
                await talk.read(on_frame)
            nursery.cancel_scope.cancel()
    except* Exception as group:  # noqa: BLE001 - this is the fence
        talk.blame(group)
    return talk.ending


class _Talk:
    """One connection's trio-websocket, and how it ended."""

    def __init__(self, outbox: Outbox, limits: CastLimits) -> None:
        self._outbox = outbox
        self._limits = limits
        self._ws: WebSocketConnection | None = None
        self.ending = Ending()

    async def shake_hands(self, nursery: trio.Nursery, until: float) -> Codec | None:
        """Accept the client's request in the codec it wants; None if there will be no WebSocket."""
        with trio.CancelScope(deadline=until) as scope:
            self._outbox.while_input = scope
            request = await wrap_server_stream(
                nursery,
                self._outbox,
                message_queue_size=0,
                max_message_size=self._limits.max_frame_bytes,
                receive_buffer_size=RECEIVE_BYTES,
            )
            offered = request.proposed_subprotocols
            codec = choose_subprotocol(offered)
            if codec is None:
                ours = "expected one of: " + ", ".join(SUBPROTOCOLS) + "\n"
                await request.reject(
                    400, extra_headers=[(b"Content-Type", b"text/plain")], body=ours.encode()
                )
                self.ending = Ending(detail=f"unknown subprotocols {offered!r}")
                return None
            chosen = codec.subprotocol if offered else None
            self._ws = await request.accept(subprotocol=chosen)
            self._outbox.while_input = None
            self._outbox.progress()
            return codec
        self.ending = Ending(detail="no handshake")
        return None

    async def read(self, on_frame: Callable[[str | bytes], Awaitable[object]]) -> None:
        """Pass on the client's messages until there are no more."""
        ws = self._ws
        assert ws is not None  # noqa: S101 - shake_hands gave a codec
        self.ending = Ending()
        try:
            while True:
                frame = await ws.get_message()
                self._outbox.progress()
                if size_of(frame) > self._limits.max_frame_bytes:
                    # trio-websocket has counted characters.
                    self.ending = Ending(CloseCode.MESSAGE_TOO_BIG)
                    return
                await on_frame(frame)
        except ConnectionClosed as closed:
            self.ending = self._ending_of(closed.reason)

    def blame(self, group: BaseExceptionGroup[Exception]) -> None:
        """Something was raised in trio-websocket: the client's doing, as far as we know."""
        detail = "; ".join(repr(error) for error in _leaves(group))
        if self._ws is not None:
            self.ending = Ending(CloseCode.PROTOCOL_ERROR, detail=detail)
        else:
            self.ending = Ending(answer=BAD_REQUEST, detail=detail)

    def _ending_of(self, reason: CloseReason | None) -> Ending:
        if reason is None or self._outbox.close_frame_sent or self._outbox.peer_gone:
            return Ending()
        if reason.code not in VIOLATIONS:
            return Ending()
        return Ending(CloseCode(reason.code), detail=reason.reason or "")


def size_of(frame: str | bytes) -> int:
    """Bytes on the wire."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode())


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    leaves: list[Exception] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
