"""Exact checks of single values, made from the rules in `_fields`: what both codecs hold fields to.

Each takes a value and a type that it does not look at, as cattrs calls its hooks. `type(x) is` and
not isinstance, because bool is an int.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from greenroom.protocol._fields import IntRange, TextRule

Check: TypeAlias = Callable[[Any, Any], Any]


class FieldError(ValueError):
    """A field's value is not what the message's definition says; the text says what that is."""


def check_of(rule: IntRange | TextRule) -> Check:
    """The check that `rule` describes."""
    if isinstance(rule, IntRange):
        return _integer(rule)
    return _name(rule) if rule.pattern is not None else _text(rule)


def check_bool(value: Any, _: Any) -> bool:
    """True or false, and not 1 or 0."""
    if value is True or value is False:
        return value
    raise FieldError("expected true or false")


def _integer(rule: IntRange) -> Check:
    low, high = rule.low, rule.high

    def check(value: Any, _: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise FieldError(f"expected an integer from {low} to {high}")

    return check


_ENDLESS: Final = 2**63


def _text(rule: TextRule) -> Check:
    low, high = rule.low, _ENDLESS if rule.high is None else rule.high

    def check(value: Any, _: Any) -> str:
        if type(value) is not str:
            raise FieldError("expected a string")
        if "\0" in value:
            raise FieldError("expected a string without U+0000")
        if not low <= len(value) <= high:
            raise FieldError(f"expected a string of {low} to {high} characters")
        return value

    return check


def _name(rule: TextRule) -> Check:
    """For a rule whose pattern says all: which characters, and how many."""
    pattern = rule.pattern
    assert pattern is not None  # noqa: S101 - see `check_of`
    fullmatch = pattern.fullmatch

    def check(value: Any, _: Any) -> str:
        if type(value) is str and fullmatch(value):
            return value
        if type(value) is not str:
            raise FieldError("expected a string")
        raise FieldError(f"expected a string that matches {pattern.pattern}")

    return check
