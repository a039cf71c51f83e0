"""The PROXY protocol, versions 1 and 2, as its receiver reads it: pure functions over bytes.

What HAProxy, nginx and the balancers of most clouds send before anything else, TLS included:
https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Strict, because only a trusted proxy
may send it: what is not exactly a header is an error. Of version 2's extras only the one about
TLS is read; its checksum is not looked at, as TCP has one.
"""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import attrs

MAX_V1_BYTES: Final = 107  # section 2.1: "the receiver must be prepared to read"
MAX_V2_BYTES: Final = 4096  # allowed are 64 KiB; addresses and extras of real proxies are below 1
MAX_HEADER_BYTES: Final = MAX_V2_BYTES

_V1_START: Final = b"PROXY "
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD: Final = struct.Struct("!12sBBH")
_V2_LOCAL, _V2_PROXY = 0x20, 0x21  # version 2 in the upper half
_V1_FAMILIES: Final = {"TCP4": 4, "TCP6": 6}
_UNSPECIFIED, _UNIX = 0x00, 0x31
_V2_FAMILIES: Final = {  # {family and transport: (the two addresses and ports, kind of address)}
    0x11: (struct.Struct("!4s4sHH"), IPv4Address),
    0x21: (struct.Struct("!16s16sHH"), IPv6Address),
}
_UNIX_BYTES: Final = 216
_ABOUT_TLS: Final = 0x20
_CLIENT_SPOKE_TLS: Final = 0x01


class ProxyHeaderError(Exception):
    """The bytes are no PROXY header; the text says why and repeats none of them."""


@attrs.frozen
class Proxied:
    """What a proxy says about the connection behind its own."""

    address: str | None = None
    """The client's IP address. None: the proxy speaks for itself (a health check, section 2.2), or
    knows none."""
    port: int = 0
    tls: bool | None = None
    """Whether the client spoke TLS to the proxy; None: it does not say."""


def read_proxy_header(data: bytes) -> tuple[Proxied, int] | None:
    """Return what the header at the beginning of `data` says, and its size; None: it isn't whole.

    Raises:
        ProxyHeaderError: There is none, and there will be none whatever follows.
    """
    if data.startswith(_V2_START[: len(data)]):
        return _read_v2(data)
    if data.startswith(_V1_START[: len(data)]):
        return _read_v1(data)
    raise ProxyHeaderError("no PROXY header")


def _read_v1(data: bytes) -> tuple[Proxied, int] | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise ProxyHeaderError("no end of line in a PROXY header of version 1")
        return None
    line = data[len(_V1_START) : end].decode("latin-1")
    family, *fields = line.split(" ")
    if family == "UNKNOWN":
        return Proxied(), end + 2
    if family not in _V1_FAMILIES or len(fields) != 4:
        raise ProxyHeaderError("no PROXY header of version 1")
    source, _destination = (_v1_address(family, text) for text in fields[:2])
    port, _ = (_v1_port(text) for text in fields[2:])
    return Proxied(source, port), end + 2


def _v1_address(family: str, text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ProxyHeaderError("no IP address in a PROXY header") from None
    if address.version != _V1_FAMILIES[family] or "%" in text:
        raise ProxyHeaderError("an address of another family in a PROXY header")
    return str(address)


def _v1_port(text: str) -> int:
    # int() takes "1_0" and "+1" too.
    if not (text.isascii() and text.isdigit() and len(text) <= 5) or int(text) > 0xFFFF:
        raise ProxyHeaderError("no port in a PROXY header")
    return int(text)


def _read_v2(data: bytes) -> tuple[Proxied, int] | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, size = _V2_HEAD.unpack_from(data)
    end = _V2_HEAD.size + size
    if command not in {_V2_LOCAL, _V2_PROXY}:
        raise ProxyHeaderError("an unknown command in a PROXY header")
    if end > MAX_V2_BYTES:
        raise ProxyHeaderError("a PROXY header that is too large")
    if len(data) < end:
        return None
    if command == _V2_LOCAL:
        return Proxied(), end
    return _read_v2_body(family, data[_V2_HEAD.size : end]), end


def _read_v2_body(family: int, body: bytes) -> Proxied:
    if family == _UNSPECIFIED:
        return Proxied()
    if family == _UNIX:
        return Proxied(tls=_spoke_tls(body, _UNIX_BYTES))
    if family not in _V2_FAMILIES:
        raise ProxyHeaderError("a transport that is not TCP in a PROXY header")
    layout, kind = _V2_FAMILIES[family]
    if len(body) < layout.size:
        raise ProxyHeaderError("half an address in a PROXY header")
    source, _destination, port, _ = layout.unpack_from(body)
    return Proxied(str(kind(source)), port, _spoke_tls(body, layout.size))


def _spoke_tls(body: bytes, start: int) -> bool | None:
    """Look through the extras, each a kind, a size of two bytes, and so many bytes."""
    spoke = None
    while start < len(body):
        if len(body) < start + 3:
            raise ProxyHeaderError("half an extra in a PROXY header")
        kind, size = struct.unpack_from("!BH", body, start)
        value = body[start + 3 : start + 3 + size]
        if len(value) < size:
            raise ProxyHeaderError("half an extra in a PROXY header")
        if kind == _ABOUT_TLS and value:
            spoke = bool(value[0] & _CLIENT_SPOKE_TLS)
        start += 3 + size
    return spoke
