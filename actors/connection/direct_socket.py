"""What a plain socket can do that Trio's streams can't: send and receive without waiting."""

import socket
from collections.abc import Awaitable, Callable

import attrs
import trio


@attrs.frozen
class DirectSocket:
    """What a plain socket can do that a `trio.abc.Stream` can't."""

    send: Callable[[bytes | memoryview], int]
    """Write without waiting; how much was written. Raises BlockingIOError or another OSError."""
    recv: Callable[[int], bytes]
    """Read without waiting; empty at the end. Raises as `send`."""
    descriptor: int
    """For whoever watches it."""
    wait_writable: Callable[[], Awaitable[None]]
    release: Callable[[], object]
    """Forget the descriptor, which belongs to the stream, before the stream closes it."""


def direct_socket(stream: trio.abc.Stream) -> DirectSocket | None:
    """A non-blocking way to write to `stream`, where it is a plain socket and open."""
    if not isinstance(stream, trio.SocketStream) or stream.socket.fileno() < 0:
        return None
    # Trio's own socket has only the async send. This second object shares the descriptor, and
    # `detach` at the end leaves closing to the stream.
    sock = socket.socket(fileno=stream.socket.fileno())
    sock.setblocking(False)

    async def wait_writable() -> None:
        await trio.lowlevel.wait_writable(sock)

    return DirectSocket(sock.send, sock.recv, sock.fileno(), wait_writable, sock.detach)
