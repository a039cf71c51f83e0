"""The JSON codec, `greenroom.v1.json`: strict about everything except fields it does not know.

orjson refuses what RFC 8259 refuses (NaN, bad UTF-8, lone surrogates); what it lets pass is
checked here: duplicate keys and deep nesting. cattrs coerces by default
(`1` to `"1"`), so every leaf type has an exact-type hook of ours; none of cattrs' own is reached.
"""

import json
from collections.abc import Callable, Mapping
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    TypeAlias,
    TypeGuard,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from greenroom.protocol._codec import Codec, DecodeError
from greenroom.protocol._codes import ErrorCode
from greenroom.protocol._fields import IntRange, TextRule
from greenroom.protocol._limits import MAX_DEPTH, MAX_UINT32
from greenroom.protocol._messages import ANSWERS, COMMANDS, TAGS, Answer, Command

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]  # any JSON value: what a peer may put there is checked on the way
Structure: TypeAlias = Callable[[Any, Any], Any]  # cattrs' signature: value, type


class FieldError(ValueError):
    """A field's value is not what the message's definition says; the text says what that is."""


def _is_object(value: Any) -> TypeGuard[Json]:
    return type(value) is dict


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list


# Leaves: exact types. `type(x) is` and not isinstance, because bool is an int.


def _int_hook(rule: IntRange) -> Structure:
    low, high = rule.low, rule.high

    def structure(value: Any, _: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise FieldError(f"expected an integer from {low} to {high}")

    return structure


def _text_hook(rule: TextRule) -> Structure:
    low, high = rule.low, rule.high
    matches = rule.pattern.fullmatch if rule.pattern else None

    def structure(value: Any, _: Any) -> str:
        if type(value) is not str:
            raise FieldError("expected a string")
        if "\0" in value:
            raise FieldError("expected a string without U+0000")
        if matches is not None and not matches(value):
            raise FieldError(
                f"expected a string that matches {rule.pattern and rule.pattern.pattern}"
            )
        if len(value) < low or (high is not None and len(value) > high):
            raise FieldError(f"expected a string of {low} to {high} characters")
        return value

    return structure


def _structure_bool(value: Any, _: Any) -> bool:
    if type(value) is bool:
        return value
    raise FieldError("expected true or false")


def _structure_annotated(annotated: Any) -> Structure:
    rule = get_args(annotated)[1]
    return _int_hook(rule) if isinstance(rule, IntRange) else _text_hook(rule)


# Composites.


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _structure_tuple(kind: Any, converter: cattrs.Converter) -> Structure:
    inner = get_args(kind)[0]
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if not _is_array(value):
            raise FieldError("expected an array")
        return tuple([hook(item, inner) for item in value])

    return structure


def _structure_field(field: "attrs.Attribute[Any]", converter: cattrs.Converter) -> Structure:
    """One field's hook; for an optional field `null` says the same as leaving it out."""
    kind, default = field.type, field.default
    if _origin(kind) in {Union, UnionType}:
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    hook = converter.get_structure_hook(kind)
    if default is attrs.NOTHING:
        return hook
    return lambda value, _: default if value is None else hook(value, kind)


def _structure_object(message: type[Any], converter: cattrs.Converter) -> Structure:
    fields: dict[str, Any] = {
        field.name: override(
            rename=field.metadata.get("wire"), struct_hook=_structure_field(field, converter)
        )
        for field in attrs.fields(message)
    }
    build = make_dict_structure_fn(message, converter, _cattrs_forbid_extra_keys=False, **fields)

    def structure(value: Any, kind: Any) -> Any:
        # Without this a string passes for an object whose fields are all absent.
        if not _is_object(value):
            raise FieldError("expected an object")
        return build(value, kind)

    return structure


def _decoding_converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook_factory(
        lambda kind: _origin(kind) is Annotated, _structure_annotated
    )
    converter.register_structure_hook_factory(lambda kind: _origin(kind) is tuple, _structure_tuple)
    converter.register_structure_hook_factory(attrs.has, _structure_object)
    converter.register_structure_hook(bool, _structure_bool)
    return converter


# Detailed validation names the field but costs every good frame a third more: only a bad one is
# read a second time with it.
_FAST: Final = _decoding_converter(detailed=False)
_DETAILED: Final = _decoding_converter(detailed=True)


def _decoders(table: Mapping[str, type[T]]) -> dict[str, tuple[Structure, type[T]]]:
    return {tag: (_FAST.get_structure_hook(kind), kind) for tag, kind in table.items()}


_COMMANDS: Final = _decoders(COMMANDS)
_ANSWERS: Final = _decoders(ANSWERS)


def _explain(value: Json, kind: type[Any]) -> str:
    try:
        _DETAILED.structure(value, kind)
    except cattrs.BaseValidationError as error:
        return cattrs.transform_error(error, format_exception=_describe)[0]
    raise AssertionError("only called for what the fast converter refused")  # pragma: no cover


def _describe(error: BaseException, _: Any) -> str:
    return "required field missing" if isinstance(error, KeyError) else str(error)


# What orjson lets pass.


class DuplicateKeyError(ValueError):
    """An object has a key twice: readers differ in which they take (RFC 8259, 4)."""


def _expected_colons(value: Any, depth: int) -> int:
    """How many colons a JSON text of `value` has, unless it escapes one."""
    if type(value) is str:
        return value.count(":")
    if _is_object(value):
        _check_depth(depth)
        colons = len(value)
        for key, item in value.items():
            # `in` before `count`, and strings without another call: most keys and values are short
            # strings without a colon, and each call costs more than looking for one.
            if ":" in key:
                colons += key.count(":")
            if type(item) is not str:
                colons += _expected_colons(item, depth + 1)
            elif ":" in item:
                colons += item.count(":")
        return colons
    if _is_array(value):
        _check_depth(depth)
        return sum(_expected_colons(item, depth + 1) for item in value)
    return 0


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FieldError(f"expected at most {MAX_DEPTH} levels of nesting")


def _check_text(frame: str | bytes, value: Json) -> None:
    r"""Refuse what is JSON but not for us; `value` is what orjson made of `frame`.

    orjson keeps the last of duplicate keys and says nothing, and a reader that tells is ten times
    slower. But a dropped key takes its colon with it, so the text has more colons than its value
    accounts for. Only a colon written as `\u003a` breaks that count; such a frame is read again.
    """
    colons = _expected_colons(value, 1)
    if isinstance(frame, str):
        if "\\u003" in frame:
            _read_again(frame)
        elif frame.count(":") != colons:
            raise DuplicateKeyError
    elif b"\\u003" in frame:
        _read_again(frame.decode())
    elif frame.count(b":") != colons:
        raise DuplicateKeyError


def _read_again(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates)
    except RecursionError:
        # What orjson kept is not nested so deep, so this is what it dropped: a key's first value.
        raise DuplicateKeyError from None


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise DuplicateKeyError
    return value


def _bad(detail: str, value: Json | None = None) -> DecodeError:
    return DecodeError(ErrorCode.BAD_REQUEST, detail, _id_of(value) if value else None)


def _id_of(value: Json) -> int | None:
    found = value.get("id")
    return found if type(found) is int and 0 <= found <= MAX_UINT32 else None


def _decode(frame: str | bytes, table: Mapping[str, tuple[Structure, type[T]]]) -> T:
    """Object, then `type`, then fields: each step may rely on the one before."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise _bad("not a JSON text") from None
    if not _is_object(value):
        raise _bad("expected an object")
    try:
        _check_text(frame, value)
    except DuplicateKeyError:
        raise _bad("expected no key twice in one object") from None
    except FieldError as error:
        raise _bad(str(error), value) from None
    tag = value.get("type")
    if type(tag) is not str:
        raise _bad("expected a string @ $.type", value)
    if tag not in table:
        raise DecodeError(ErrorCode.UNKNOWN_TYPE, "unknown type", _id_of(value))
    structure, kind = table[tag]
    try:
        return cast("T", structure(value, kind))
    except (ValueError, KeyError):
        raise _bad(_explain(value, kind), value) from None


# Encoding.


def _encoder(kind: type[Any], converter: cattrs.Converter) -> Callable[[Any], Json]:
    """A field that has its default None or False is left out."""
    fields: dict[str, Any] = {
        field.name: override(
            rename=field.metadata.get("wire"),
            omit_if_default=field.default is None or field.default is False,
        )
        for field in attrs.fields(kind)
    }
    to_dict = make_dict_unstructure_fn(kind, converter, **fields)
    if kind not in TAGS:
        return to_dict
    tag = TAGS[kind]

    def unstructure(message: Any) -> Json:
        return {"type": tag, **to_dict(message)}

    return unstructure


def _encoders() -> dict[type[Any], Callable[[Any], Json]]:
    """A function per class, nested ones first through the converter's own cache."""
    converter = cattrs.Converter()

    def encoder(kind: type[Any]) -> Callable[[Any], Json]:
        return _encoder(kind, converter)

    converter.register_unstructure_hook_factory(attrs.has, encoder)
    return {kind: converter.get_unstructure_hook(kind) for kind in TAGS}


_ENCODERS: Final = _encoders()


class JsonCodec:
    """`greenroom.v1.json`: one JSON object (RFC 8259) in each text frame."""

    subprotocol: str = "greenroom.v1.json"
    binary: bool = False

    def decode_command(self, frame: str | bytes) -> Command:
        """See `Codec.decode_command`."""
        return _decode(frame, _COMMANDS)

    def decode_answer(self, frame: str | bytes) -> Answer:
        """See `Codec.decode_answer`."""
        return _decode(frame, _ANSWERS)

    def encode(self, message: Command | Answer) -> bytes:
        """See `Codec.encode`. `message` is taken at its word: its ranges are not checked again."""
        return orjson.dumps(_ENCODERS[type(message)](message))


JSON_CODEC: Final[Codec] = JsonCodec()
