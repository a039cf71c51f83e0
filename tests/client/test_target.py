"""Where a URL leads."""

import ssl

import pytest

from greenroom.client._target import parse_url


@pytest.mark.parametrize(
    ("url", "authority", "resource"),
    [
        ("ws://node.test/ws", "node.test", "/ws"),
        ("ws://node.test", "node.test", "/ws"),
        ("ws://node.test:8000/", "node.test:8000", "/ws"),
        ("ws://node.test/other/path?a=b", "node.test", "/other/path?a=b"),
        ("ws://[::1]:8000/ws", "[::1]:8000", "/ws"),
        ("wss://node.test/ws", "node.test", "/ws"),
        ("wss://node.test:80/ws", "node.test:80", "/ws"),
    ],
)
def test_url_is_taken_apart(url, authority, resource):
    target = parse_url(url)
    assert (target.authority, target.resource) == (authority, resource)


def test_wss_verifies_certificates_by_default():
    context = parse_url("wss://node.test").ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    "url", ["http://node.test", "node.test", "ws://", "ws://ann:pw@node.test", "ws://node.test/#x"]
)
def test_what_is_no_websocket_url_is_refused(url):
    with pytest.raises(ValueError, match=r"ws|WebSocket"):
        parse_url(url)


@pytest.mark.parametrize("url", ["ws://node.test:99999/ws", "ws://node.test:x/ws", "ws://[::1/ws"])
def test_a_url_that_cannot_be_taken_apart_is_named(url):
    with pytest.raises(ValueError, match="expected ws://") as caught:
        parse_url(url)
    assert url in str(caught.value)


def test_ssl_context_with_a_plain_url_is_refused():
    with pytest.raises(ValueError, match="wss"):
        parse_url("ws://node.test", ssl.create_default_context())
