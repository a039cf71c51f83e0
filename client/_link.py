"""One WebSocket: the fence around trio-websocket, and the only file that knows it.

Whatever that library raises, and a node can make it raise much, ends here as an `Ending`. A link
is never used again after it ended.
"""

import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from greenroom.client._stream import WatchedStream
from greenroom.client._target import Connector, Target
from greenroom.protocol import MAX_ANSWER_BYTES, CloseCode, Codec

OPEN_SECONDS: Final = 10.0
"""Longest for name lookup, TCP and TLS together, and again for the upgrade."""

CLOSE_SECONDS: Final = 2.0
"""Longest that a polite close waits for the node's own CLOSE."""

_RECEIVE_BYTES = 16 * 1024
_NEVER_ON_THE_WIRE = frozenset({1005, 1006})  # RFC 6455, 7.4.1: no CLOSE frame came
_RETRY_LATER_STATUS = frozenset({408, 425, 429})
_LONGEST_RETRY_AFTER_SECONDS = 3600.0


@attrs.frozen(kw_only=True)
class Ending:
    """How a connection ended, or why it never began."""

    detail: str
    """For a person."""
    close_code: int | None = None
    """None when no CLOSE frame came."""
    http_status: int | None = None
    """The answer to the upgrade, when it was not 101."""
    retry_after_seconds: float | None = None
    """How long the node asks to wait."""
    final: bool = False
    """Trying again is useless."""
    token_expired: bool = False
    """The node wants another token."""
    cause: Exception | None = None


class LinkEnded(Exception):
    """There is nothing more to read or write here. Never leaves the package."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class Link:
    """An open WebSocket that carries frames. One task reads, one other task writes."""

    def __init__(self, stream: WatchedStream, ws: WebSocketConnection, codec: Codec) -> None:
        self._stream = stream
        self._ws = ws
        self._codec = codec

    async def receive(self) -> str | bytes:
        """The next frame's payload.

        Raises:
            LinkEnded: The node closed the connection, or the network did.
        """
        try:
            frame = await self._ws.get_message()
        except ConnectionClosed as closed:
            raise LinkEnded(_closing(closed)) from None
        self._stream.progress()
        return frame

    async def send(self, frame: bytes) -> None:
        """Write one frame.

        Raises:
            LinkEnded: As for `receive`, whose ending says more.

        Cancellation:
            The frame may be half written: the link can only be closed then.
        """
        try:
            await self._ws.send_message(frame if self._codec.binary else frame.decode())
        except ConnectionClosed as closed:
            raise LinkEnded(_closing(closed)) from None
        except Exception as error:  # wsproto's LocalProtocolError among others
            raise LinkEnded(Ending(detail=f"the connection broke ({error!r})")) from error

    async def aclose(self, code: CloseCode) -> None:
        """Say goodbye if that is still possible, wait a moment for the answer, and hang up.

        Takes `CLOSE_SECONDS` at the most. When cancelled it hangs up at once.
        """
        try:
            if not self._stream.torn:
                with trio.move_on_after(CLOSE_SECONDS):
                    await self._ws.aclose(code, code.reason)
        except Exception:  # noqa: BLE001, S110 - as in `send`; we are leaving anyway
            pass
        finally:
            await trio.aclose_forcefully(self._stream)


async def open_link(
    nursery: trio.Nursery,
    target: Target,
    *,
    connector: Connector,
    codec: Codec,
    on_received: Callable[[], object],
) -> Link:
    """Connect, do TLS and the upgrade.

    Args:
        nursery: Holds trio-websocket's reader; cancel it after `Link.aclose`.
        target: Where to.
        connector: How to get there.
        codec: Its subprotocol is offered.
        on_received: Called whenever bytes come in.

    Raises:
        LinkEnded: It failed; nothing is left open.
    """
    transport = await _connect(target, connector)
    stream = WatchedStream(
        transport, on_received=on_received, max_unframed_bytes=2 * MAX_ANSWER_BYTES
    )
    upgrade = _Upgrade(stream, target, codec.subprotocol)
    try:
        with trio.move_on_after(OPEN_SECONDS):
            await nursery.start(upgrade.host)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    if upgrade.ws is None:
        await trio.aclose_forcefully(stream)
        raise LinkEnded(upgrade.failure)
    return Link(stream, upgrade.ws, codec)


async def _connect(target: Target, connector: Connector) -> trio.abc.Stream:
    where = f"{target.host}:{target.port}"
    try:
        with trio.fail_after(OPEN_SECONDS):
            return await connector(target)
    except trio.TooSlowError:
        raise LinkEnded(Ending(detail=f"no connection to {where} in time")) from None
    except ssl.SSLCertVerificationError as error:
        detail = f"the certificate of {where} is not trusted: {error.verify_message}"
        raise LinkEnded(Ending(detail=detail, final=True, cause=error)) from error
    except (OSError, trio.BrokenResourceError) as error:  # SSLError is an OSError
        detail = f"cannot connect to {where}: {_why(error)}"
        raise LinkEnded(Ending(detail=detail, cause=error)) from error


def _why(error: BaseException) -> str:
    """Why there is no connection, in the few words that a person needs to mend it."""
    match error:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return "the name cannot be looked up now"
        case socket.gaierror():
            return "name not known"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return "no TLS there"
        case ssl.SSLError():
            return f"TLS failed ({(error.reason or 'the node hung up').lower().replace('_', ' ')})"
        case trio.BrokenResourceError():
            return "the node hung up"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            # Trio tries each address of a name, and then raises an OSError over all of it.
            attempt = error.__cause__
            if isinstance(attempt, ExceptionGroup):
                attempt = _first(attempt)  # pyright: ignore[reportUnknownArgumentType]  # of what, isinstance can't say
            return _why(attempt) if attempt is not None else "the network does not let us"


class _Upgrade:
    """The opening handshake, and the task that trio-websocket's reader lives in."""

    def __init__(self, stream: WatchedStream, target: Target, subprotocol: str) -> None:
        self._stream = stream
        self._target = target
        self._subprotocol = subprotocol
        self.ws: WebSocketConnection | None = None
        """None until the handshake has succeeded."""
        self.failure = Ending(detail="the node did not answer the upgrade in time")

    async def host(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Do the handshake, then hold the reader until it ends. Raises only Cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                self.ws = await wrap_client_stream(
                    nursery,
                    self._stream,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # takes any stream, as its docstring says
                    self._target.authority,
                    self._target.resource,
                    subprotocols=[self._subprotocol],
                    max_message_size=MAX_ANSWER_BYTES,
                    receive_buffer_size=_RECEIVE_BYTES,
                )
                self._stream.progress()
                task_status.started()
        except* ConnectionRejected as group:
            self.failure = _rejection(_first(group))
        except* Exception as group:  # noqa: BLE001 - see below
            # A fence: a peer that sends nonsense must not look like a crash of this program. Once
            # the handshake is done, `Link.receive` tells the rest.
            self.failure = Ending(detail="the peer does not speak WebSocket", cause=_first(group))
        if self.ws is None:
            task_status.started()

    async def _watch(self, scope: trio.CancelScope) -> None:
        """End a handshake whose peer has gone; trio-websocket itself would wait for ever."""
        await self._stream.input_over.wait()
        if self.ws is None:
            self.failure = Ending(detail="the node hung up during the upgrade")
            scope.cancel()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """One leaf of `group`; the library's reader is a single task, so there is only one."""
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _closing(closed: ConnectionClosed) -> Ending:
    reason = closed.reason
    if reason is None or reason.code in _NEVER_ON_THE_WIRE:
        return Ending(detail="the connection was lost")
    return Ending(detail=reason.reason or "the node closed", close_code=reason.code)


def _rejection(error: Exception) -> Ending:
    """What an HTTP answer other than 101 means; 4xx is our fault and stays so, mostly."""
    if not isinstance(error, ConnectionRejected):
        return Ending(detail="the node refused the WebSocket", cause=error)
    status = error.status_code
    return Ending(
        detail="the node refused the WebSocket",
        http_status=status,
        retry_after_seconds=_retry_after(error.headers or ()),
        final=300 <= status < 500 and status not in _RETRY_LATER_STATUS,
    )


def _retry_after(headers: tuple[tuple[bytes, bytes], ...]) -> float | None:
    """Seconds from Retry-After (RFC 9110, 10.2.3): a number, or a date by the node's own clock."""
    found = {name.lower(): value.strip() for name, value in headers}
    value = found.get(b"retry-after", b"")
    if value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER_SECONDS)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(found.get(b"date", b"")) or datetime.now(UTC)
    return min(max(0.0, (until - now).total_seconds()), _LONGEST_RETRY_AFTER_SECONDS)


def _http_date(value: bytes) -> datetime | None:
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
