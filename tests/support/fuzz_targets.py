"""What is fuzzed: each target takes any bytes, and raises only where the code under it is wrong.

A target does more than to call: what was read is written and read again, what came in pieces must
mean the same as in one, and only the errors that a reader promises may come out of it.
"""

import base64
import contextlib
import ipaddress
from collections.abc import Callable
from typing import Final

import jwt

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader, Ping
from greenroom.node.door.carriers import (
    NoSuchTokenError,
    OtherSchemeError,
    bearer_token,
    cookie_token,
)
from greenroom.node.door.peek import (
    MAX_HEAD_BYTES,
    BadHeadError,
    PlainHttp,
    Policy,
    Refusal,
    RequestHead,
    WebSocketUpgrade,
    check_beginning,
    decide,
    find_head_end,
    parse_head,
    refusal_bytes,
)
from greenroom.node.door.proxies import AddressSource, Peer, Proxies, counted_as, read_network
from greenroom.node.door.proxy_protocol import ProxyHeaderError, read_proxy_header
from greenroom.protocol import (
    JSON_CODEC,
    PROTOBUF_CODEC,
    Claims,
    CloseCode,
    Codec,
    DecodeError,
    Error,
    ServerMachine,
    TokenError,
    read_jwks,
    verify_token,
)

SECRET: Final = "a secret of at least thirty-two bytes"
NOW: Final = 1_800_000_000.0
MAX_FRAME_BYTES: Final = 300
SOON: Final = 0.0
POLICY: Final = Policy(tls=False)
PROXY: Final = Peer("127.0.0.1", 4_000, tls=False)


def json_frame(data: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):
        _read_and_write(JSON_CODEC, data.decode())


def protobuf_frame(data: bytes) -> None:
    _read_and_write(PROTOBUF_CODEC, data)


def _read_and_write(codec: Codec, frame: str | bytes) -> None:
    for decode in (codec.decode_command, codec.decode_answer):
        try:
            message = decode(frame)
        except DecodeError:
            continue
        again = codec.encode(message)
        assert decode(again if codec.binary else again.decode()) == message


def machine(data: bytes) -> None:
    """Frames with empty lines between them; the first good AUTH lets in."""
    server = ServerMachine(JSON_CODEC)
    for number, line in enumerate(data.split(b"\n\n")):
        with contextlib.suppress(UnicodeDecodeError):
            said = server.receive(line.decode())
            if isinstance(said, CloseCode):
                return
            if not isinstance(said, Error) and number == 0:
                server.authenticated()


def frames(data: bytes) -> None:
    """The first byte says in what pieces the others come."""
    if data:
        size, rest = data[0] % 17 + 1, data[1:]
        pieces = [rest[start : start + size] for start in range(0, len(rest), size)]
        whole, cut = _read_frames([rest]), _read_frames(pieces)
        # Bytes behind a violation can't come before it: what was said before is the same.
        assert whole == cut, (whole, cut)


def _read_frames(pieces: list[bytes]) -> list[object]:
    reader = FrameReader(MAX_FRAME_BYTES, max_fragments=8)
    found: list[object] = []
    for piece in pieces:
        reader.feed(piece, SOON)
        while (message := reader.next_message()) is not None:
            if isinstance(message, Ending):
                found.append((message.close, message.heard, message.answer))
                return found
            if isinstance(message, Ping):
                assert len(message.payload) <= 125
            else:
                assert reader.size <= MAX_FRAME_BYTES
            found.append(message)
    return found


def head(data: bytes) -> None:
    """A request's head as the listener reads it, and what becomes of it."""
    end = find_head_end(data)
    try:
        check_beginning(data[:end])
        if end is None:
            return
        parsed = parse_head(data[:end])
    except BadHeadError as error:
        _check_response(error.refusal)
        return
    assert end <= MAX_HEAD_BYTES
    verdict = decide(parsed, POLICY)
    if isinstance(verdict, Refusal):
        _check_response(verdict)
    elif isinstance(verdict, WebSocketUpgrade):
        assert parsed.method == "GET"
        assert parsed.path == "/ws"
        assert all(value.isascii() for _, value in parsed.headers)
    else:
        assert isinstance(verdict, PlainHttp)
        assert "upgrade" not in parsed.tokens("connection") or not parsed.tokens("upgrade")


def _check_response(refusal: Refusal) -> None:
    assert 400 <= refusal.status < 600
    assert refusal_bytes(refusal, tls=False).count(b"\r\n\r\n") == 1


def token(data: bytes) -> None:
    """A token as it comes; behind a "{", the claims of one that we have signed ourselves."""
    if data.startswith(b"{"):
        _verify(jwt.api_jws.encode(data, SECRET, algorithm="HS256"))
    elif data.startswith(b"."):
        # A header of the fuzzer's own before claims that are good.
        first = base64.urlsafe_b64encode(data[1:]).rstrip(b"=").decode()
        good = jwt.encode({"sub": "ann", "exp": NOW + 60}, SECRET, algorithm="HS256")
        assert not _verify(".".join([first, *good.split(".")[1:]]))
    else:
        assert not _verify(data.decode("latin-1"))


def _verify(text: str) -> bool:
    try:
        claims = verify_token(text, secret=SECRET, now=NOW)
    except TokenError:
        return False
    assert isinstance(claims, Claims)
    assert claims.expires_at > NOW
    return True


def jwks(data: bytes) -> None:
    """What an issuer's address of keys may bring."""
    with contextlib.suppress(ValueError):
        for key in read_jwks(data).keys:
            assert not key.verifies(b"signed", b"no signature")


def proxy(data: bytes) -> None:
    """A PROXY header; whatever a whole one is followed by, it stays the same."""
    try:
        found = read_proxy_header(data)
    except ProxyHeaderError:
        return
    if found is None:
        return
    proxied, size = found
    assert 0 < size <= len(data)
    if proxied.address is not None:
        ipaddress.ip_address(proxied.address)
    assert read_proxy_header(data[:size]) == found == read_proxy_header(data + b"GET")
    for end in range(size):  # every beginning may become one
        assert read_proxy_header(data[:end]) is None


def carriers(data: bytes) -> None:
    """What proxies and browsers write into headers, a line each: an address, or a token."""
    text = data.decode("latin-1")
    named = [
        (name, line)
        for name in ("forwarded", "x-forwarded-for", "x-forwarded-proto")
        for line in text.split("\n")
    ]
    seen = RequestHead("GET", "/ws", tuple(named))
    for source in AddressSource:
        proxies = Proxies(trusted=(read_network("127.0.0.0/8"),), source=source)
        behind = proxies.behind(PROXY, seen)
        ipaddress.ip_address(behind.address)
        assert 0 <= behind.port <= 65_535
        assert counted_as(behind.address)
    cookie = cookie_token(text.split("\n"), "greenroom")
    assert cookie is None or (cookie and cookie in text)
    with contextlib.suppress(OtherSchemeError, NoSuchTokenError):
        bearer = bearer_token(text.split("\n"))
        assert bearer is not None
        assert bearer in text


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "json": json_frame,
    "protobuf": protobuf_frame,
    "machine": machine,
    "frames": frames,
    "head": head,
    "token": token,
    "jwks": jwks,
    "proxy": proxy,
    "carriers": carriers,
}
