"""Whose word counts about where a client comes from, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.peek import RequestHead
from greenroom.node.door.proxies import (
    AddressSource,
    Peer,
    Proxies,
    canonical_address,
    counted_as,
    read_network,
)
from greenroom.node.door.proxy_protocol import Proxied

NETWORKS = tuple(read_network(text) for text in ("10.0.0.0/8", "192.0.2.7", "2001:db8:aa::/48"))
PROXY = Peer("10.0.0.1", 5000, tls=False)
STRANGER = Peer("198.51.100.66", 5000, tls=False)
FORWARDED = Proxies(trusted=NETWORKS, source=AddressSource.FORWARDED)
X_FORWARDED = Proxies(trusted=NETWORKS, source=AddressSource.X_FORWARDED_FOR)
ANNOUNCED = Proxies(trusted=NETWORKS, source=AddressSource.PROXY_PROTOCOL)


def head(*headers):
    return RequestHead("GET", "/ws", headers)


def forwarded(*lines):
    return FORWARDED.behind(PROXY, head(*(("forwarded", line) for line in lines)))


def x_forwarded(*lines, proto=()):
    headers = [("x-forwarded-for", line) for line in lines]
    headers += [("x-forwarded-proto", scheme) for scheme in proto]
    return X_FORWARDED.behind(PROXY, head(*headers))


@pytest.mark.parametrize(
    ("lines", "address", "port"),
    [
        ((), "10.0.0.1", 5000),
        (("",), "10.0.0.1", 5000),
        (("203.0.113.9",), "203.0.113.9", 0),
        (("203.0.113.9:4711",), "203.0.113.9", 4711),
        (("203.0.113.9:99999",), "203.0.113.9", 0),
        (("2001:DB8::9",), "2001:db8::9", 0),
        (("[2001:db8::9]:4711",), "2001:db8::9", 4711),
        (("::ffff:203.0.113.9",), "203.0.113.9", 0),
        # The right-most hop that is no trusted proxy, whoever stands left of it.
        (("1.2.3.4, 203.0.113.9",), "203.0.113.9", 0),
        (("203.0.113.9, 10.9.9.9",), "203.0.113.9", 0),
        (("1.2.3.4, 203.0.113.9, 192.0.2.7, 10.1.1.1",), "203.0.113.9", 0),
        (("1.2.3.4", "203.0.113.9", "10.1.1.1"), "203.0.113.9", 0),
        (("10.0.0.3,10.0.0.2",), "10.0.0.3", 0),
        (("10.5.5.5, 203.0.113.9",), "203.0.113.9", 0),  # a client that claims to be a proxy
        # What is no address ends the search.
        (("unknown",), "10.0.0.1", 5000),
        (("203.0.113.9, unknown, 10.0.0.2",), "10.0.0.2", 0),
        (("203.0.113.9,",), "10.0.0.1", 5000),
        (("<script>, 203.0.113.9",), "203.0.113.9", 0),
        (("203.0.113.9 10.0.0.2",), "10.0.0.1", 5000),
        (("203.0.113.009",), "10.0.0.1", 5000),
        (("[2001:db8::9",), "10.0.0.1", 5000),
    ],
)
def test_x_forwarded_for(lines, address, port):
    peer = x_forwarded(*lines)
    assert (peer.address, peer.port) == (address, port)


@pytest.mark.parametrize(
    ("lines", "address", "tls"),
    [
        ((), "10.0.0.1", False),
        (("for=203.0.113.9",), "203.0.113.9", False),
        (('For="203.0.113.9:4711" ; Proto=HTTPS;by=10.0.0.1',), "203.0.113.9", True),
        (('for="[2001:db8::9]:4711";proto=https',), "2001:db8::9", True),
        (('for="\\2\\03.0.113.9"',), "203.0.113.9", False),
        (("for=1.2.3.4;proto=http, for=203.0.113.9;proto=https",), "203.0.113.9", True),
        (("for=203.0.113.9;proto=https, for=10.0.0.2;proto=http",), "203.0.113.9", True),
        (("for=203.0.113.9;proto=https", "for=10.0.0.2"), "203.0.113.9", True),
        (("for=203.0.113.9;host=evil.example;secret=1",), "203.0.113.9", False),
        # What hides who it was, or says nothing about it.
        (("for=unknown",), "10.0.0.1", False),
        (("for=_hidden, for=10.0.0.2",), "10.0.0.2", False),
        (("proto=https",), "10.0.0.1", False),
        # What a client writes does not reach beyond its own line, nor beyond the proxy's word.
        (('for="1.2.3.4', "for=203.0.113.9"), "203.0.113.9", False),
        (('for="1.2.3.4, for=203.0.113.9',), "10.0.0.1", False),
        (('for="1.2.3.4, for=5.6.7.8";x=", for=203.0.113.9',), "10.0.0.1", False),
        (("for=1.2.3.4;for=5.6.7.8",), "10.0.0.1", False),
        (("for = 1.2.3.4",), "10.0.0.1", False),
        (("for=1.2.3.4;",), "10.0.0.1", False),
    ],
)
def test_forwarded(lines, address, tls):
    peer = forwarded(*lines)
    assert (peer.address, peer.tls) == (address, tls)


@pytest.mark.parametrize(
    ("proto", "tls"),
    [
        ((), False),
        (("https",), True),
        (("HTTPS",), True),
        (("wss",), True),
        (("http",), False),
        (("http, https",), True),
        (("https", "http"), False),
        (("gopher",), False),
    ],
)
def test_x_forwarded_proto_is_what_the_nearest_proxy_says(proto, tls):
    assert x_forwarded("203.0.113.9", proto=proto).tls is tls


SPOOFED = head(
    ("forwarded", "for=203.0.113.9;proto=https"),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-real-ip", "203.0.113.9"),
)


@pytest.mark.parametrize("proxies", [FORWARDED, X_FORWARDED, ANNOUNCED, Proxies()])
def test_headers_of_whoever_is_not_trusted_count_for_nothing(proxies):
    assert proxies.behind(STRANGER, SPOOFED) is STRANGER


@pytest.mark.parametrize("proxies", [ANNOUNCED, Proxies(trusted=NETWORKS)])
def test_headers_count_for_nothing_where_the_address_is_read_elsewhere(proxies):
    assert proxies.behind(PROXY, SPOOFED) is PROXY


@pytest.mark.parametrize(("proxies", "address"), [(FORWARDED, "1.1.1.1"), (X_FORWARDED, "2.2.2.2")])
def test_only_the_chosen_header_is_read(proxies, address):
    both = head(("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "2.2.2.2"))
    assert proxies.behind(PROXY, both).address == address


def test_only_a_trusted_proxy_begins_with_a_proxy_header():
    assert ANNOUNCED.announces(PROXY)
    assert not ANNOUNCED.announces(STRANGER)
    assert not FORWARDED.announces(PROXY)


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        (Proxied("203.0.113.9", 1, tls=True), Peer("203.0.113.9", 1, tls=True)),
        (Proxied("::ffff:203.0.113.9", 1), Peer("203.0.113.9", 1, tls=False)),
        (Proxied(), PROXY),
        (Proxied(tls=True), Peer("10.0.0.1", 5000, tls=True)),
    ],
)
def test_a_proxy_header_says_who_is_behind(said, peer):
    assert ANNOUNCED.announced(PROXY, said) == peer


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.255.255.255", True),
        ("::ffff:10.0.0.1", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:aa:1::1", True),
        ("2001:db8:ab::1", False),
        ("", False),
        ("10.0.0.1:80", False),
        ("gone", False),
    ],
)
def test_trusted_networks(address, trusted):
    assert FORWARDED.trusts(address) is trusted


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_ipv6_addresses_are_counted_by_what_one_subscriber_has(address, counted):
    assert counted_as(address) == counted


@pytest.mark.parametrize("text", ["10.0.0.1/8", "0.0.0.0/0", "::/0", "proxy.example", "", "10.0"])
def test_what_is_no_network_of_proxies(text):
    with pytest.raises(ValueError):  # noqa: PT011  # its text is the library's
        read_network(text)


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=80), max_size=3))
def test_any_header_gives_a_peer_with_an_address(lines):
    for peer in (forwarded(*lines), x_forwarded(*lines, proto=lines)):
        assert canonical_address(peer.address) == peer.address
        assert 0 <= peer.port <= 0xFFFF


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=80), max_size=3))
def test_what_a_client_writes_never_counts_when_its_proxy_adds_a_line(lines):
    """The address that the trusted proxy saw is the client's, whatever the client claims."""
    assert forwarded(*lines, "for=203.0.113.9").address == "203.0.113.9"
    assert x_forwarded(*lines, "203.0.113.9").address == "203.0.113.9"
    assert x_forwarded(",".join([*lines, " 203.0.113.9"])).address == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (Peer("203.0.113.9", 80, tls=True), "203.0.113.9:80"),
        (Peer("2001:db8::9", 80, tls=True), "[2001:db8::9]:80"),
        (Peer("2001:db8::9", 0, tls=True), "2001:db8::9"),
    ],
)
def test_a_peer_in_the_log(peer, text):
    assert str(peer) == text
