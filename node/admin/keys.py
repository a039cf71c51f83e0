"""The keys of the operators' gate: who may see the node, and who may act on it.

Of a key only its hash is kept. Several hold at a time, so that one is replaced without a moment in
which none does: add the new one, change the callers, take the old one away.
"""

import enum
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, cast

import attrs

from greenroom.node.masks import MASK, Masked, MaskedKind
from greenroom.node.settings.kinds import MisfitError

FEWEST_CHARS: Final = 32
MOST_CHARS: Final = 512
FEWEST_DIFFERENT: Final = 10
"""Characters of a key that differ: 32 random hex digits have fewer once in 200,000 keys."""
MOST_KEYS: Final = 32

_KEY: Final = re.compile(r"[\x21-\x7e]+")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")


class Scope(enum.Enum):
    """What a key is good for."""

    READ = "read"
    """Every GET."""
    WRITE = "write"
    """The rest."""


ALL_SCOPES: Final = frozenset(Scope)


@attrs.frozen(kw_only=True)
class AdminKey:
    """One operator's key."""

    name: str
    """Stands in the log with what it is used for."""
    scopes: frozenset[Scope]
    digest: bytes = attrs.field(repr=False)
    """SHA-256 of the key. It is random and long, so no slower hash would protect it better."""


class AdminKeys(Masked[tuple[AdminKey, ...]]):
    """All keys that hold."""

    __slots__ = ()

    def find(self, presented: str) -> AdminKey | None:
        """Return the key that was presented; takes as long for a wrong one as for a right one."""
        digest = _digest(presented)
        found = [key for key in self.reveal() if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def __str__(self) -> str:
        return " ".join(f"{key.name}{_scopes(key)}={MASK}" for key in self.reveal())


@attrs.frozen
class AdminKeyList(MaskedKind):
    """Keys as `NAME=KEY` or `NAME:read=KEY`, separated by white space; in TOML also a list."""

    def from_text(self, text: str) -> object:
        """Read keys."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept keys that are long, look random and have a name each."""
        if isinstance(value, AdminKeys):
            return value
        words: Sequence[object] = ()
        if isinstance(value, str):
            words = value.split()
        elif isinstance(value, list):
            words = cast("Sequence[object]", value)
        if not 1 <= len(words) <= MOST_KEYS:
            raise MisfitError(f"1 to {MOST_KEYS} keys such as {_EXAMPLE}")
        keys = tuple(_read(word) for word in words)
        for what in ("name", "digest"):
            if len({getattr(key, what) for key in keys}) < len(keys):
                raise MisfitError("keys that differ, each with a name of its own")
        return AdminKeys(keys)


_EXAMPLE: Final = "NAME=KEY or NAME:read=KEY (try: echo ops=$(openssl rand -hex 32))"


def _read(word: object) -> AdminKey:
    label, equals, key = word.partition("=") if isinstance(word, str) else ("", "", "")
    name, colon, scope = label.partition(":")
    if not equals or not _NAME.fullmatch(name) or (colon and scope != Scope.READ.value):
        raise MisfitError(f"keys such as {_EXAMPLE}")
    if not FEWEST_CHARS <= len(key) <= MOST_CHARS or not _KEY.fullmatch(key):
        raise MisfitError(f"keys of {FEWEST_CHARS} to {MOST_CHARS} characters of ASCII: {_EXAMPLE}")
    if len(set(key)) < FEWEST_DIFFERENT:
        raise MisfitError(f"keys that are random: {_EXAMPLE}")
    scopes = frozenset({Scope.READ}) if colon else ALL_SCOPES
    return AdminKey(name=name, scopes=scopes, digest=_digest(key))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _scopes(key: AdminKey) -> str:
    return "" if key.scopes == ALL_SCOPES else f":{Scope.READ.value}"
