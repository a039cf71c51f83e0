"""Tokens: who a client is and until when, as a signed JWT (RFC 7519).

Which keys may have signed it stands in `_keys.py`, what it looks like in `_jws.py`; here is what it
has to say. `now` is an argument: nothing looks at a clock. No error holds the token or any part of
it.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs
import jwt
from attrs import validators

from greenroom.protocol._jws import Jws, read_json_object, read_jws
from greenroom.protocol._keys import KeySet, check_secret, hmac_key
from greenroom.protocol._limits import MAX_SAFE_INTEGER, MAX_TOKEN_CHARS, MAX_USER_CHARS
from greenroom.protocol._rights import Rights, read_room_rights
from greenroom.protocol._token_errors import TokenExpired, TokenInvalid, UnknownKey

ALGORITHM: Final = "HS256"
"""What tokens are issued with."""
MAX_LEEWAY_SECONDS: Final = 300.0
MAX_IAT_AHEAD_SECONDS: Final = 10.0
"""How far `iat` may lie in the future, besides the leeway: two clocks are never the same, and a
token that seems to be issued later would outlast a revocation."""
_LAST_TIME: Final = MAX_SAFE_INTEGER / 1000


@attrs.frozen(kw_only=True)
class Claims:
    """What a token that was verified says."""

    subject: str
    """The user (`sub`): 1 to 128 characters without control characters."""
    expires_at: float
    """`exp` and the leeway, seconds since 1970; the token is good before, not at, that time."""
    issued_at: float | None = None
    """`iat`, seconds since 1970."""
    token_id: str | None = None
    """`jti`: what a revocation names."""
    rooms: Mapping[str, Rights] = attrs.field(factory=dict[str, Rights])
    """`rooms`: what the bearer may do in which rooms; about a room that none of its patterns fits
    it says nothing."""
    issuer: str | None = None
    """`iss`: who gave it."""
    audience: tuple[str, ...] = ()
    """`aud`: whom it was given for."""


@attrs.frozen(kw_only=True)
class TokenRules:
    """What tokens have to say besides being signed."""

    audience: tuple[str, ...] = ()
    """One of these must stand in `aud`. None given: a token that has `aud` is for somebody else."""
    issuer: tuple[str, ...] = ()
    """`iss` must be one of these. None given: whoever has a key may say anything."""
    leeway_seconds: float = attrs.field(
        default=0.0, validator=[validators.ge(0), validators.le(MAX_LEEWAY_SECONDS)]
    )
    """How far the issuer's clock may be off: for `exp`, `nbf` and `iat`."""
    max_lifetime_seconds: float | None = None
    """The longest time from `iat`, which a token then must have, to `exp`."""


def issue_token(
    subject: str,
    *,
    secret: str | bytes,
    now: float,
    lifetime_seconds: float,
    token_id: str | None = None,
    rooms: Mapping[str, Rights] | None = None,
    issuer: str | None = None,
    audience: str | None = None,
) -> str:
    """Sign a token for `subject` that is good from `now` for `lifetime_seconds`.

    `iat` is `now` with its fraction, so that what was issued just before a revocation can be told
    from what was issued just after it.

    Raises:
        ValueError: The subject, the rooms or the secret are none that `verify_token` would take, or
            the token would be too long.
    """
    check_secret(secret)
    if not is_valid_subject(subject):
        raise ValueError(f"a user is 1 to {MAX_USER_CHARS} characters without control characters")
    claims: dict[str, Any] = {
        "sub": subject,
        "iat": now,
        "exp": math.ceil(now + lifetime_seconds),
    }
    optional = {"jti": token_id, "iss": issuer, "aud": audience}
    claims |= {name: value for name, value in optional.items() if value is not None}
    if rooms is not None:
        claims["rooms"] = {pattern: sorted(rights) for pattern, rights in rooms.items()}
        if read_room_rights(claims["rooms"]) is None:
            raise ValueError("rooms: a pattern is a room's name, or its beginning and a *")
    token = jwt.encode(claims, secret, algorithm=ALGORITHM)
    if len(token) > MAX_TOKEN_CHARS:
        raise ValueError(f"the token would be longer than {MAX_TOKEN_CHARS} characters")
    return token


def verify_token(token: str, *, secret: str | bytes, now: float) -> Claims:
    """Check a token that was signed with the one secret there is (HS256).

    Args:
        token: In the compact form (RFC 7515, 3.1).
        secret: What it must have been signed with.
        now: Seconds since 1970.

    Raises:
        ValueError: The secret can't be one.
        TokenInvalid: Wrong signature, algorithm or shape, no `sub` or `exp`, `nbf` not reached.
        TokenExpired: All is well but `exp` has passed.
    """
    return verify_with_keys(token, keys=KeySet((hmac_key(secret),)), now=now)


def verify_with_keys(
    token: str, *, keys: KeySet, now: float, rules: TokenRules | None = None
) -> Claims:
    """Check signature, shape and times of `token`.

    Args:
        token: In the compact form (RFC 7515, 3.1).
        keys: Those that may have signed it.
        now: Seconds since 1970.
        rules: What it must say besides.

    Raises:
        UnknownKey: No key of ours fits what it says of its key: newer keys may.
        TokenInvalid: Anything else is wrong with it.
        TokenExpired: All is well but `exp` has passed.
    """
    return _judge(_signed_claims(read_jws(token), keys), rules or TokenRules(), now)


def is_valid_subject(subject: object) -> bool:
    """Whether `subject` can be a user: what every message can carry and every list can show."""
    return (
        isinstance(subject, str)
        and 1 <= len(subject) <= MAX_USER_CHARS
        and subject.isprintable()
        and not subject.isspace()
    )


def _signed_claims(jws: Jws, keys: KeySet) -> dict[str, Any]:
    fitting = keys.choose(algorithm=jws.algorithm, kid=jws.kid)
    if not any(key.verifies(jws.signed, jws.signature) for key in fitting):
        if not keys.knows(jws.kid):
            raise UnknownKey("no key of ours has its name")
        raise TokenInvalid("not signed by us")
    claims = read_json_object(jws.payload)
    if claims is None:
        raise TokenInvalid("what it says is not one JSON object")
    return claims


def _judge(claims: dict[str, Any], rules: TokenRules, now: float) -> Claims:
    subject, token_id, exp = claims.get("sub"), claims.get("jti"), _time(claims, "exp")
    if not is_valid_subject(subject) or exp is None:
        raise TokenInvalid("sub or exp is missing or not of its kind")
    if token_id is not None and not isinstance(token_id, str):
        raise TokenInvalid("jti is not a string")
    rooms = read_room_rights(claims.get("rooms", {}))
    if rooms is None:
        raise TokenInvalid("rooms is not a table of rights")
    issuer, audience = _issuer(claims, rules), _audience(claims, rules)
    issued_at = _check_beginning(claims, rules, now)
    longest = rules.max_lifetime_seconds
    # A second more, as who issues whole seconds may round one of the two up.
    if longest is not None and (issued_at is None or exp - issued_at > longest + 1):
        raise TokenInvalid("it is good for longer than allowed, or does not say since when")
    expires_at = min(exp + rules.leeway_seconds, _LAST_TIME)
    if now >= expires_at:
        raise TokenExpired("expired")
    return Claims(
        subject=cast("str", subject),
        expires_at=expires_at,
        issued_at=issued_at,
        token_id=token_id,
        rooms=rooms,
        issuer=issuer,
        audience=audience,
    )


def _issuer(claims: dict[str, Any], rules: TokenRules) -> str | None:
    issuer = claims.get("iss")
    if issuer is not None and not isinstance(issuer, str):
        raise TokenInvalid("iss is not a string")
    if rules.issuer and issuer not in rules.issuer:
        raise TokenInvalid("of another issuer")
    return issuer


def _audience(claims: dict[str, Any], rules: TokenRules) -> tuple[str, ...]:
    """One string or a list of them (RFC 7519, 4.1.3)."""
    value = claims.get("aud", [])
    given = cast("list[object]", value) if isinstance(value, list) else [value]
    audience = tuple(name for name in given if isinstance(name, str))
    if len(audience) < len(given):
        raise TokenInvalid("aud is not a list of strings")
    if (rules.audience or audience) and not set(rules.audience).intersection(audience):
        raise TokenInvalid("for somebody else")
    return audience


def _check_beginning(claims: dict[str, Any], rules: TokenRules, now: float) -> float | None:
    """`iat`, once neither it nor `nbf` lies in the future."""
    not_before, issued_at = _time(claims, "nbf"), _time(claims, "iat")
    if not_before is not None and now + rules.leeway_seconds < not_before:
        raise TokenInvalid("not valid yet")
    latest = now + rules.leeway_seconds + MAX_IAT_AHEAD_SECONDS
    if issued_at is not None and issued_at > latest:
        raise TokenInvalid("issued in the future")
    return issued_at


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, 2), or None when the claim is absent; clients get milliseconds."""
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in {int, float} or not 0 <= value <= _LAST_TIME:
        raise TokenInvalid(f"{name} is not a time")
    return float(value)
