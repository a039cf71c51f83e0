"""The token matrix: what must let nobody in, and by exactly which error it does not."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.token_matrix import RULES, bad_tokens, good_claims, good_tokens, own, trusted

from greenroom.protocol import TokenError, verify_with_keys

NOW = 1_800_000_000.0
ROWS = bad_tokens(NOW)


def verify(token):
    return verify_with_keys(token, keys=trusted(), now=NOW, rules=RULES)


@pytest.mark.parametrize("token", good_tokens(NOW).values(), ids=good_tokens(NOW))
def test_a_good_token_lets_its_bearer_in(token):
    claims = verify(token)
    assert (claims.subject, claims.issuer, claims.audience) == (
        "ada",
        "https://issuer.example",
        ("chat",),
    )


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
def test_a_bad_token_lets_nobody_in(row):
    with pytest.raises(TokenError) as caught:
        verify(row.token)
    assert type(caught.value) is row.error


def test_no_error_holds_any_part_of_a_token():
    """Parts are runs of 12 characters: what a search for a token in a log would find."""
    for row in ROWS:
        with pytest.raises(TokenError) as caught:
            verify(row.token)
        shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
        parts = {row.token[at : at + 12] for at in range(min(len(row.token), 9_000) - 11)}
        assert not [part for part in parts if part in shown], row.title


def test_every_row_has_a_title_of_its_own():
    titles = [row.title for row in ROWS]
    assert len(set(titles)) == len(titles) > 100


# Whatever else is done to a good token.

GOOD = good_tokens(NOW)
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \n\0\u0430"


@given(st.sampled_from(list(GOOD)), st.data())
def test_no_change_of_a_good_token_verifies(name, data):
    token = GOOD[name]
    changed = list(token)
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        at = data.draw(st.integers(0, len(changed) - 1), "at")
        match data.draw(st.sampled_from(["replace", "insert", "delete", "swap", "cut"]), "how"):
            case "replace":
                changed[at] = data.draw(st.sampled_from(CHARACTERS), "character")
            case "insert":
                changed.insert(at, data.draw(st.sampled_from(CHARACTERS), "character"))
            case "delete" if len(changed) > 1:
                del changed[at]
            case "swap":
                changed[at], changed[at - 1] = changed[at - 1], changed[at]
            case "cut":
                changed = changed[: at + 1]
    if "".join(changed) != token:
        with pytest.raises(TokenError):
            verify("".join(changed))


@given(st.sampled_from(list(GOOD)), st.sampled_from(list(GOOD)), st.integers(0, 2))
def test_no_segment_of_another_good_token_verifies(name, other, segment):
    parts = GOOD[name].split(".")
    parts[segment] = GOOD[other].split(".")[segment]
    if parts != GOOD[name].split("."):
        with pytest.raises(TokenError):
            verify(".".join(parts))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "jwk", "cty", "enc", "zip"])
CLAIMS = st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "rooms"])


@settings(max_examples=50)
@given(st.dictionaries(NAMES, JSON, max_size=4), st.dictionaries(CLAIMS, JSON, max_size=4))
def test_any_header_and_any_claims_give_claims_or_a_token_error(header, claims):
    """Signed with the node's own secret, so that what is claimed is looked at."""
    token = own({"alg": "HS256", **header}, {**good_claims(NOW), **claims})
    with suppress(TokenError):
        assert verify(token).subject
