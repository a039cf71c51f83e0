"""Where one request ends and the next begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.http.framing import RequestFrame

NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


def request(*headers, body=b""):
    return "\r\n".join(["POST / HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


REQUESTS = [
    pytest.param(request(), id="no-body"),
    pytest.param(request("Content-Length: 0"), id="empty-body"),
    pytest.param(request("Content-Length: 5", body=b"hello"), id="length"),
    pytest.param(
        request("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), id="chunked"
    ),
    pytest.param(request(f"Content-Length: {len(NEXT)}", body=NEXT), id="a-request-as-body"),
    pytest.param(request("Connection: close"), id="last-one"),
    pytest.param(request().replace(b"\r\n", b"\n"), id="bare-line-feeds"),
]


@pytest.mark.parametrize("data", REQUESTS)
@given(size=st.integers(min_value=1, max_value=200))
def test_a_request_ends_where_its_framing_says_however_it_is_cut(data, size):
    frame = RequestFrame()
    taken = bytearray()
    stream = data + NEXT
    for start in range(0, len(stream), size):
        piece, rest = frame.take(stream[start : start + size])
        taken += piece
        if frame.ended:
            assert (bytes(taken), rest + stream[start + size :]) == (data, NEXT)
            return
    pytest.fail("never ended")


def test_a_body_that_breaks_its_framing_never_ends():
    frame = RequestFrame()
    for data in (request("Transfer-Encoding: chunked", body=b"zz\r\n"), NEXT):
        assert frame.take(data) == (data, b"")
    assert not frame.ended
