"""The Origin check as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.origin import allows_origin, canonical_origin, is_local_name

LISTED = ("https://chat.example",)


@pytest.mark.parametrize(
    ("origin", "host", "tls", "allowed"),
    [
        (None, "localhost:8000", False, True),
        ("http://localhost:8000", "localhost:8000", False, True),
        ("HTTP://LocalHost:8000", "localhost:8000", False, True),
        ("http://chat.example", "chat.example", False, True),
        ("http://chat.example:80", "chat.example", False, True),
        ("http://other.example", "chat.example:80", False, False),
        ("https://other.example:443", "other.example", True, True),
        ("http://[::1]:8000", "[::1]:8000", False, True),
        ("https://chat.example", "node.internal:8000", False, True),
        ("https://chat.example:443", "node.internal", False, True),
        # Not the same origin: scheme, port, host.
        ("https://localhost:8000", "localhost:8000", False, False),
        ("http://localhost:8000", "localhost:8000", True, False),
        ("http://localhost:8001", "localhost:8000", False, False),
        ("http://127.0.0.1:8000", "localhost:8000", False, False),
        # No trick with a listed name.
        ("https://chat.example.evil.example", "x", False, False),
        ("https://evilchat.example", "x", False, False),
        ("https://sub.chat.example", "x", False, False),
        ("https://chat.example@evil.example", "x", False, False),
        ("https://chat.example:444", "x", False, False),
        ("http://chat.example", "x", False, False),
        ("https://chat.example/", "x", False, False),
        ("https://chat.example\\.evil.example", "x", False, False),
        ("https://chat.example.", "x", False, False),
        ("https://CHAT.example", "x", False, True),
        ("HTTPS://chat.example", "x", False, True),
        ("https://chat.example.:443", "x", False, False),
        ("https://chat.example:0443", "x", False, True),
        ("https://chat.example:", "x", False, False),
        ("https://chat.example:0", "x", False, False),
        ("https://chat.example:443:443", "x", False, False),
        ("https://chat.example:+443", "x", False, False),
        ("https://chat.example%2eevil.example", "x", False, False),
        ("https://chat.example%00.evil.example", "x", False, False),
        ("https://chat.example\t.evil.example", "x", False, False),
        ("https://chat.example?.evil.example", "x", False, False),
        ("https://chat.example#.evil.example", "x", False, False),
        ("https://evil.example#https://chat.example", "x", False, False),
        ("https://evil.example?https://chat.example", "x", False, False),
        ("https://user:pw@chat.example", "x", False, False),
        ("https:chat.example", "x", False, False),
        ("https:/chat.example", "x", False, False),
        ("https:///chat.example", "x", False, False),
        ("https:\\\\chat.example", "x", False, False),
        ("wss://chat.example", "x", False, False),
        ("ftp://chat.example", "x", False, False),
        ("chrome-extension://chat.example", "x", False, False),
        (" https://chat.example", "x", False, False),
        ("https://chat.example https://evil.example", "x", False, False),
        ("https://chat.example,https://evil.example", "x", False, False),
        ("https://xn--cht-5cd.example", "x", False, False),
        ("https://*.example", "x", False, False),
        ("https://[::1]", "[::1]", True, True),
        ("https://[0:0:0:0:0:0:0:1]", "[::1]", True, False),
        ("https://[::1", "[::1", True, False),
        ("https://::1", "::1", True, False),
        ("https://[chat.example]", "x", False, False),
        ("NULL", "x", False, False),
        ("null", "x", False, False),
        ("null", "null", False, False),
        ("", "", False, False),
        ("file://", "", False, False),
        ("https://", "", True, False),
        ("chat.example", "chat.example", False, False),
        ("http://a:99999", "a:99999", False, False),
        ("http://ch\u0430t.example", "ch\u0430t.example", False, False),
    ],
)
def test_origin_matrix(origin, host, tls, allowed):
    assert allows_origin(origin, host=host, tls=tls, allowed=LISTED) is allowed


def test_without_a_host_no_origin_is_the_same():
    assert not allows_origin("http://localhost", host=None, tls=False, allowed=())


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.168.0.7", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example:8000", False),
        ("evil@localhost", False),
        ("localhost:99999", False),
        ("", False),
        (None, False),
    ],
)
def test_local_names(host, local):
    assert is_local_name(host) is local


@given(st.text(max_size=40))
def test_a_canonical_origin_is_its_own_canonical_form(text):
    for candidate in (text, f"http://{text}", f"https://{text}"):
        origin = canonical_origin(candidate)
        if origin is not None:
            assert canonical_origin(origin) == origin
