"""The one port: accepts, and lets nothing that one connection does end or hold up another.

An actor. What becomes of a connection is `visit.py`'s. No exception of one ends anything but that
connection, and no shortage of the system's ends the listener.
"""

import errno
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
import trio

from greenroom.actors.tracebacks import forget_frames
from greenroom.node.door.peek import CROWDED
from greenroom.node.door.visit import Admit, Door, Visit, turn_away
from greenroom.node.errors import ListenError
from greenroom.supervisor import Inbox

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.listener")

BACKLOG = 1024

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


@asynccontextmanager
async def open_address(host: str, port: int) -> AsyncGenerator[Sequence[trio.SocketListener]]:
    """Hold `open_listeners`, and close in the end what `serve_listener` has not closed.

    Raises:
        ListenError: As there.
    """
    listeners = await open_listeners(host, port)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.socket.close()


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
            nursery.start_soon(_turn_away_in_fence, stream, door)
            continue
        nursery.start_soon(_serve_in_fence, stream, door, admit)


async def _serve_in_fence(stream: trio.SocketStream, door: Door, admit: Admit) -> None:
    """Serve one connection; whatever goes wrong in there stays in there."""
    visit = Visit(stream, door, admit)
    try:
        await visit.serve()
    except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as gone:
        forget_frames(gone)  # the peer left: how many a connection ends
    except* Exception:
        log.exception("connection failed", peer=str(visit.peer))
    finally:
        if not visit.handed_over:
            await trio.aclose_forcefully(stream)


async def _turn_away_in_fence(stream: trio.SocketStream, door: Door) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await turn_away(stream, CROWDED, door)
