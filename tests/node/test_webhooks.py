"""Webhooks against a real HTTP server that fails, stalls, breaks off, redirects."""

import ssl

import pytest
import trio
import trustme
from support.http_receiver import answers, http_receiver, says
from support.patience import PATIENCE_SECONDS

from greenroom.actors.callbacks.ports import Callback, SinkRefused, SinkUnavailable
from greenroom.actors.ports import GateUnavailable
from greenroom.node.signatures import SigningSecrets
from greenroom.node.webhooks import (
    ANSWER_BYTES,
    WebhookGate,
    WebhookSink,
    open_poster,
    retry_after,
)
from greenroom.protocol import ALL_RIGHTS, Right

pytestmark = pytest.mark.socket

KEYS = SigningSecrets().from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NOW = 1_800_000_000.7
CALLBACK = Callback(id="cb_1", room="lobby", events=1, body=b'{"version":1}')


def poster(connections=2):
    return open_poster(KEYS, connections=connections, now=lambda: NOW)


async def deliver(url, *, seconds=5.0, attempt=1):
    async with poster() as post:
        await WebhookSink(post, url, seconds=seconds).deliver(CALLBACK, attempt=attempt)


async def test_a_request_carries_what_the_standard_wants():
    async with http_receiver() as receiver:
        await deliver(receiver.url, attempt=3)
    (received,) = receiver.received
    assert received.body == CALLBACK.body
    headers = received.headers
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "cb_1"
    assert headers["webhook-timestamp"] == "1800000000"
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["greenroom-attempt"] == "3"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_done(status):
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answers(status, b"" if status == 204 else b"fine")
        await deliver(receiver.url)


@pytest.mark.parametrize("status", [301, 302, 307, 408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again_later(status):
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answers(status, location="/elsewhere")
        with pytest.raises(SinkUnavailable, match=f"answered {status}"):
            await deliver(receiver.url)
        assert len(receiver.received) == 1, "no redirect is followed"


@pytest.mark.parametrize(
    ("status", "content"),
    [(400, True), (401, False), (404, False), (410, False), (413, True), (422, True)],
)
async def test_what_does_not_pass_is_refused(status, content):
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answers(status)
        with pytest.raises(SinkRefused) as refused:
            await deliver(receiver.url)
        assert refused.value.content is content


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Fri, 15 Jan 2027 08:01:40 GMT", 99.3),
        ("Fri, 15 Jan 2021 08:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value, seconds):
    assert retry_after(value, now=NOW) == (seconds and pytest.approx(seconds))


async def test_the_wish_of_a_receiver_is_passed_on():
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answers(503, retry_after="7")
        with pytest.raises(SinkUnavailable) as trouble:
            await deliver(receiver.url)
        assert trouble.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    "answer",
    [
        says(b""),
        says(b"HTTP/1.1 200"),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
        says(b"SSH-2.0-OpenSSH\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n"),
    ],
    ids=["closed", "in the head", "in the body", "not HTTP", "endless head"],
)
async def test_an_answer_that_breaks_off_is_no_answer(answer):
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answer
        with pytest.raises(SinkUnavailable):
            await deliver(receiver.url)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nha"],
    ids=["silent", "in the head", "in the body"],
)
async def test_a_receiver_that_stalls_is_given_up_in_time_and_its_connection_closed(start):
    async with http_receiver() as receiver:
        receiver.behave = lambda _: says(start, then_wait=True)
        async with poster() as post:
            sink = WebhookSink(post, receiver.url, seconds=0.1)
            for _ in range(3):  # more often than there are connections
                with (
                    trio.fail_after(PATIENCE_SECONDS),
                    pytest.raises(SinkUnavailable, match=r"within 0\.1 s"),
                ):
                    await sink.deliver(CALLBACK, attempt=1)
            receiver.behave = None
            await sink.deliver(CALLBACK, attempt=1)
            with trio.fail_after(PATIENCE_SECONDS):
                while receiver.open_connections > 1:  # noqa: ASYNC110
                    await trio.sleep(0.01)


async def test_a_cancelled_request_leaves_its_connection_to_nobody():
    async with http_receiver() as receiver, poster(connections=1) as post:
        sink = WebhookSink(post, receiver.url, seconds=5)
        receiver.behave = lambda _: says(b"", then_wait=True)
        for n in range(10):
            with trio.move_on_after(0.01 * n):
                await sink.deliver(CALLBACK, attempt=1)
        receiver.behave = None
        with trio.fail_after(PATIENCE_SECONDS):
            await sink.deliver(CALLBACK, attempt=1)


async def test_connections_are_used_again_and_no_more_than_allowed():
    async with http_receiver() as receiver, poster(connections=2) as post:
        sink = WebhookSink(post, receiver.url, seconds=5)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(lambda: sink.deliver(CALLBACK, attempt=1))
        assert len(receiver.received) == 20
        assert receiver.connections == 2


async def test_of_an_endless_answer_only_the_beginning_is_read():
    async def answer_without_end(stream, _connection):
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(bytes(ANSWER_BYTES))

    async with http_receiver() as receiver:
        receiver.behave = lambda _: answer_without_end
        await deliver(receiver.url)


async def test_nobody_listening_is_trouble_that_may_pass():
    async with http_receiver() as receiver:
        url = receiver.url
    with pytest.raises(SinkUnavailable, match="ConnectError"):
        await deliver(url)


async def test_a_name_that_nobody_knows_is_trouble_that_may_pass():
    with pytest.raises(SinkUnavailable):
        await deliver("http://nobody.invalid/hook")


async def test_the_environments_proxies_are_left_out(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with http_receiver() as receiver:
        await deliver(receiver.url)


async def test_a_certificate_that_nobody_vouches_for_is_trouble():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with http_receiver(ssl_context=context) as receiver:
        with pytest.raises(SinkUnavailable, match="certificate"):
            await deliver(f"https://127.0.0.1:{receiver.port}/hook")
        assert receiver.received == []


# Who may enter?


async def ask(receiver, answer):
    receiver.behave = lambda _: answer
    async with poster() as post:
        return await WebhookGate(post, receiver.url, node="n1").rights_in("team:a", "ann")


async def test_the_gate_asks_about_one_user_and_one_room():
    async with http_receiver() as receiver:
        assert await ask(receiver, answers(200, b'{"allow": true}')) == ALL_RIGHTS
    (received,) = receiver.received
    assert received.json == {
        "version": 1,
        "type": "access",
        "node": "n1",
        "room": "team:a",
        "user": "ann",
    }
    assert received.headers["webhook-id"].startswith("ac_")
    assert received.headers["webhook-signature"].startswith("v1,")


@pytest.mark.parametrize(
    ("body", "rights"),
    [
        (b'{"allow": true, "rights": ["join", "read"]}', {Right.JOIN, Right.READ}),
        (b'{"allow": true, "rights": [], "more": 1}', frozenset()),
        (b'{"allow": false}', None),
        (b'{"allow": false, "rights": ["join"]}', None),
    ],
)
async def test_the_gates_answer(body, rights):
    async with http_receiver() as receiver:
        assert await ask(receiver, answers(200, body)) == rights


@pytest.mark.parametrize(
    "answer",
    [
        answers(200, b""),
        answers(200, b"yes"),
        answers(200, b"[true]"),
        answers(200, b'{"allow": "true"}'),
        answers(200, b'{"allow": true, "rights": ["fly"]}'),
        answers(200, b'{"allow": true, "rights": 1}'),
        answers(204),
        answers(403),
        answers(500),
        answers(302, location="/"),
        says(b""),
    ],
)
async def test_whatever_else_it_says_nobody_knows(answer):
    async with http_receiver() as receiver:
        with pytest.raises(GateUnavailable):
            await ask(receiver, answer)
