"""The PROXY protocol: a header, half of one, or none, told apart however the bytes are cut."""

import contextlib
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.proxy_protocol import (
    MAX_HEADER_BYTES,
    Proxied,
    ProxyHeaderError,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
REST = b"GET /ws HTTP/1.1\r\n"
ADDRESSES = ip_address("203.0.113.9").packed + ip_address("192.0.2.1").packed + b"\x12\x34\x01\xbb"
ADDRESSES_6 = ip_address("2001:db8::9").packed + ip_address("::1").packed + b"\x12\x34\x01\xbb"


def v2(body=ADDRESSES, *, command=0x21, family=0x11):
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def extra(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


GOOD = {
    b"PROXY TCP4 203.0.113.9 192.0.2.1 4660 443\r\n": Proxied("203.0.113.9", 4660),
    b"PROXY TCP6 2001:db8::9 ::1 4660 443\r\n": Proxied("2001:db8::9", 4660),
    b"PROXY UNKNOWN\r\n": Proxied(),
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": Proxied(),
    v2(): Proxied("203.0.113.9", 4660),
    v2(ADDRESSES_6, family=0x21): Proxied("2001:db8::9", 4660),
    v2(b"", command=0x20, family=0x00): Proxied(),  # LOCAL
    v2(ADDRESSES, command=0x20): Proxied(),
    v2(b"", family=0x00): Proxied(),
    v2(b"/" * 216, family=0x31): Proxied(),
    v2(ADDRESSES + extra(0x01, b"h2") + extra(0x04, b"\0" * 9)): Proxied("203.0.113.9", 4660),
    v2(ADDRESSES + extra(0x20, b"\x01\0\0\0\0" + extra(0x21, b"TLSv1.3"))): Proxied(
        "203.0.113.9", 4660, tls=True
    ),
    v2(ADDRESSES + extra(0x20, b"\0\0\0\0\0")): Proxied("203.0.113.9", 4660, tls=False),
}
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"\r\n\r\nGET",
    b"proxy TCP4",
    b"PROXY TCP5 203.0.113.9 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
    b"PROXY TCP6 203.0.113.9 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.09 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 localhost 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 1\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2 3\r\n",
    b"PROXY TCP4 203.0.113.9  192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 2\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 -1 2\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 1_0 2\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 \xb2 2\r\n",
    b"PROXY UNKNOWN " + b"x" * 100,
    v2(command=0x11),
    v2(command=0x22),
    v2(family=0x12),  # UDP
    v2(family=0x99),
    v2(ADDRESSES[:-1]),
    v2(ADDRESSES, family=0x21),
    v2(ADDRESSES + b"\x01\0"),
    v2(ADDRESSES + b"\x01\0\x05abcd"),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 0xFFFF),
]


@pytest.mark.parametrize(("header", "said"), GOOD.items())
def test_a_header_says_who_is_behind_the_proxy(header, said):
    assert read_proxy_header(header + REST) == (said, len(header))


@pytest.mark.parametrize("header", GOOD)
def test_each_beginning_of_a_header_is_not_yet_one(header):
    for size in range(len(header)):
        assert read_proxy_header(header[:size]) is None


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(ProxyHeaderError):
        read_proxy_header(data)


starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"])


@given(starts, st.binary(max_size=300))
def test_any_bytes_are_a_header_the_beginning_of_one_or_an_error(start, data):
    with contextlib.suppress(ProxyHeaderError):
        found = read_proxy_header(start + data)
        if found is not None:
            said, size = found
            assert 15 <= size <= len(start + data)
            assert said.address is None or ip_address(said.address)


@given(starts, st.binary(max_size=300))
def test_a_verdict_holds_whatever_follows(start, data):
    """So a reader may stop at the first one, and never waits for what can't come."""
    for size in range(len(start), len(start + data)):
        try:
            early = read_proxy_header((start + data)[:size])
        except ProxyHeaderError:
            with pytest.raises(ProxyHeaderError):
                read_proxy_header(start + data)
            return
        if early is not None:
            assert read_proxy_header(start + data) == early
            return


def test_nobody_has_to_be_waited_for_beyond_the_bound():
    with pytest.raises(ProxyHeaderError):
        read_proxy_header(b"PROXY UNKNOWN" + b"x" * MAX_HEADER_BYTES)
    with pytest.raises(ProxyHeaderError):
        read_proxy_header(SIGNATURE + struct.pack("!BBH", 0x20, 0, MAX_HEADER_BYTES))
