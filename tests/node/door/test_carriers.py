"""Where a token may stand in a handshake, as tables."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.carriers import (
    NoSuchTokenError,
    OtherSchemeError,
    bearer_token,
    cookie_token,
)

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln-_~+/="


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_a_bearer_token_is_taken(scheme):
    assert bearer_token([scheme + TOKEN]) == TOKEN


def test_without_a_header_there_is_no_token():
    assert bearer_token([]) is None


@pytest.mark.parametrize(
    ("values", "error"),
    [
        pytest.param(["Basic YW5uOnNlY3JldA=="], OtherSchemeError, id="basic"),
        pytest.param([TOKEN], OtherSchemeError, id="no-scheme"),
        pytest.param(["Bearertoken x"], OtherSchemeError, id="longer-scheme"),
        pytest.param(["Bearer:" + TOKEN], OtherSchemeError, id="colon"),
        pytest.param([""], OtherSchemeError, id="empty"),
        pytest.param(["Bearer"], NoSuchTokenError, id="no-token"),
        pytest.param(["Bearer "], NoSuchTokenError, id="empty-token"),
        pytest.param([f"Bearer {TOKEN} {TOKEN}"], NoSuchTokenError, id="two-tokens"),
        pytest.param([f"Bearer {TOKEN}, Basic eA=="], NoSuchTokenError, id="two-schemes"),
        pytest.param([f'Bearer "{TOKEN}"'], NoSuchTokenError, id="quotes"),
        pytest.param([f"Bearer\t{TOKEN}"], OtherSchemeError, id="tab"),
        pytest.param([f"Bearer {TOKEN}"] * 2, NoSuchTokenError, id="twice-the-same"),
        pytest.param([f"Bearer {TOKEN}", "Basic eA=="], NoSuchTokenError, id="two-headers"),
    ],
)
def test_what_is_no_single_bearer_token_is_refused(values, error):
    with pytest.raises(error):
        bearer_token(values)


@pytest.mark.parametrize(
    ("cookies", "token"),
    [
        ([f"session={TOKEN}"], TOKEN),
        ([f"a=1; session={TOKEN}; b=2"], TOKEN),
        ([f"a=1;session={TOKEN}"], TOKEN),
        (["a=1", f"session={TOKEN}"], TOKEN),
        ([f'session="{TOKEN}"'], TOKEN),
        ([], None),
        (["session="], None),
        (["session"], None),
        (["Session=x"], None),
        (["xsession=x; session2=y"], None),
        (["a=session=x"], None),
        # Another host of the domain has set one too.
        (["session=x; session=y"], None),
        (["session=x", "session=x"], None),
    ],
)
def test_the_cookie_of_the_name_is_taken(cookies, token):
    assert cookie_token(cookies, "session") == token


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=3))
def test_any_headers_give_a_token_none_or_a_refusal(values):
    cookie_token(values, "session")
    with contextlib.suppress(OtherSchemeError, NoSuchTokenError):
        token = bearer_token(values)
        assert token is None or token in values[0]
