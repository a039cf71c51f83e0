"""What a connection wants, read off the head of its first request: pure functions over bytes.

The head is parsed with h11, as the two servers behind do it, so that no request can look like one
thing here and like another there. Knows neither sockets nor deadlines; `listener.py` feeds it.
"""

import base64
import math
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus

import attrs
import h11

from greenroom.actors.tracebacks import forget_frames
from greenroom.node.door.carriers import (
    NoSuchTokenError,
    OtherSchemeError,
    bearer_token,
    cookie_token,
)
from greenroom.node.door.origin import allows_origin, is_rebound
from greenroom.node.http.security_headers import default_headers
from greenroom.protocol import SUBPROTOCOLS, choose_subprotocol

MAX_HEAD_BYTES = 16 * 1024
WEBSOCKET_PATH = "/ws"
ECHO_PATH = "/echo"  # a WebSocket too, where the settings say so: see `echo.py`
WEBSOCKET_VERSION = "13"  # RFC 6455, 4.1

MAX_HEADERS = 100

# A bare line feed ends a line here too: h11 takes it for one, and such a head is refused.
_END_OF_HEAD = re.compile(rb"\n\r?\n")
# RFC 9112, 2.2 and 5.2: what a proxy in front may have read otherwise.
_AMBIGUOUS = re.compile(rb"(?<!\r)\n|\n[ \t]")


def _without_query(target: str) -> str:
    return repr(target.partition("?")[0])


def _only_names(headers: tuple[tuple[str, str], ...]) -> str:
    return repr([name for name, _ in headers])


@attrs.frozen
class RequestHead:
    """One request line and its headers. Its repr shows neither queries nor values: tokens."""

    method: str
    target: str = attrs.field(repr=_without_query)
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=_only_names)
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
        return next((value for header, value in self.headers if header == name), None)

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
    """A sound WebSocket handshake that this node wants, if its token is good."""

    head: RequestHead
    bearer: str | None = attrs.field(default=None, repr=False)
    """The token of its Authorization header, which has to be good."""
    cookie: str | None = attrs.field(default=None, repr=False)
    """The token of its cookie, which AUTH may mean; only ever beside an Origin that may connect."""


@attrs.frozen(kw_only=True)
class Policy:
    """What the decision depends on besides the request."""

    tls: bool
    """Whether the client's end of the connection is encrypted."""
    origins: Collection[str] = ()
    draining: bool = False
    paths: Collection[str] = (WEBSOCKET_PATH,)
    """Where there is a WebSocket."""
    local_names_only: bool = False
    """Whether the node is reached from this machine alone, so that a page at any other name got
    there by DNS rebinding."""
    token_cookie: str | None = None
    """Name of the cookie that may carry a token; None: none may."""


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


def drop_empty_lines(buffer: bytearray) -> int:
    """Drop what may stand before a request line and return its size; RFC 9112, 2.2."""
    size = len(buffer) - len(buffer.lstrip(b"\r\n"))
    del buffer[:size]
    return size


def check_beginning(buffer: bytes | bytearray, *, dropped: int = 0) -> None:
    """Refuse what is no request head and can't become one, before waiting for the rest of it.

    Args:
        buffer: The beginning of the head.
        dropped: Bytes of empty lines before it: they count too, or nobody would end them.

    Raises:
        BadHeadError: Too long already, or the first byte is no letter of a method (TLS spoken to a
            plain port begins with 0x16).
    """
    if dropped + len(buffer) >= MAX_HEAD_BYTES:
        raise BadHeadError(
            Refusal(431, "The request head is too large.", reason="request head too large")
        )
    if buffer and not 0x41 <= buffer[0] <= 0x7A:
        raise BadHeadError(Refusal(400, "This is no HTTP/1.1 request.", reason="not HTTP"))


def parse_head(data: bytes | bytearray) -> RequestHead:
    """Parse one complete head.

    Raises:
        BadHeadError: h11 does not accept it, it has too many headers, or it could be read in more
            than one way.
    """
    if _AMBIGUOUS.search(data):
        raise BadHeadError(NOT_ONE_READING)
    if data.count(b"\n") > MAX_HEADERS + 2:  # with the request line, and the empty one at the end
        raise BadHeadError(Refusal(431, "There are too many headers.", reason="too many headers"))
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        parser.receive_data(bytes(data))
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        forget_frames(error)
        raise BadHeadError(
            # Its text repeats the line that it does not like, in which a token may stand.
            Refusal(error.error_status_hint, "This is no HTTP/1.1 request.", reason="no sound head")
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
        (head.path not in policy.paths, NO_SUCH_PATH),
        *_handshake_checks(head),
        (not allowed, FOREIGN_ORIGIN),
        (policy.local_names_only and _is_rebound(head, policy), NOT_A_LOCAL_NAME),
    ]
    refusal = next((refusal for wrong, refusal in checks if wrong), None)
    return refusal or _with_its_token(head, policy)


def _is_rebound(head: RequestHead, policy: Policy) -> bool:
    # Without Origin no page asks.
    origin, host = head.value("origin"), head.value("host")
    return origin is not None and is_rebound(origin, host=host, allowed=policy.origins)


def _with_its_token(head: RequestHead, policy: Policy) -> WebSocketUpgrade | Refusal:
    try:
        bearer = bearer_token(head.values("authorization"))
    except OtherSchemeError:
        return OTHER_SCHEME
    except NoSuchTokenError:
        return NOT_ONE_TOKEN
    # Without Origin it is no page that asks, and a cookie is what browsers add by themselves.
    if policy.token_cookie is None or not head.values("origin"):
        return WebSocketUpgrade(head, bearer)
    cookie = cookie_token(head.values("cookie"), policy.token_cookie)
    return WebSocketUpgrade(head, bearer, cookie)


def refusal_bytes(refusal: Refusal, head: RequestHead | None = None, *, tls: bool) -> bytes:
    """Return the whole HTTP response for a refusal.

    Args:
        refusal: What to say.
        head: Of the request, where it could be read.
        tls: Whether the connection is encrypted.
    """
    body = refusal.detail.encode() + b"\n"
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        **default_headers(tls=tls, host=head.value("host") if head else None),
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
        (not ascii_only, NOT_ASCII),
        (head.method != "GET", NOT_GET),
        (head.version != "1.1", NOT_HTTP_1_1),
        (head.values("sec-websocket-version") != [WEBSOCKET_VERSION], OTHER_VERSION),
        (len(head.values("host")) != 1, NOT_ONE_HOST),
        (len(head.values("origin")) > 1, TWO_ORIGINS),
        (len(keys) != 1 or not _is_nonce(keys[0]), NO_NONCE),
        (has_body, HAS_BODY),
        (choose_subprotocol(_subprotocols(head)) is None, NO_SUBPROTOCOL),
    ]


def _subprotocols(head: RequestHead) -> list[str]:
    """Return the subprotocols that a client offers; case counts (RFC 6455, 11.3.4)."""
    lines = head.values("sec-websocket-protocol")
    return [name.strip() for line in lines for name in line.split(",")]


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:  # binascii.Error is one, and so is what a byte beyond ASCII raises
        return False


def _bad_handshake(why: str) -> Refusal:
    return Refusal(400, f"Bad WebSocket handshake: {why}.", reason=why)


def _unavailable(detail: str, reason: str) -> Refusal:
    return Refusal(503, detail, {"Retry-After": "2"}, reason=reason)


def _unauthorized(status: int, detail: str, error: str) -> Refusal:
    """RFC 6750, 3: `error` says what is wrong with the token; there is none for other schemes."""
    challenge = 'Bearer realm="greenroom"' + (f', error="{error}"' if error else "")
    return Refusal(status, detail, {"WWW-Authenticate": challenge}, reason=detail)


NOT_ONE_READING = Refusal(
    400, "This request could be read in more than one way.", reason="bare line feed or folded line"
)
NOT_A_LOCAL_NAME = Refusal(
    421, "Pages connect at localhost or an IP address only.", reason="DNS rebinding"
)
NOT_ASCII = _bad_handshake("a header is not ASCII")
NOT_GET = _bad_handshake("the method is not GET")
NOT_HTTP_1_1 = _bad_handshake("the version is not HTTP/1.1")
NOT_ONE_HOST = _bad_handshake("there has to be one Host")
TWO_ORIGINS = _bad_handshake("there is more than one Origin")
NO_NONCE = _bad_handshake("Sec-WebSocket-Key is no 16 bytes in base64")
HAS_BODY = _bad_handshake("a handshake has no body")
NO_SUBPROTOCOL = Refusal(
    400, f"Expected one of the subprotocols {', '.join(SUBPROTOCOLS)}.", reason="no subprotocol"
)
OTHER_UPGRADE = Refusal(400, "The only upgrade here is to websocket.", reason="other upgrade")
NO_SUCH_PATH = Refusal(404, "Not found.", reason="no WebSocket at this path")
FOREIGN_ORIGIN = Refusal(403, "This origin may not connect.", reason="origin not allowed")
OTHER_SCHEME = _unauthorized(401, "The only Authorization here is a Bearer token.", "")
NOT_ONE_TOKEN = _unauthorized(400, "There has to be one Bearer token.", "invalid_request")
BAD_TOKEN = _unauthorized(401, "This token is not good.", "invalid_token")
EXPIRED_TOKEN = _unauthorized(401, "This token has expired.", "invalid_token")
UNCHECKED_TOKEN = _unavailable("Tokens can't be checked now.", "no keys in time")
TOO_MANY_HERE = Refusal(
    429,
    "There are too many connections from your address.",
    {"Retry-After": "10"},
    reason="address limit reached",
)
TOO_OFTEN = "rate limit of the address"


def too_often(seconds: float) -> Refusal:
    """Refuse an address that comes too often, for so many seconds."""
    return Refusal(
        429,
        "Your address asks too often.",
        {"Retry-After": str(max(1, math.ceil(seconds)))},
        reason=TOO_OFTEN,
    )


DRAINING = _unavailable("This node is stopping.", "draining")
FULL = _unavailable("This node has no free place.", "connection limit reached")
CROWDED = _unavailable("There are too many at the door.", "too many that are no WebSocket")
NOT_STARTED = Refusal(500, "No connection could be opened.", reason="connection actor crashed")
OTHER_VERSION = Refusal(
    426,
    "Speak version 13 of the WebSocket protocol.",
    {"Sec-WebSocket-Version": WEBSOCKET_VERSION, "Upgrade": "websocket"},
    reason="other WebSocket version",
)
