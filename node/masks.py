"""Values that must not be seen: whatever shows one shows its mask, and `reveal()` is explicit."""

from typing import Final, Generic, NoReturn, TypeVar, cast

V = TypeVar("V")

MASK: Final = "********"


class Masked(Generic[V]):
    """Holds a value that no repr, str or format shows, and that is not pickled.

    No record of attrs: `attrs.asdict` of a record that holds one would look into it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: V) -> None:
        self._value = value

    def reveal(self) -> V:
        """Return the value itself."""
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __copy__(self) -> "Masked[V]":
        return self

    def __deepcopy__(self, memo: object) -> "Masked[V]":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled: the pickle would show it")


def hides(value: object) -> bool:
    """Whether a value is shown as less than it is; a URL without a password, say, is not."""
    if not isinstance(value, Masked):
        return False
    masked = cast("Masked[object]", value)
    return str(masked) != masked.reveal()


class MaskedKind:
    """A kind of setting whose values are masked: a complaint never shows what was given either."""

    __slots__ = ()


def is_masked(kind: object) -> bool:
    """Whether values of that kind must not be seen."""
    return isinstance(kind, MaskedKind)
