"""Hypothesis strategies for every message, built from the fields' own rules."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
from hypothesis import strategies as st

from greenroom.protocol._fields import IntRange, TextRule

ROOMS = st.from_regex(r"[A-Za-z0-9._:-]{1,100}", fullmatch=True)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that a field annotated with `kind` may hold."""
    if get_origin(kind) is Annotated:
        rule = get_args(kind)[1]
        if isinstance(rule, IntRange):
            return st.integers(rule.low, rule.high)
        if rule.pattern is not None:
            return ROOMS
        return st.text(CHARACTERS, min_size=rule.low, max_size=rule.high or 300)
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of(st.none() if arg is type(None) else values(arg) for arg in get_args(kind))
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    return st.booleans() if kind is bool else messages(kind)


def bare(kind: Any) -> Any:
    """The type of a field annotated with `kind`, without the None of an optional one."""
    if get_origin(kind) in {Union, UnionType}:
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def rule_of(kind: Any) -> IntRange | TextRule | None:
    """The rule of a field annotated with `kind`; None for booleans, records and lists."""
    kind = bare(kind)
    return get_args(kind)[1] if get_origin(kind) is Annotated else None


def element_of(kind: Any) -> Any:
    """The class of a list's elements; None if `kind` is no list."""
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def example(kind: type[Any]) -> Any:
    """One message (or record) of class `kind` that gives every field, always the same one."""
    return kind(**{field.name: _example(field.type) for field in attrs.fields(kind)})


def _example(kind: Any) -> Any:
    rule = rule_of(kind)
    if isinstance(rule, IntRange):
        return max(7, rule.low)
    if rule is not None:
        return "a"
    if element := element_of(kind):
        return (example(element),)
    return True if kind is bool else example(bare(kind))


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Every message (or record) of class `kind`."""
    return st.builds(kind, **{field.name: values(field.type) for field in attrs.fields(kind)})


# Any JSON value, with our own names among its keys so that some come near to a message.
NAMES = st.sampled_from(["type", "id", "room", "token", "content", "since", "epoch", "offset", "x"])
TYPES = st.sampled_from(["AUTH", "JOIN", "PUBLISH", "HISTORY", "HEARTBEAT", "MESSAGE", "JOIN_OK"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | TYPES
JSON_VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=6)
    ),
    max_leaves=12,
)
