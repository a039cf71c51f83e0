"""Tokens: only what we signed, only while it is good, and never quoted."""

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import (
    Claims,
    KeySet,
    TokenError,
    TokenExpired,
    TokenInvalid,
    TokenRules,
    hmac_key,
    issue_token,
    verify_token,
    verify_with_keys,
)

SECRET = "s" * 32
NOW = 1_717_036_800.0
GOOD = {"sub": "ada", "exp": NOW + 60}


def signed(claims: Any, *, secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


def raw(header: bytes, payload: bytes = b"{}") -> str:
    parts = (header, payload, b"x" * 32)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_an_issued_token_is_good_until_its_last_second() -> None:
    token = issue_token("ada", secret=SECRET, now=NOW, lifetime_seconds=60, token_id="t1")
    claims = verify_token(token, secret=SECRET, now=NOW + 59.9)
    assert (claims.subject, claims.expires_at, claims.issued_at, claims.token_id) == (
        "ada",
        NOW + 60,
        NOW,
        "t1",
    )


def test_an_expired_token_is_told_apart() -> None:
    token = issue_token("ada", secret=SECRET, now=NOW, lifetime_seconds=60)
    with pytest.raises(TokenExpired):
        verify_token(token, secret=SECRET, now=NOW + 60)


def test_an_expired_token_of_another_issuer_is_invalid_not_expired() -> None:
    with pytest.raises(TokenInvalid):
        verify_token(signed(GOOD, secret="o" * 32), secret=SECRET, now=NOW + 90)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 60},
        {"sub": "ada"},
        {"sub": "ada", "exp": None},
        {"sub": "ada", "exp": True},
        {"sub": "ada", "exp": str(int(NOW + 60))},
        {"sub": "ada", "exp": float("inf")},
        {"sub": "ada", "exp": float("nan")},
        {"sub": "ada", "exp": -1},
        {"sub": "", "exp": NOW + 60},
        {"sub": " ", "exp": NOW + 60},
        {"sub": "a\nb", "exp": NOW + 60},
        {"sub": "a" * 129, "exp": NOW + 60},
        {"sub": None, "exp": NOW + 60},
        {**GOOD, "nbf": NOW + 1},
        {**GOOD, "nbf": "soon"},
        {**GOOD, "iat": "then"},
        {**GOOD, "jti": 7},
        {**GOOD, "jti": ["t1"]},
        {**GOOD, "aud": "somebody else"},
        {**GOOD, "rooms": None},
        {**GOOD, "rooms": ["team:red"]},
        {**GOOD, "rooms": {"": ["join"]}},
        {**GOOD, "rooms": {"team:red": "join"}},
        {**GOOD, "rooms": {"team:red": ["join", "join"]}},
        {**GOOD, "rooms": {"team:red": ["moderate"]}},
        {**GOOD, "rooms": {"team:red": [["join"]]}},
        {**GOOD, "rooms": {"team:*:a": ["join"]}},
        {**GOOD, "rooms": {"team red": ["join"]}},
        {**GOOD, "rooms": {"a" * 101: ["join"]}},
    ],
)
def test_a_signed_token_without_what_it_must_say_is_invalid(claims: dict[str, Any]) -> None:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=")
    key = jwt.get_algorithm_by_name("HS256")
    signature = key.sign(header + b"." + body, SECRET.encode())
    token = b".".join([header, body, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
    with pytest.raises(TokenInvalid):
        verify_token(token, secret=SECRET, now=NOW)


def test_the_algorithm_is_pinned() -> None:
    unsigned = jwt.encode(GOOD, None, algorithm="none")
    for token in (unsigned, signed(GOOD, algorithm="HS512", secret="s" * 64)):
        with pytest.raises(TokenInvalid):
            verify_token(token, secret="s" * 64, now=NOW)


def test_a_header_that_names_rs256_does_not_change_how_the_signature_is_checked() -> None:
    """Neither a real RS256 signature, nor an HMAC under a header that claims one."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = jwt.encode(GOOD, private, algorithm="RS256")
    header, body, _ = token.split(".")
    mac = hmac.digest(SECRET.encode(), f"{header}.{body}".encode(), "sha256")
    forged = f"{header}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for wrong in (token, forged):
        with pytest.raises(TokenInvalid):
            verify_token(wrong, secret=SECRET, now=NOW)


def test_not_before_is_good_from_its_own_second_on() -> None:
    token = signed({**GOOD, "nbf": NOW + 10})
    assert verify_token(token, secret=SECRET, now=NOW + 10).subject == "ada"
    with pytest.raises(TokenInvalid):
        verify_token(token, secret=SECRET, now=NOW + 9.9)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[" * 4000,
        b'{"a":' * 1500,
        b'{"alg":["HS256"]}',
        b'{"alg":{}}',
        b'{"alg":"HS256","kid":1}',
        b'{"alg":"HS256","b64":false}',
        b'{"alg":"HS256","crit":3}',
        b"\xff",
    ],
)
def test_any_header_gives_a_token_error(header: bytes) -> None:
    """The header is read before the signature is checked: anybody may send one."""
    with pytest.raises(TokenInvalid):
        verify_token(raw(header), secret=SECRET, now=NOW)


@given(st.text(max_size=100) | st.text("abcXYZ019-_.=", max_size=100))
def test_any_text_gives_a_token_error(token: str) -> None:
    with pytest.raises(TokenError):
        verify_token(token, secret=SECRET, now=NOW)


def test_an_oversize_token_is_refused_unread() -> None:
    with pytest.raises(TokenInvalid, match="too long"):
        verify_token("a" * 8193, secret=SECRET, now=NOW)


@pytest.mark.parametrize("now", [NOW, NOW + 100])
def test_no_error_holds_any_part_of_the_token(now: float) -> None:
    token = signed(GOOD) if now > NOW else signed(GOOD, secret="o" * 32)
    with pytest.raises(TokenError) as caught:
        verify_token(token, secret=SECRET, now=now)
    shown = repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)
    assert not [part for part in token.split(".") if part in shown]


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        issue_token("ada", secret="short", now=NOW, lifetime_seconds=60)
    with pytest.raises(ValueError, match="32 bytes"):
        verify_token(signed(GOOD), secret="short", now=NOW)


def test_a_subject_that_would_not_verify_is_not_issued() -> None:
    with pytest.raises(ValueError, match="128 characters"):
        issue_token("a\nb", secret=SECRET, now=NOW, lifetime_seconds=60)


@pytest.mark.parametrize("expires", [2**53 // 1000 + 1, 2**53 - 1, 1e300])
def test_a_time_whose_milliseconds_no_client_could_read_is_refused(expires: float) -> None:
    with pytest.raises(TokenInvalid, match="exp"):
        verify_token(signed({**GOOD, "exp": expires}), secret=SECRET, now=NOW)


def test_the_last_readable_time_is_taken() -> None:
    claims = verify_token(signed({**GOOD, "exp": 2**53 // 1000}), secret=SECRET, now=NOW)
    assert claims.expires_at * 1000 < 2**53


# What tokens have to say besides.

KEYS = KeySet((hmac_key(SECRET),))


def judged(claims: dict[str, Any], *, now: float = NOW, **rules: Any) -> Claims:
    return verify_with_keys(signed(claims), keys=KEYS, now=now, rules=TokenRules(**rules))


def test_the_leeway_makes_a_token_good_for_longer() -> None:
    """And what it says of its end goes with it, as a connection is ended then."""
    claims = judged(GOOD, now=NOW + 69.9, leeway_seconds=10)
    assert claims.expires_at == NOW + 70
    with pytest.raises(TokenExpired):
        judged(GOOD, now=NOW + 70, leeway_seconds=10)


def test_the_leeway_makes_a_token_good_sooner() -> None:
    early = {**GOOD, "nbf": NOW + 10, "iat": NOW + 10}
    assert judged(early, leeway_seconds=10).issued_at == NOW + 10
    with pytest.raises(TokenInvalid, match="not valid yet"):
        judged(early, leeway_seconds=9.9)


def test_iat_may_be_ten_seconds_ahead_besides_the_leeway() -> None:
    assert judged({**GOOD, "iat": NOW + 10}).issued_at == NOW + 10
    assert judged({**GOOD, "iat": NOW + 15}, leeway_seconds=5).issued_at == NOW + 15
    for ahead, leeway in ((10.1, 0.0), (15.1, 5.0)):
        with pytest.raises(TokenInvalid, match="in the future"):
            judged({**GOOD, "iat": NOW + ahead}, leeway_seconds=leeway)


def test_with_a_leeway_too_no_end_is_beyond_what_a_client_can_read() -> None:
    last = 2**53 // 1000
    assert judged({**GOOD, "exp": last}, leeway_seconds=300).expires_at * 1000 < 2**53


@pytest.mark.parametrize("leeway", [-1, 300.1, float("nan"), float("inf")])
def test_the_leeway_is_bounded(leeway: float) -> None:
    with pytest.raises(ValueError, match="leeway_seconds"):
        TokenRules(leeway_seconds=leeway)


def test_the_longest_life_allows_for_rounding_by_a_second() -> None:
    long = {"sub": "ada", "iat": NOW, "exp": NOW + 61}
    assert judged(long, max_lifetime_seconds=60).subject == "ada"
    with pytest.raises(TokenInvalid, match="longer than allowed"):
        judged({**long, "exp": NOW + 61.1}, max_lifetime_seconds=60)


@pytest.mark.parametrize("aud", ["chat", ["chat"], ["mail", "chat"]])
def test_an_audience_is_one_text_or_a_list(aud: Any) -> None:
    claims = judged({**GOOD, "aud": aud}, audience=("talk", "chat"))
    assert "chat" in claims.audience


def test_an_issuer_is_named_among_the_claims_also_where_none_is_asked_for() -> None:
    assert judged({**GOOD, "iss": "https://one.example"}).issuer == "https://one.example"
    assert judged(GOOD).issuer is None


def test_an_issued_token_says_the_fraction_of_its_second() -> None:
    """What was issued just before a revocation can be told from what was issued just after."""
    moments = [NOW + 0.0001, NOW + 0.0002]
    tokens = [issue_token("ada", secret=SECRET, now=at, lifetime_seconds=60) for at in moments]
    assert [
        verify_token(token, secret=SECRET, now=NOW + 1).issued_at for token in tokens
    ] == moments


def test_an_issued_token_may_say_who_gave_it_and_whom_for() -> None:
    token = issue_token(
        "ada", secret=SECRET, now=NOW, lifetime_seconds=60, issuer="me", audience="chat"
    )
    rules = TokenRules(issuer=("me",), audience=("chat",))
    claims = verify_with_keys(token, keys=KEYS, now=NOW, rules=rules)
    assert (claims.issuer, claims.audience) == ("me", ("chat",))
