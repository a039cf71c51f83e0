"""The kinds of value a setting can have, and how each is read.

A value arrives as text (environment) or as a native value (TOML, command line). Every kind reads
both and raises `MisfitError` with a phrase that completes "NAME must be ...". Knows nothing of
where values come from, nor of any single setting.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs

from greenroom.node.door.origin import canonical_origin
from greenroom.node.masks import Masked, MaskedKind

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: an HS256 key has at least the size of the hash


class MisfitError(ValueError):
    """A value is not of its setting's kind; the text completes "NAME must be ..."."""


class Secret(Masked[str]):
    """A secret text."""

    __slots__ = ()


def about(kind: "Kind", help_text: str) -> dict[str, "Kind | str"]:
    """Return the metadata of a setting's field: its kind and what it is for."""
    return {"kind": kind, "help": help_text}


class Kind(Protocol):
    """How one kind of setting is read."""

    def from_text(self, text: str) -> object:
        """Read a value from the environment."""
        ...

    def check(self, value: object) -> object:
        """Check a native value and return it in its canonical form."""
        ...


@attrs.frozen
class Text:
    """A text that is not empty, nor longer than a column that may keep it."""

    longest: int = 255
    """In characters, as databases count them."""

    def from_text(self, text: str) -> object:
        """Take the text as it is."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept any text but an empty one."""
        if not isinstance(value, str) or not 0 < len(value.strip()) <= self.longest:
            raise MisfitError(f"a text of 1 to {self.longest} characters")
        return value.strip()


@attrs.frozen
class FilePath:
    """A path; `~` is the home directory."""

    def from_text(self, text: str) -> object:
        """Read a path."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a text or a path."""
        if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
            raise MisfitError("a path")
        return Path(value).expanduser()


@attrs.frozen
class Integer:
    """A whole number in a range that includes both ends."""

    low: int
    high: int

    def from_text(self, text: str) -> object:
        """Read decimal digits."""
        digits = text.strip()
        # int() takes "1_000", "٣" and " 3" too; a setting does not.
        if not (digits.isascii() and digits.isdigit()):
            raise MisfitError(self._phrase())
        return self.check(int(digits))

    def check(self, value: object) -> object:
        """Accept an int in the range (a bool is none)."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise MisfitError(self._phrase())
        if not self.low <= value <= self.high:
            raise MisfitError(self._phrase())
        return value

    def _phrase(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@attrs.frozen
class Seconds:
    """A number of seconds above zero."""

    high: float
    low: float = 0.0
    """The least; 0 itself is never allowed."""

    def from_text(self, text: str) -> object:
        """Read a decimal number."""
        try:
            number = float(text)
        except ValueError:
            raise MisfitError(self._phrase()) from None
        return self.check(number)

    def check(self, value: object) -> object:
        """Accept a finite number in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MisfitError(self._phrase())
        if not math.isfinite(value) or value == 0 or not self.low <= value <= self.high:
            raise MisfitError(self._phrase())
        return float(value)

    def _phrase(self) -> str:
        least = f"{self.low:g} or more" if self.low else "above 0"
        return f"a number of seconds {least}, at most {self.high:g}"


@attrs.frozen
class Flag:
    """Yes or no."""

    def from_text(self, text: str) -> object:
        """Read one of the words for yes and no."""
        word = text.strip().lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise MisfitError("true or false")

    def check(self, value: object) -> object:
        """Accept a bool."""
        if not isinstance(value, bool):
            raise MisfitError("true or false")
        return value


@attrs.frozen
class Choice:
    """One of a few words."""

    options: tuple[str, ...]

    def from_text(self, text: str) -> object:
        """Read one of the words."""
        return self.check(text.strip())

    def check(self, value: object) -> object:
        """Accept one of the words."""
        if value not in self.options:
            raise MisfitError(f"one of {', '.join(self.options)}")
        return value


@attrs.frozen
class Origins:
    """A list of origins; in the environment they are separated by commas or spaces."""

    def from_text(self, text: str) -> object:
        """Read a list of origins."""
        return self.check(text.replace(",", " ").split())

    def check(self, value: object) -> object:
        """Accept a list of texts, each an origin."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise MisfitError("a list of origins")
        origins: list[str] = []
        for item in value:  # pyright: ignore[reportUnknownVariableType]  # TOML: items of any type
            origin = canonical_origin(item) if isinstance(item, str) else None
            if origin is None:
                raise MisfitError("a list of origins such as https://chat.example.com")
            origins.append(origin)
        return tuple(origins)


@attrs.frozen
class SecretText(MaskedKind):
    """A signing secret, long enough for HS256."""

    def from_text(self, text: str) -> object:
        """Read a secret."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a text of at least `MIN_SECRET_BYTES`."""
        if not isinstance(value, str) or len(value.strip().encode()) < MIN_SECRET_BYTES:
            raise MisfitError(
                f"at least {MIN_SECRET_BYTES} bytes long (try: openssl rand -base64 32)"
            )
        return Secret(value.strip())


def show(value: object) -> str:
    """Show a value of any kind in one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # An empty one reads better as "none set".
        return " ".join(str(item) for item in value) or "-"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return str(value)
