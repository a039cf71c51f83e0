"""The fence: the WebSocket handshake, by trio-websocket and wsproto, and all they do with it.

The only file that knows the two. What they raise, and they raise much that a client can provoke,
ends here as an `Ending` that says what the peer is to be told. Frames are not their business:
`frame_reader` reads those, because it counts and bounds what they do not.
"""

from typing import Final

import trio
from trio_websocket import WebSocketConnection, WebSocketRequest
from wsproto import ConnectionType, WSConnection
from wsproto.events import RejectConnection, RejectData, Request
from wsproto.utilities import RemoteProtocolError

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.tracebacks import forget_frames
from greenroom.protocol import SUBPROTOCOLS, Codec, choose_subprotocol

RECEIVE_BYTES: Final = 16 * 1024
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


async def shake_hands(outbox: Outbox, reader: FrameReader) -> Codec | Ending:
    """Accept the client's request in the codec it wants, or say why there will be no WebSocket.

    Args:
        outbox: The client.
        reader: Gets what came right behind the request, which no client should send before it has
            our answer (RFC 6455, 4.1): whether it comes in the same segment must not matter.

    Cancellation:
        Goes through; the outbox stays open.
    """
    handshake = _Handshake(outbox)
    try:
        request = await handshake.read_request(outbox)
        if request is None:
            return Ending()
        answer = await _answer(request)
        outbox.progress()
        reader.feed(handshake.behind_request, outbox.last_received_at)
    except Exception as error:  # noqa: BLE001 - this is the fence
        forget_frames(error)
        return Ending(answer=BAD_REQUEST, detail=repr(error))
    finally:
        handshake.dissolve()
    return answer


async def _answer(request: WebSocketRequest) -> Codec | Ending:
    offered = request.proposed_subprotocols
    codec = choose_subprotocol(offered)
    if codec is None:
        ours = "expected one of: " + ", ".join(SUBPROTOCOLS) + "\n"
        await request.reject(
            400, extra_headers=[(b"Content-Type", b"text/plain")], body=ours.encode()
        )
        # Not their names: some clients of other servers put a token there.
        return Ending(detail=f"{len(offered)} unknown subprotocols")
    # No extensions: what is not agreed on makes its reserved bits a violation (RFC 6455, 9.1).
    await request.accept(subprotocol=codec.subprotocol if offered else None)
    return codec


class _Handshake(WebSocketConnection):
    """trio-websocket's connection without its reader task and its queue, up to the first frame.

    Everything of it that is private and that we rely on stands in this class and nowhere else, and
    tests/actors/connection/test_websocket.py fails when a new version changes it.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream, WSConnection(ConnectionType.SERVER), message_queue_size=0)

    async def read_request(self, outbox: Outbox) -> WebSocketRequest | None:
        """Read until there is a request for an upgrade; None when the client's side ends."""
        while True:
            data = await outbox.receive_some(RECEIVE_BYTES)
            if not data:
                return None
            try:
                self._wsproto.receive_data(data)
            except RemoteProtocolError as error:
                # wsproto can't reject what it has not understood, and raises here in turn.
                if isinstance(error.event_hint, RejectConnection | RejectData):
                    forget_frames(error)
                    await self._send(error.event_hint)
                    return None
                raise
            for event in self._wsproto.events():
                if isinstance(event, Request):
                    return WebSocketRequest(self, event)

    def dissolve(self) -> None:
        """Take apart what wsproto has made for frames: a cycle, and nobody's business here."""
        connection = self._wsproto.connection
        if connection is not None:
            vars(connection._proto).clear()

    @property
    def behind_request(self) -> bytes:
        """What came after the request's head."""
        data, _over = self._wsproto.handshake._h11_connection.trailing_data
        return data
