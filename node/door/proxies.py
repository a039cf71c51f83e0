"""Who is at the other end of a connection when a proxy stands between: pure decisions.

Nobody is believed by default: the peer is what the socket says. The operator names the proxies
whose word counts, and the one way in which they say it: a PROXY header before everything else
(`proxy_protocol.py`), or a header of each request, `Forwarded` (RFC 7239) or `X-Forwarded-For`. Of
what these headers hold, only what trusted proxies have added counts, so they are read from the
right, up to the first address that is no trusted proxy. What a client writes into them itself
stands further left, and is never read.
"""

import enum
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import attrs

from greenroom.node.door.peek import RequestHead
from greenroom.node.door.proxy_protocol import Proxied

Network = IPv4Network | IPv6Network

# RFC 7239, 4: pairs of a token and a value, which is a token or in quotes.
_WORD: Final = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
_PAIR: Final = re.compile(rf'[ \t]*{_WORD}=(?:{_WORD}|"((?:[^"\\]|\\.)*)")[ \t]*')
REMEMBERED: Final = 1024  # addresses: a connect asks for its own five times
_COUNTED_BITS: Final = 64  # of an IPv6 address: what one subscriber has at the least; RFC 6177


class AddressSource(enum.Enum):
    """Where a client's address is read."""

    CONNECTION = "connection"
    """Off the socket: there is no proxy."""
    PROXY_PROTOCOL = "proxy-protocol"
    FORWARDED = "forwarded"
    X_FORWARDED_FOR = "x-forwarded-for"


@attrs.frozen
class Peer:
    """The other end of a connection, as far as we believe it."""

    address: str
    """Its IP address in its one spelling; an IPv4 address that came as IPv6 is an IPv4 address."""
    port: int
    """0 where a proxy does not say."""
    tls: bool
    """Whether its end of the connection is encrypted, be it by us or by a proxy."""

    def __str__(self) -> str:
        if not self.port:
            return self.address
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@attrs.frozen(kw_only=True)
class Proxies:
    """Whose word counts about where a connection comes from, and how it is said."""

    trusted: tuple[Network, ...] = ()
    source: AddressSource = AddressSource.CONNECTION

    def trusts(self, address: str) -> bool:
        """Whether this is the address of a proxy whose word counts."""
        parsed = _parse(address) if self.trusted else None
        return parsed is not None and any(parsed in network for network in self.trusted)

    def announces(self, proxy: Peer) -> bool:
        """Whether a connection from there begins with a PROXY header; then it has to."""
        return self.source is AddressSource.PROXY_PROTOCOL and self.trusts(proxy.address)

    def announced(self, proxy: Peer, said: Proxied) -> Peer:
        """Return who is behind `proxy`, by its PROXY header."""
        tls = proxy.tls if said.tls is None else said.tls
        if said.address is None:
            return attrs.evolve(proxy, tls=tls)
        return Peer(canonical_address(said.address), said.port, tls)

    def behind(self, proxy: Peer, head: RequestHead) -> Peer:
        """Return who has sent this request, which came from `proxy`; by its headers, if trusted.

        A hop without an address (`unknown`, a made-up name) and a header that can't be read end the
        search: it was the last proxy that could be told.
        """
        if not self.trusts(proxy.address):
            return proxy
        if self.source is AddressSource.FORWARDED:
            return self._last_untrusted(proxy, _forwarded_hops(head))
        if self.source is AddressSource.X_FORWARDED_FOR:
            said = [
                scheme.strip() for scheme in ",".join(head.values("x-forwarded-proto")).split(",")
            ]
            scheme = said[-1].lower()
            hops = ",".join(head.values("x-forwarded-for")).split(",")
            return self._last_untrusted(proxy, ((hop.strip(), scheme) for hop in reversed(hops)))
        return proxy

    def _last_untrusted(self, proxy: Peer, hops: Iterable[tuple[str, str]]) -> Peer:
        """Go from hop to hop, nearest first, each an address and a scheme as they were written."""
        peer = proxy
        for text, scheme in hops:
            hop = _read_hop(text)
            if hop is None:
                break
            tls = {"https": True, "http": False, "wss": True, "ws": False}.get(scheme, peer.tls)
            peer = Peer(*hop, tls)
            if not self.trusts(peer.address):
                break
        return peer


@lru_cache(REMEMBERED)
def canonical_address(address: str) -> str:
    """Return an IP address in its one spelling; anything else as it is."""
    parsed = _parse(address)
    return address if parsed is None else str(parsed)


@lru_cache(REMEMBERED)
def counted_as(address: str) -> str:
    """Return under which name an address is counted: IPv6 by /64, as one subscriber has so many."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), _COUNTED_BITS), strict=False))
    return address if parsed is None else str(parsed)


def read_network(text: str) -> Network:
    """Read an address, or a network with the bits behind its prefix zero.

    Raises:
        ValueError: It is neither, or is everybody.
    """
    network = ip_network(text)
    if not network.prefixlen:
        raise ValueError("everybody")
    return network


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # A scope is about this machine's links, not about the other end.
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _read_hop(text: str) -> tuple[str, int] | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    address = _parse(host)
    if address is None:
        return None
    # A port may be made up too (RFC 7239, 6): the address counts without it.
    known = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF
    return str(address), int(port) if known else 0


def _forwarded_hops(head: RequestHead) -> Iterator[tuple[str, str]]:
    """Read what each proxy has said, nearest first; stops before a line that can't be read."""
    for line in reversed(head.values("forwarded")):
        elements = _read_forwarded(line)
        if elements is None:
            return
        for element in reversed(elements):
            yield element.get("for", ""), element.get("proto", "").lower()


def _read_forwarded(line: str) -> list[dict[str, str]] | None:
    """Return the elements of one line of `Forwarded`, None if there is anything else in it."""
    elements: list[dict[str, str]] = [{}]
    place = 0
    while True:
        pair = _PAIR.match(line, place)
        if pair is None:
            return None
        name, bare, quoted = pair.groups()
        name = name.lower()
        if name in elements[-1]:
            return None
        elements[-1][name] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        place = pair.end()
        if place == len(line):
            return elements
        if line[place] == ",":
            elements.append({})
        elif line[place] != ";":
            return None
        place += 1
