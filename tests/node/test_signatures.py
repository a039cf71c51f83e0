"""Signatures: the standard's own example, and which secrets are any good."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.settings.kinds import MisfitError
from greenroom.node.signatures import SigningKeys, SigningSecrets, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def keys(text) -> SigningKeys:
    return SigningSecrets().from_text(text)


def test_the_signature_is_that_of_the_standards_libraries():
    """The vector that they all test with: its Python, JavaScript and Go libraries among them."""
    signature = sign(
        keys(SECRET),
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_make_two_signatures_the_newest_first():
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    both = sign(keys(f"{other} {SECRET}"), id="i", timestamp=1, body=b"{}").split()
    assert both == [
        sign(keys(other), id="i", timestamp=1, body=b"{}"),
        sign(keys(SECRET), id="i", timestamp=1, body=b"{}"),
    ]


def test_a_secret_is_never_shown():
    assert SECRET[6:] not in repr(keys(SECRET)) + str(keys(SECRET))


@pytest.mark.parametrize(
    "text",
    ["", "short", "whsec_", "whsec_AAAA", f"{SECRET} {SECRET} {SECRET}", "whsec_" + "A" * 100],
)
def test_what_is_no_secret_is_refused(text):
    with pytest.raises(MisfitError, match="openssl rand"):
        keys(text)


@given(st.binary(min_size=24, max_size=64), st.booleans())
def test_every_secret_of_the_standards_size_is_taken_with_or_without_its_prefix(key, prefixed):
    text = base64.b64encode(key).decode()
    assert keys("whsec_" + text if prefixed else text).reveal() == (key,)
