"""The compact form of a signed token (RFC 7515, 3.1): taken apart and not yet believed.

Anybody may send one, so every part is read strictly, before any key is looked at: three segments of
base64url without padding and in the one spelling their bytes have, a header that is one JSON object
in which no name stands twice. Of the header only `alg` and `kid` are looked at, and both only to
choose among keys we have: `jku`, `jwk`, `x5u` and `x5c` bring none.
"""

import base64
import binascii
import codecs
import json
import re
from functools import lru_cache
from typing import Any, Final, NoReturn, cast

import attrs

from greenroom.protocol._limits import MAX_DEPTH, MAX_LABEL_CHARS, MAX_TOKEN_CHARS
from greenroom.protocol._token_errors import TokenInvalid

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@attrs.frozen
class Jws:
    """A token taken apart; nothing in it is true before a key has verified it."""

    algorithm: str
    """`alg`, as the token says it: what its key must be pinned to."""
    kid: str | None
    """`kid`: the name of the key, 1 to 200 characters."""
    signed: bytes
    """What the signature is over: header and payload as they came."""
    signature: bytes
    payload: bytes


def read_jws(token: str) -> Jws:
    """Take `token` apart.

    Raises:
        TokenInvalid: It is too long, not of the form, or its header is none we can go by: without
            `alg`, with `crit` or `b64` (RFC 7515, 4.1.11; RFC 7797), with a `kid` that is no name.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenInvalid("too long")
    form = _COMPACT.fullmatch(token)
    if form is None:
        raise TokenInvalid("not of the form of a signed token")
    algorithm, kid = _read_header(form[1])
    return Jws(
        algorithm=algorithm,
        kid=kid,
        signed=token[: form.end(2)].encode(),
        signature=_bytes(form[3]),
        payload=_bytes(form[2]),
    )


@lru_cache(maxsize=32)  # all tokens that one key has signed have the same
def _read_header(segment: str) -> tuple[str, str | None]:
    """`alg` and `kid`; raises as `read_jws`."""
    header = read_json_object(_bytes(segment))
    if header is None:
        raise TokenInvalid("the header is not one JSON object")
    if "crit" in header or header.get("b64", True) is not True:
        raise TokenInvalid("the header asks for extensions")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise TokenInvalid("the header names no algorithm")
    if "kid" in header and not is_valid_kid(kid):
        raise TokenInvalid("kid is not the name of a key")
    return algorithm, cast("str | None", kid)


def is_valid_kid(kid: object) -> bool:
    """Whether `kid` can name a key."""
    return isinstance(kid, str) and 1 <= len(kid) <= MAX_LABEL_CHARS


def read_json_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in `data`; None if it is anything else.

    A name that stands twice, `NaN` and `Infinity` are refused: readers differ about what they mean.
    So is nesting beyond `MAX_DEPTH`, about which Python's versions differ.
    """
    try:
        value: object = _STRICT.decode(data.removeprefix(codecs.BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None
    nested = data.count(b"{") + data.count(b"[") > MAX_DEPTH  # most are not: spares the walk
    if not isinstance(value, dict) or (nested and _is_deeper(cast("object", value), MAX_DEPTH)):
        return None
    return cast("dict[str, Any]", value)


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(cast("dict[str, object]", value).values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in cast("list[object]", value))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError
    return names


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def _bytes(segment: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise TokenInvalid("not of the form of a signed token") from None
    # The last character has bits to spare: another one would be another token with the same bytes.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise TokenInvalid("not of the form of a signed token")
    return data
