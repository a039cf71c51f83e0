"""An issuer's keys at an address: when they are fetched, and from a real server that misbehaves."""

import ssl

import pytest
import trio
import trustme
from support.http_receiver import answers, http_receiver, says
from support.key_pairs import jwks, pair

from greenroom.node.identity import jwks as module
from greenroom.node.identity.jwks import (
    ASKED_SECONDS,
    MOST_BYTES,
    JwksSchedule,
    JwksUnavailable,
    open_jwks,
    read_max_age,
)
from greenroom.node.settings.keys import JwksUrl

DOCUMENT = jwks(pair("ES256").jwk("a"))


def schedule():
    return JwksSchedule(interval_seconds=600, stale_seconds=3_600)


def test_the_first_fetch_is_due_at_once():
    assert schedule().next_at < 0


@pytest.mark.parametrize(
    ("max_age", "after"), [(None, 600), (10, 60), (0, 60), (300, 300), (86_400, 600), (1e10, 600)]
)
def test_the_next_one_is_due_by_max_age_within_bounds(max_age, after):
    times = schedule()
    times.worked(1_000, max_age=max_age)
    assert times.next_at == 1_000 + after


def test_after_failures_the_pauses_grow_up_to_a_minute():
    times, pauses = schedule(), []
    for _ in range(6):
        times.failed(0)
        pauses.append(times.next_at)
    assert pauses == [5, 10, 20, 40, 60, 60]
    times.worked(0, max_age=None)
    times.failed(0)
    assert times.next_at == 5


def test_whoever_asks_for_unknown_keys_is_heard_every_ten_seconds():
    times = schedule()
    assert times.may_ask(0)
    times.failed(0)
    assert not times.may_ask(ASKED_SECONDS - 0.1)
    assert times.may_ask(ASKED_SECONDS)
    times.worked(20, max_age=None)
    assert not times.may_ask(20 + ASKED_SECONDS - 0.1)


def test_what_was_fetched_is_fresh_for_a_second_and_good_until_it_is_stale():
    times = schedule()
    assert not times.is_fresh(0)
    times.worked(0, max_age=None)
    times.failed(0.5)
    assert times.is_fresh(1)
    assert not times.is_fresh(1.1)
    assert times.stale_at == 3_600


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("public", None),
        ("max-age=60", 60),
        ("public, MAX-AGE=60, must-revalidate", 60),
        ('max-age="60"', 60),
        ("s-maxage=60", None),
        ("max-age=-1", None),
        ("max-age=" + "9" * 5_000, 9_999_999_999),
        ("no-store, max-age=60", 0),
        ("no-cache", 0),
        ("private, no-cache, no-store", 0),
    ],
)
def test_max_age_is_read(header, seconds):
    assert read_max_age(header) == seconds


# A real server.


async def fetch(url):
    async with open_jwks(JwksUrl(url)) as fetch_keys:
        return await fetch_keys()


@pytest.mark.socket
async def test_keys_are_fetched_with_one_plain_get():
    async with http_receiver() as server:
        server.behave = lambda _: answers(200, DOCUMENT, cache_control="max-age=90")
        fetched = await fetch(server.url + "?tenant=1")
    assert (fetched.document, fetched.max_age) == (DOCUMENT, 90)
    (received,) = server.received
    assert received.body == b""
    assert "authorization" not in received.headers
    assert received.headers["accept-encoding"] == "identity"


@pytest.mark.socket
@pytest.mark.parametrize("status", [204, 301, 302, 304, 307, 401, 404, 429, 500, 503])
async def test_anything_but_200_is_no_answer_and_no_redirect_is_followed(status):
    async with http_receiver() as server:
        server.behave = lambda _: answers(status, location="http://127.0.0.1:1/elsewhere")
        with pytest.raises(JwksUnavailable, match=f"answered {status}"):
            await fetch(server.url)
        assert len(server.received) == 1


@pytest.mark.socket
async def test_a_document_that_is_too_large_is_not_read_to_its_end():
    async with http_receiver() as server:
        server.behave = lambda _: answers(200, b" " * (8 * MOST_BYTES))
        with pytest.raises(JwksUnavailable, match="more than"):
            await fetch(server.url)


@pytest.mark.socket
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b"junk"])
async def test_an_answer_that_breaks_off_is_none(answer):
    async with http_receiver() as server:
        server.behave = lambda _: says(answer)
        with pytest.raises(JwksUnavailable):
            await fetch(server.url)


@pytest.mark.socket
async def test_a_server_that_never_ends_its_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.2)
    async with http_receiver() as server:
        server.behave = lambda _: says(b"HTTP/1.1 200 OK\r\n", then_wait=True)
        with pytest.raises(JwksUnavailable, match="no answer within"):
            await fetch(server.url)


@pytest.mark.parametrize("host", ["a..b", ".example", "a" * 64 + ".example", "[v1.x]"])
async def test_a_host_that_nothing_can_be_called_is_no_answer(host):
    """The address passes for one; asking it must not be a crash."""
    with pytest.raises(JwksUnavailable):
        await fetch(f"https://{host}/jwks.json")


@pytest.mark.socket
async def test_a_server_whose_certificate_nobody_vouches_for_is_not_believed():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with http_receiver(ssl_context=context) as server:
        server.behave = lambda _: answers(200, DOCUMENT)
        with pytest.raises(JwksUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(server.url.replace("http", "https", 1))
        assert server.received == []


@pytest.mark.socket
async def test_nobody_there_is_told_without_the_address():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(JwksUnavailable) as caught:
        await fetch(f"http://127.0.0.1:{port}/jwks?token=s3cret")
    assert "s3cret" not in str(caught.value)
