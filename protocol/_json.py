"""The JSON codec, `greenroom.v1.json`: strict about everything except fields it does not know.

orjson refuses what RFC 8259 refuses (NaN, bad UTF-8, lone surrogates); what it lets pass is
checked here: duplicate keys, deep nesting, numbers beyond 64 bits. cattrs coerces by default
(`1` to `"1"`), so every leaf type has an exact-type hook of ours; none of cattrs' own is reached.
"""

from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
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

from greenroom.protocol._checks import FieldError, check_bool, check_of
from greenroom.protocol._codec import Codec, DecodeError
from greenroom.protocol._codes import ErrorCode
from greenroom.protocol._hot import (
    Json,
    ack_text,
    heartbeat_from_json,
    message_to_json,
    publish_from_json,
)
from greenroom.protocol._limits import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_FIELD_NAME_CHARS,
    MAX_UINT32,
)
from greenroom.protocol._messages import ANSWERS, COMMANDS, TAGS, Answer, Command
from greenroom.protocol._pushes import Message

T = TypeVar("T")
Structure: TypeAlias = Callable[[Any, Any], Any]  # cattrs' signature: value, type


def _is_object(value: Any) -> TypeGuard[Json]:
    return type(value) is dict


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _structure_annotated(annotated: Any) -> Structure:
    return check_of(get_args(annotated)[1])


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
    converter.register_structure_hook(bool, check_bool)
    return converter


# Detailed validation names the field but costs every good frame a third more: only a bad one is
# read a second time with it.
_FAST: Final = _decoding_converter(detailed=False)
_DETAILED: Final = _decoding_converter(detailed=True)


def _names(message: type[Any]) -> list[str]:
    return [field.metadata.get("wire", field.name) for field in attrs.fields(message)]


def _decoders(table: Mapping[str, type[T]]) -> "dict[str, _Decoder[T]]":
    return {
        tag: _Decoder(
            kind,
            _FAST.get_structure_hook(kind),
            frozenset({"type", *_names(kind)}),
        )
        for tag, kind in table.items()
    }


@attrs.frozen
class _Decoder(Generic[T]):
    """How one class of message is read."""

    kind: type[T]
    structure: Structure
    names: frozenset[str]
    """Of all fields it may have."""
    by_hand: Callable[[Json], T | None] | None = None
    """Reads what is plainly good; None where it holds anything else. See `_hot`."""


_COMMANDS: Final = _decoders(COMMANDS)
_ANSWERS: Final = _decoders(ANSWERS)
_BY_HAND: Final[dict[str, Callable[[Json], Any]]] = {
    "PUBLISH": publish_from_json,
    "HEARTBEAT": heartbeat_from_json,
}
for _tag, _read in _BY_HAND.items():
    _COMMANDS[_tag] = attrs.evolve(_COMMANDS[_tag], by_hand=_read)


def _explain(value: Json, kind: type[Any]) -> str:
    try:
        _DETAILED.structure(value, kind)
    except cattrs.BaseValidationError as error:
        explained = cattrs.transform_error(error, format_exception=_describe)[0]
        _forget_frames(error)
        return explained
    raise AssertionError("only called for what the fast converter refused")  # pragma: no cover


def _forget_frames(error: BaseException) -> None:
    """Free cattrs' errors: it collects them in a frame that they have passed, which is a cycle."""
    error.__traceback__ = None
    for part in getattr(error, "exceptions", ()):
        _forget_frames(part)


def _describe(error: BaseException, _: Any) -> str:
    return "required field missing" if isinstance(error, KeyError) else str(error)


# What orjson lets pass. Each check costs a frame of 64 KiB 2 ms at the most, whatever is in it.


class DuplicateKeyError(ValueError):
    """An object has a key twice: readers differ in which they take (RFC 8259, 4)."""


_NO_NAMES: Final[frozenset[str]] = frozenset()
_MAX_NUMBER: Final = 2.0**63


def _check_inside(text: bytes, value: Json, names: frozenset[str]) -> None:
    """Refuse wrong nesting, numbers and names.

    Those can only be in a container within the frame, or in a field that is not among `names`: the
    rules of the others say what they hold.
    """
    if text.count(b"{") + text.count(b"[") > 1 or not names.issuperset(value):
        _check_values(value)


def _check_keys(text: bytes, value: Json) -> None:
    r"""Refuse a key that comes twice; `value` is what orjson made of `text`.

    orjson keeps the last of duplicate keys and says nothing, and a reader that tells is ten times
    slower. But written again, `value` is the frame byte for byte where a client writes as most do:
    then nothing was dropped. Where it is not (spaces, escapes), a dropped key still takes its colon
    with it, so the frame has more colons than `value` written again, the escaped ones (`\u003a`)
    counted too.
    """
    again = orjson.dumps(value)
    if text == again:
        return
    colons = text.count(b":")
    if b"\\u003" in text:
        escapes = text.replace(b"\\\\", b"")  # in which each backslash begins one
        colons += escapes.count(b"\\u003a") + escapes.count(b"\\u003A")
    if colons != again.count(b":"):
        raise DuplicateKeyError


def _check_values(frame: Json) -> None:
    """Refuse what is too deep, too much or too large, level by level."""
    level: list[Any] = [frame]
    containers = 0
    item: object
    for _ in range(MAX_DEPTH):
        containers += len(level)
        if containers > MAX_CONTAINERS:
            raise FieldError(f"expected at most {MAX_CONTAINERS} objects and arrays")
        inner: list[Any] = []
        for container in level:
            if type(container) is dict:
                if container and max(map(len, cast("Json", container))) > MAX_FIELD_NAME_CHARS:
                    raise FieldError(f"expected names of at most {MAX_FIELD_NAME_CHARS} characters")
                items: Iterable[Any] = cast("Json", container).values()
            else:
                items = container
            for item in items:
                kind = type(item)
                if kind is dict or kind is list:
                    inner.append(item)
                elif isinstance(item, float) and not -_MAX_NUMBER < item < _MAX_NUMBER:
                    raise FieldError("expected no number beyond 64 bits")
        if not inner:
            return
        level = inner
    raise FieldError(f"expected at most {MAX_DEPTH} levels of nesting")


def _bad(detail: str, value: Json | None = None) -> DecodeError:
    return DecodeError(ErrorCode.BAD_REQUEST, detail, _id_of(value) if value else None)


def _id_of(value: Json) -> int | None:
    found = value.get("id")
    return found if type(found) is int and 0 <= found <= MAX_UINT32 else None


def _decode(frame: str | bytes, table: Mapping[str, _Decoder[T]]) -> T:
    """Object, then `type`, then fields: each step may rely on the one before."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise _bad("not a JSON text") from None
    if not _is_object(value):
        raise _bad("expected an object")
    tag = value.get("type")
    decoder = table.get(tag) if type(tag) is str else None
    message = None if decoder is None or decoder.by_hand is None else decoder.by_hand(value)
    text = frame.encode() if isinstance(frame, str) else frame
    try:
        if message is None:
            _check_inside(text, value, _NO_NAMES if decoder is None else decoder.names)
        _check_keys(text, value)
    except DuplicateKeyError:
        raise _bad("expected no key twice in one object") from None
    except FieldError as error:
        raise _bad(str(error), value) from None
    if message is not None:
        return message
    if type(tag) is not str:
        raise _bad("expected a string @ $.type", value)
    if decoder is None:
        raise DecodeError(ErrorCode.UNKNOWN_TYPE, "unknown type", _id_of(value))
    try:
        return cast("T", decoder.structure(value, decoder.kind))
    except (ValueError, KeyError):
        raise _bad(_explain(value, decoder.kind), value) from None


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
    converter.register_unstructure_hook(Message, message_to_json)
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

    def encode_ack(self, message: Message, id: int, *, status: int, duplicate: bool) -> bytes:
        """See `Codec.encode_ack`."""
        return ack_text(message, id, status=status, duplicate=duplicate).encode()


JSON_CODEC: Final[Codec] = JsonCodec()
