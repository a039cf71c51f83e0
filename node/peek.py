"""What a connection wants, read off the head of its first request: pure functions over bytes.

The head is parsed with h11, as the two servers behind do it, so that no request can look like one
thing here and like another there. Knows neither sockets nor deadlines; `listener.py` feeds it.
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus

import attrs
import h11

from greenroom.node.origin import allows_origin

MAX_HEAD_BYTES = 16 * 1024
WEBSOCKET_PATH = "/ws"
WEBSOCKET_VERSION = "13"  # RFC 6455, 4.1

# h11 accepts bare line feeds as well, so the end of the head is where it says.
_END_OF_HEAD = re.compile(rb"\n\r?\n")


@attrs.frozen
class RequestHead:
    """One request line and its headers."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order received; bytes above 0x7f read as Latin-1."""
    version: str = "1.1"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for header, value in self.headers if header == name]

    def value(self, name: str) -> str | None:
        """Return a header's first value, None when it is not there."""
        return next(iter(self.values(name)), None)

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated tokens of a header, in lower case."""
        return [
            token.strip().lower()
            for value in self.values(name)
            for token in value.split(",")
            if token.strip()
        ]


@attrs.frozen
class Refusal:
    """An answer instead of what was asked for; the connection closes after it."""

    status: int
    detail: str
    """For the peer: what to do better. Never repeats what the peer sent."""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    reason: str = ""
    """For the log."""


@attrs.frozen
class PlainHttp:
    """An ordinary request: the web side answers it."""


@attrs.frozen
class WebSocketUpgrade:
    """A sound WebSocket handshake that this node wants."""

    head: RequestHead


@attrs.frozen(kw_only=True)
class Policy:
    """What the decision depends on besides the request."""

    tls: bool
    origins: Collection[str] = ()
    draining: bool = False


class BadHeadError(Exception):
    """The bytes are no HTTP/1 request head; `refusal` says what to answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def find_head_end(buffer: bytes | bytearray, start: int = 0) -> int | None:
    """Return where the head ends (the blank line included), None while it isn't there yet.

    Args:
        buffer: Everything received.
        start: How much of it an earlier call has seen already.
    """
    end = _END_OF_HEAD.search(buffer, max(0, start - 2))
    return end.end() if end is not None else None


def drop_empty_lines(buffer: bytearray) -> None:
    """Drop what may stand before a request line; RFC 9112, 2.2."""
    del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]


def check_beginning(buffer: bytes | bytearray) -> None:
    """Refuse what is no request head and can't become one, before waiting for the rest of it.

    Raises:
        BadHeadError: Too long already, or the first byte is no letter of a method (TLS spoken to a
            plain port begins with 0x16).
    """
    if len(buffer) >= MAX_HEAD_BYTES:
        raise BadHeadError(
            Refusal(431, "The request head is too large.", reason="request head too large")
        )
    if buffer and not 0x41 <= buffer[0] <= 0x7A:
        raise BadHeadError(Refusal(400, "This is no HTTP/1.1 request.", reason="not HTTP"))


def parse_head(data: bytes | bytearray) -> RequestHead:
    """Parse one complete head.

    Raises:
        BadHeadError: h11 does not accept it.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        parser.receive_data(bytes(data))
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise BadHeadError(
            Refusal(error.error_status_hint, "This is no HTTP/1.1 request.", reason=str(error))
        ) from None
    if not isinstance(event, h11.Request):
        raise BadHeadError(Refusal(400, "This is no HTTP/1.1 request.", reason="no request"))
    if event.http_version not in {b"1.1", b"1.0"}:
        raise BadHeadError(
            Refusal(505, "This server speaks HTTP/1.1.", reason="other HTTP version")
        )
    head = RequestHead(
        method=event.method.decode("ascii"),
        target=event.target.decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
        ),
        version=event.http_version.decode("ascii"),
    )
    if head.values("content-length") and head.values("transfer-encoding"):
        # RFC 9112, 6.3: a proxy in front may have believed the other one.
        raise BadHeadError(Refusal(400, "Two lengths of one body.", reason="two body lengths"))
    return head


def decide(head: RequestHead, policy: Policy) -> PlainHttp | WebSocketUpgrade | Refusal:
    """Say what becomes of a request.

    Only a request that means to upgrade can be refused here; all others are the web side's, which
    has its own 404s and limits.
    """
    protocols = head.tokens("upgrade")
    if protocols and protocols != ["websocket"]:
        # Hypercorn would change over to HTTP/2 on "h2c", whatever Connection says.
        return OTHER_UPGRADE
    if "upgrade" not in head.tokens("connection") or not protocols:
        return PlainHttp()
    allowed = allows_origin(
        head.value("origin"), host=head.value("host"), tls=policy.tls, allowed=policy.origins
    )
    checks = [
        (policy.draining, DRAINING),
        (head.path != WEBSOCKET_PATH, NO_SUCH_PATH),
        *_handshake_checks(head),
        (not allowed, FOREIGN_ORIGIN),
    ]
    return next((refusal for wrong, refusal in checks if wrong), WebSocketUpgrade(head))


def refusal_bytes(refusal: Refusal) -> bytes:
    """Return the whole HTTP response for a refusal."""
    body = refusal.detail.encode() + b"\n"
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **refusal.headers,
    }
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _handshake_checks(head: RequestHead) -> list[tuple[bool, Refusal]]:
    """Hold a handshake against RFC 6455, 4.2.1, and against what trio-websocket can't bear."""
    keys = head.values("sec-websocket-key")
    has_body = head.value("content-length") not in {None, "0"} or bool(
        head.values("transfer-encoding")
    )
    # trio-websocket decodes some headers as ASCII in its reader task, where the error would end
    # the process.
    ascii_only = all(name.isascii() and value.isascii() for name, value in head.headers)
    return [
        (not ascii_only, _bad_handshake("a header is not ASCII")),
        (head.method != "GET", _bad_handshake("the method is not GET")),
        (head.version != "1.1", _bad_handshake("the version is not HTTP/1.1")),
        (head.values("sec-websocket-version") != [WEBSOCKET_VERSION], OTHER_VERSION),
        (len(head.values("host")) != 1, _bad_handshake("there has to be one Host")),
        (len(head.values("origin")) > 1, _bad_handshake("there is more than one Origin")),
        (
            len(keys) != 1 or not _is_nonce(keys[0]),
            _bad_handshake("Sec-WebSocket-Key is no 16 bytes in base64"),
        ),
        (has_body, _bad_handshake("a handshake has no body")),
    ]


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _bad_handshake(why: str) -> Refusal:
    return Refusal(400, f"Bad WebSocket handshake: {why}.", reason=why)


def _unavailable(detail: str, reason: str) -> Refusal:
    return Refusal(503, detail, {"Retry-After": "2"}, reason=reason)


OTHER_UPGRADE = Refusal(400, "The only upgrade here is to websocket.", reason="other upgrade")
NO_SUCH_PATH = Refusal(404, "Not found.", reason="no WebSocket at this path")
FOREIGN_ORIGIN = Refusal(403, "This origin may not connect.", reason="origin not allowed")
DRAINING = _unavailable("This node is stopping.", "draining")
FULL = _unavailable("This node has no free place.", "connection limit reached")
NOT_STARTED = Refusal(500, "No connection could be opened.", reason="connection actor crashed")
OTHER_VERSION = Refusal(
    426,
    "Speak version 13 of the WebSocket protocol.",
    {"Sec-WebSocket-Version": WEBSOCKET_VERSION, "Upgrade": "websocket"},
    reason="other WebSocket version",
)
