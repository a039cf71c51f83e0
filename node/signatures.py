"""Signatures of webhooks, as Standard Webhooks 1.0.0 wants them: HMAC-SHA256 over id, time, body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

import attrs

from greenroom.node.masks import MASK, Masked, MaskedKind
from greenroom.node.settings.kinds import MisfitError

PREFIX: Final = "whsec_"
FEWEST_BYTES: Final = 24
MOST_BYTES: Final = 64


class SigningKeys(Masked[tuple[bytes, ...]]):
    """The keys that sign: the newest first. Two while receivers change from one to the other."""

    __slots__ = ()

    def __str__(self) -> str:
        return " ".join([MASK] * len(self.reveal()))


@attrs.frozen
class SigningSecrets(MaskedKind):
    """One or two secrets, separated by spaces: `whsec_` and 24 to 64 random bytes in base64."""

    def from_text(self, text: str) -> object:
        """Read secrets."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept what every library for Standard Webhooks accepts; the prefix may be left out."""
        if isinstance(value, SigningKeys):
            return value
        keys = [_key(word) for word in value.split()] if isinstance(value, str) else []
        if not 1 <= len(keys) <= 2 or None in keys:
            raise MisfitError(
                f"one or two secrets of {FEWEST_BYTES} to {MOST_BYTES} bytes in base64 "
                f"(try: echo {PREFIX}$(openssl rand -base64 32))"
            )
        return SigningKeys(tuple(key for key in keys if key is not None))


def sign(keys: SigningKeys, *, id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`: one signature for each key."""
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join(_signature(key, signed) for key in keys.reveal())


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _key(word: str) -> bytes | None:
    try:
        key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if FEWEST_BYTES <= len(key) <= MOST_BYTES else None


def signed_headers(
    keys: SigningKeys, *, id: str, now: float, body: bytes
) -> Sequence[tuple[str, str]]:
    """Return the three headers that a receiver checks."""
    timestamp = int(now)
    return (
        ("webhook-id", id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", sign(keys, id=id, timestamp=timestamp, body=body)),
    )
