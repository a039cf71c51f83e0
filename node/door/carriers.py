"""Tokens that come with the handshake: in an Authorization header or a cookie; never in the URL.

Pure: finds the token in the values of a header. Whether it is good, others say, and nothing here
shows what it has read.
"""

import re
from collections.abc import Sequence
from typing import Final

# RFC 6750, 2.1: what a bearer token is written in.
_BEARER: Final = re.compile(r"([^ ]*) +([A-Za-z0-9._~+/-]+=*)")
COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 6265, 4.1.1."""


class OtherSchemeError(Exception):
    """There are credentials, of another kind than a bearer token."""


class NoSuchTokenError(Exception):
    """There are bearer credentials that nobody can read as one token."""


def bearer_token(authorization: Sequence[str]) -> str | None:
    """Return the token of the Authorization headers' values, None where there is no such header.

    Credentials that can't be checked are never passed over: who sends them means to be somebody.

    Raises:
        OtherSchemeError: The one header is of another scheme.
        NoSuchTokenError: There is more than one, or its token is none.
    """
    if not authorization:
        return None
    if len(authorization) > 1:
        raise NoSuchTokenError
    if authorization[0].partition(" ")[0].lower() != "bearer":
        raise OtherSchemeError
    found = _BEARER.fullmatch(authorization[0].strip())
    if found is None:
        raise NoSuchTokenError
    return found[2]


def cookie_token(cookies: Sequence[str], name: str) -> str | None:
    """Return the value of the cookie `name` in the Cookie headers' values.

    None also where there is more than one of the name: another host of the same domain can add one
    (RFC 6265, 8.6), and the order says nothing about whose it is.
    """
    found = [
        value.strip().strip('"')
        for pair in ";".join(cookies).split(";")
        for key, separator, value in [pair.partition("=")]
        if separator and key.strip() == name
    ]
    return found[0] or None if len(found) == 1 else None
