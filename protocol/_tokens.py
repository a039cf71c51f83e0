"""Tokens: who a client is and until when, as a JWT signed with HS256 (RFC 7519, RFC 7518, 3.2).

The algorithm is pinned here, never read from the token. PyJWT would look at the wall clock, so its
time checks are off and `now` is compared here. No error holds the token or any part of it.
"""

import math
from typing import Any, Final

import attrs
import jwt

from greenroom.protocol._limits import MAX_SAFE_INTEGER, MAX_TOKEN_CHARS, MAX_USER_CHARS

ALGORITHM: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
"""A shorter key than the hash is easier to guess than the hash (RFC 7518, 3.2)."""


class TokenError(Exception):
    """The token does not let its bearer in."""


class TokenInvalid(TokenError):
    """Not a token of ours, or not one for now: only another token can help."""


class TokenExpired(TokenError):
    """It was good once: the same issuer can give a new one."""


@attrs.frozen(kw_only=True)
class Claims:
    """What a token that was verified says."""

    subject: str
    """The user (`sub`): 1 to 128 characters without control characters."""
    expires_at: float
    """`exp`, seconds since 1970; the token is good before, not at, that time."""
    issued_at: float | None = None
    """`iat`, seconds since 1970."""
    token_id: str | None = None
    """`jti`: what a revocation names."""


def check_secret(secret: str | bytes) -> None:
    """Raise ValueError unless `secret` can sign: `MIN_SECRET_BYTES` bytes or more."""
    size = len(secret.encode() if isinstance(secret, str) else secret)
    if size < MIN_SECRET_BYTES:
        raise ValueError(f"a secret for HS256 needs {MIN_SECRET_BYTES} bytes or more, not {size}")


def issue_token(
    subject: str,
    *,
    secret: str | bytes,
    now: float,
    lifetime_seconds: float,
    token_id: str | None = None,
) -> str:
    """Sign a token for `subject` that is good from `now` for `lifetime_seconds`.

    Raises:
        ValueError: The subject or the secret is none that `verify_token` would take.
    """
    check_secret(secret)
    if not is_valid_subject(subject):
        raise ValueError(f"a user is 1 to {MAX_USER_CHARS} characters without control characters")
    claims: dict[str, Any] = {
        "sub": subject,
        "iat": int(now),
        "exp": math.ceil(now + lifetime_seconds),
    }
    if token_id is not None:
        claims["jti"] = token_id
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def verify_token(token: str, *, secret: str | bytes, now: float) -> Claims:
    """Check signature, shape and times of `token`.

    Args:
        token: In the compact form (RFC 7515, 3.1).
        secret: What it must have been signed with.
        now: Seconds since 1970.

    Raises:
        TokenInvalid: Wrong signature, algorithm or shape, no `sub` or `exp`, `nbf` not reached.
        TokenExpired: All is well but `exp` has passed.
    """
    check_secret(secret)
    claims = _signed_claims(token, secret)
    subject, token_id, expires_at = claims["sub"], claims.get("jti"), _time(claims, "exp")
    if not is_valid_subject(subject) or expires_at is None:
        raise TokenInvalid("sub or exp is missing or not of its kind")
    if token_id is not None and not isinstance(token_id, str):
        raise TokenInvalid("jti is not a string")
    not_before = _time(claims, "nbf")
    if not_before is not None and now < not_before:
        raise TokenInvalid("not valid yet")
    if now >= expires_at:
        raise TokenExpired("expired")
    return Claims(
        subject=subject,
        expires_at=expires_at,
        issued_at=_time(claims, "iat"),
        token_id=token_id,
    )


def is_valid_subject(subject: object) -> bool:
    """Whether `subject` can be a user: what every message can carry and every list can show."""
    return (
        isinstance(subject, str)
        and 1 <= len(subject) <= MAX_USER_CHARS
        and subject.isprintable()
        and not subject.isspace()
    )


def _signed_claims(token: str, secret: str | bytes) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenInvalid("too long")
    try:
        return jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            options={
                "require": ["sub", "exp"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        # PyJWT reads the header before it checks the signature, so anybody can hand it JSON of any
        # shape and depth. Without the cause: its text may quote that header.
        raise TokenInvalid("not signed by us, or without what it must say") from None


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, 2), or None when the claim is absent; clients get milliseconds."""
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in {int, float} or not 0 <= value <= MAX_SAFE_INTEGER / 1000:
        raise TokenInvalid(f"{name} is not a time")
    return float(value)
