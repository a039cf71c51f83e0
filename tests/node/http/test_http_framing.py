"""Requests that two readers could take for different ones, on raw sockets before the real listener.

Each is followed by a request of its own: where the first is refused, the second is never answered.
"""

import re

import pytest
import trio
from support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.socket

POST = b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BODY = b'{"name":"a"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


@pytest.mark.parametrize(
    ("first", "status"),
    [
        pytest.param(POST + LENGTH + CHUNKED + b"0\r\n\r\n", 400, id="CL.TE"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNK + b"0\r\n\r\n",
            400,
            id="TE.CL",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: identity\r\n" + CHUNKED + b"0\r\n\r\n", 501, id="TE.TE"
        ),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, id="xchunked"),
        pytest.param(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, id="space"),
        pytest.param(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, id="fold"),
        pytest.param(POST + b"X: a\n" + CHUNKED + b"0\r\n\r\n", 400, id="bare-LF-before-TE"),
        pytest.param(POST + b"X: a\r" + CHUNKED + b"0\r\n\r\n", 400, id="bare-CR-before-TE"),
        pytest.param(POST + LENGTH + b"Content-Length: 1\r\n\r\n" + BODY, 400, id="two-lengths"),
        pytest.param(POST + b"Content-Length: 1, 2\r\n\r\n" + BODY, 400, id="a-list-of-lengths"),
        pytest.param(POST + b"Content-Length: +12\r\n\r\n" + BODY, 400, id="signed-length"),
        pytest.param(POST + b"Content-Length : 12\r\n\r\n" + BODY, 400, id="length-after-space"),
        pytest.param(POST + b"Content-Length: \r\n\r\n" + BODY, 400, id="empty-length"),
        pytest.param(POST + CHUNKED + b"-c\r\n" + BODY, 400, id="negative-chunk"),
        pytest.param(POST + CHUNKED + b"0xc\r\n" + BODY, 400, id="chunk-in-C"),
        pytest.param(POST + CHUNKED + b"f" * 40 + b"\r\n" + BODY, 400, id="huge-chunk"),
        pytest.param(POST + CHUNKED + CHUNK[:-2] + b"XX0\r\n\r\n", 400, id="chunk-without-end"),
        pytest.param(
            POST.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"0\r\n\r\n", 400, id="chunked-1.0"
        ),
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    node, first, status
):
    with trio.fail_after(PATIENCE_SECONDS):
        answer = await node.exchange(first + GET)
    assert statuses(answer) == [status]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(POST + LENGTH + b"\r\n" + BODY, id="length"),
        pytest.param(POST + CHUNKED + CHUNK + b"0\r\n\r\n", id="chunked"),
        pytest.param(
            POST + CHUNKED.replace(b"chunked", b"CHUNKED") + CHUNK + b"0\r\n\r\n", id="CHUNKED"
        ),
        pytest.param(POST + CHUNKED + CHUNK + b"0\r\nContent-Length: 3\r\n\r\n", id="trailers"),
    ],
)
async def test_what_can_be_read_in_one_way_is_answered_and_so_is_what_follows(node, first):
    with trio.fail_after(PATIENCE_SECONDS):
        assert statuses(await node.exchange(first + GET)) == [200, 200]


async def test_a_get_with_a_body_hides_no_request(node):
    hidden = b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    answer = await node.exchange(first + hidden + GET)
    assert statuses(answer) == [200, 200]
    assert b"javascript" not in answer


async def test_a_body_that_ends_before_its_length_is_400(node):
    async with await node.connect() as stream:
        await stream.send_all(POST + b"Content-Length: 13\r\n\r\n" + BODY)
        await stream.send_eof()
        with trio.fail_after(PATIENCE_SECONDS):
            answer = b"".join([bytes(chunk) async for chunk in stream])
    assert statuses(answer) == [400]


async def test_a_body_that_is_longer_than_announced_is_the_next_request_and_is_none(node):
    answer = await node.exchange(POST + LENGTH + b"\r\n" + BODY + b"more\r\n\r\n")
    assert statuses(answer) == [200, 400]


async def test_requests_that_come_together_are_answered_in_order(node):
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    two = b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = await node.exchange((one + two) * 50 + GET)
    assert statuses(answer) == [200] * 101
    kinds = re.findall(rb"content-type: (\S+)", answer.lower())
    assert kinds == [b"application/json", b"text/javascript;"] * 50 + [b"application/json"]


async def test_no_answer_repeats_what_was_sent(node):
    """In no status, header or body: neither path, query, header, body nor method."""
    mark = b"5TkwPq"
    for data in (
        b"GET /5TkwPq?5TkwPq=5TkwPq HTTP/1.1\r\nHost: 5TkwPq\r\nX-5TkwPq: 5TkwPq\r\n\r\n",
        b"5TkwPq / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://5TkwPq\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: 5TkwPq\r\nConnection: Upgrade\r\n\r\n",
        POST.replace(b"application/json", mark) + b"Content-Length: 6\r\n\r\n5TkwPq",
        POST + b"Content-Length: 8\r\n\r\n{5TkwPq}",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n5TkwPq\r\n\r\n",
        b"GET / HTTP/5TkwPq\r\n\r\n",
    ):
        closing = data.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost", 1)
        with trio.fail_after(PATIENCE_SECONDS):
            answer = await node.exchange(closing)
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
        assert mark not in answer
