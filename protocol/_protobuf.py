"""The Protobuf codec, `greenroom.v1.protobuf`: messages in the shape that `greenroom.proto` says.

The runtime reads and writes the wire; the functions made here carry each field over to the message
class of the same name and back, by the field's name. They hold fields to the rules in `_fields`, as
the JSON codec does: the schema knows types, not bounds, nor what is required.
"""

from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Final, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import attrs
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError as WireError
from google.protobuf.message_factory import GetMessageClass

from greenroom.protocol._checks import Check, FieldError, check_bool, check_of
from greenroom.protocol._codec import Codec, DecodeError
from greenroom.protocol._codes import ErrorCode
from greenroom.protocol._commands import Publish
from greenroom.protocol._hot import Wire, ack_to_wire, message_to_wire, publish_from_wire
from greenroom.protocol._messages import ANSWERS, COMMANDS, TAGS, Answer, Command
from greenroom.protocol._pushes import Message
from greenroom.protocol._schema import FILE_DESCRIPTOR

T = TypeVar("T")
Field: TypeAlias = "attrs.Attribute[Any]"
Values: TypeAlias = dict[str, Any]
Read: TypeAlias = Callable[[Wire], Values]
ReadMessage: TypeAlias = Callable[[Wire, int | None], Any]  # body and id
Write: TypeAlias = Callable[[Any, Wire], None]

# A pool of our own: nothing is registered in the process, so nothing there can clash with it.
_POOL: Final = DescriptorPool()
_POOL.AddSerializedFile(FILE_DESCRIPTOR)


def _frame_class(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"greenroom.v1.{name}"))


CLIENT_FRAME: Final = _frame_class("ClientFrame")
SERVER_FRAME: Final = _frame_class("ServerFrame")


def _kind(field: Field) -> Any:
    """The field's type, without the None of an optional one."""
    if get_origin(field.type) in {Union, UnionType}:
        return next(arg for arg in get_args(field.type) if arg is not type(None))
    return field.type


def _body_fields(message: type[Any]) -> list[Field]:
    """The fields that the schema's message has too; a command's `id` is its frame's."""
    return [field for field in attrs.fields(message) if field.name != "id"]


# Decoding.


class _Refused(Exception):
    """The field at `path` is not what it must be."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(path, expected)
        self.path, self.expected = path, expected


def _reader(message: type[Any]) -> Read:
    """What turns a body into the keyword arguments of `message`; `_Refused` when it cannot."""
    scalars: list[tuple[str, Check, bool]] = []
    records: list[tuple[str, Callable[[Wire], Any], bool]] = []
    lists: list[tuple[str, Callable[[Wire], Any]]] = []
    for field in _body_fields(message):
        kind, required = _kind(field), field.default is attrs.NOTHING
        if get_origin(kind) is tuple:
            lists.append((field.name, _record_reader(get_args(kind)[0])))
        elif attrs.has(kind):
            records.append((field.name, _record_reader(kind), required))
        else:
            check = check_bool if kind is bool else check_of(get_args(kind)[1])
            scalars.append((field.name, check, required))

    def read(wire: Wire) -> Values:
        values: Values = {}
        name = ""
        try:
            for name, check, required in scalars:
                value = getattr(wire, name)
                # Zero may stand for what nobody wrote; asking only then is half of the time.
                if value or wire.HasField(name):
                    values[name] = check(value, None)
                elif required:
                    raise _Refused(name, "required field missing")
        except FieldError as error:
            raise _Refused(name, str(error)) from None
        for name, read_record, required in records:
            if wire.HasField(name):
                values[name] = _inside(name, read_record, getattr(wire, name))
            elif required:
                raise _Refused(name, "required field missing")
        for name, read_record in lists:
            values[name] = _read_list(name, read_record, getattr(wire, name))
        return values

    return read


def _record_reader(record: type[Any]) -> Callable[[Wire], Any]:
    read = _reader(record)
    return lambda wire: record(**read(wire))


def _read_list(name: str, read: Callable[[Wire], Any], wires: Sequence[Wire]) -> tuple[Any, ...]:
    items: list[Any] = []
    try:
        for wire in wires:
            items.append(read(wire))  # noqa: PERF401 - how far it came is the place of what is wrong
    except _Refused as refused:
        raise _Refused(f"{name}[{len(items)}].{refused.path}", refused.expected) from None
    return tuple(items)


def _inside(name: str, read: Callable[[Wire], Any], wire: Wire) -> Any:
    try:
        return read(wire)
    except _Refused as refused:
        raise _Refused(f"{name}.{refused.path}", refused.expected) from None


def _message_reader(message: type[Any]) -> ReadMessage:
    """What turns a body and its frame's `id` into a message."""
    if message is Publish:
        return _read_publish
    return _by_rules(message)


def _by_rules(message: type[Any]) -> ReadMessage:
    read = _reader(message)
    id_field = attrs.fields_dict(message).get("id")
    if id_field is None:
        return lambda wire, _: message(**read(wire))
    needs_id = id_field.default is attrs.NOTHING

    def read_message(wire: Wire, id: int | None) -> Any:
        if id is None and needs_id:
            raise _Refused("id", "required field missing")
        return message(id=id, **read(wire))

    return read_message


_read_publish_by_rules: Final = _by_rules(Publish)


def _read_publish(wire: Wire, id: int | None) -> Any:
    return publish_from_wire(wire, id) or _read_publish_by_rules(wire, id)


def _readers(table: Mapping[str, type[Any]]) -> dict[str, ReadMessage]:
    """By the name of the body in the frame's oneof, which is the tag in lower case."""
    return {tag.lower(): _message_reader(message) for tag, message in table.items()}


_COMMANDS: Final = _readers(COMMANDS)
_ANSWERS: Final = _readers(ANSWERS)


def _decode(frame: str | bytes, envelope: Any, body: str, readers: dict[str, ReadMessage]) -> Any:
    """Frame, then body, then fields: each step may rely on the one before."""
    if isinstance(frame, str):
        raise DecodeError(ErrorCode.BAD_REQUEST, "expected a binary frame")
    try:
        wire = envelope.FromString(frame)
    except (WireError, UnicodeDecodeError):  # the latter from the runtime without C
        raise DecodeError(ErrorCode.BAD_REQUEST, f"not a {envelope.DESCRIPTOR.name}") from None
    id = wire.id if wire.HasField("id") else None
    tag = wire.WhichOneof(body)
    if tag is None:
        raise _without_body(wire, body, id)
    try:
        return readers[tag](getattr(wire, tag), id)
    except _Refused as refused:
        detail = f"{refused.expected} @ $.{refused.path}"
        raise DecodeError(ErrorCode.BAD_REQUEST, detail, id) from None


def _without_body(wire: Wire, body: str, id: int | None) -> DecodeError:
    """A body of a later version is a field that this one does not know; or there is none at all."""
    size = wire.ByteSize()
    wire.DiscardUnknownFields()
    if wire.ByteSize() == size:
        return DecodeError(ErrorCode.BAD_REQUEST, f"required field missing @ $.{body}", id)
    return DecodeError(ErrorCode.UNKNOWN_TYPE, "unknown type", id)


# Encoding.


_BY_HAND: Final[dict[type[Any], Write]] = {Message: message_to_wire}


def _writer(message: type[Any]) -> Write:
    """What carries a message's fields over into its body."""
    return _BY_HAND.get(message) or _writer_by_rules(message)


def _writer_by_rules(message: type[Any]) -> Write:
    """A field that has its default None or False is left out."""
    scalars: list[tuple[str, Any]] = []
    records: list[tuple[str, Write]] = []
    lists: list[tuple[str, Write]] = []
    for field in _body_fields(message):
        kind = _kind(field)
        if get_origin(kind) is tuple:
            lists.append((field.name, _writer(get_args(kind)[0])))
        elif attrs.has(kind):
            records.append((field.name, _writer(kind)))
        else:
            scalars.append((field.name, False if field.default is False else None))

    def write(value: Any, wire: Wire) -> None:
        for name, left_out in scalars:
            item = getattr(value, name)
            if item is not left_out:
                setattr(wire, name, item)
        for name, write_record in records:
            record = getattr(value, name)
            if record is not None:
                write_record(record, getattr(wire, name))
        for name, write_record in lists:
            add = getattr(wire, name).add
            for record in getattr(value, name):
                write_record(record, add())

    return write


@attrs.frozen
class _Encoder:
    """How one class of message is written."""

    frame_class: Any
    body: str
    has_id: bool
    write: Write

    @classmethod
    def of(cls, message: type[Any], tag: str) -> "_Encoder":
        # HEARTBEAT goes both ways and has the same number in both frames.
        frame_class = CLIENT_FRAME if COMMANDS.get(tag) is message else SERVER_FRAME
        return cls(frame_class, tag.lower(), hasattr(message, "id"), _writer(message))


_ENCODERS: Final = {message: _Encoder.of(message, tag) for message, tag in TAGS.items()}


class ProtobufCodec:
    """`greenroom.v1.protobuf`: one `ClientFrame` or `ServerFrame` in each binary frame."""

    subprotocol: str = "greenroom.v1.protobuf"
    binary: bool = True

    def decode_command(self, frame: str | bytes) -> Command:
        """See `Codec.decode_command`."""
        return cast("Command", _decode(frame, CLIENT_FRAME, "command", _COMMANDS))

    def decode_answer(self, frame: str | bytes) -> Answer:
        """See `Codec.decode_answer`."""
        return cast("Answer", _decode(frame, SERVER_FRAME, "answer", _ANSWERS))

    def encode(self, message: Command | Answer) -> bytes:
        """See `Codec.encode`. `message` is taken at its word: its bounds are not checked again."""
        encoder = _ENCODERS[type(message)]
        frame = encoder.frame_class()
        if encoder.has_id:
            id: int | None = getattr(message, "id")  # noqa: B009 - not every class has one
            if id is not None:
                frame.id = id
        body = getattr(frame, encoder.body)
        body.SetInParent()  # OK has no field that would
        encoder.write(message, body)
        encoded: bytes = frame.SerializeToString()
        return encoded

    def encode_ack(self, message: Message, id: int, *, status: int, duplicate: bool) -> bytes:
        """See `Codec.encode_ack`."""
        frame = SERVER_FRAME()
        frame.id = id
        ack_to_wire(message, frame.ack, status=status, duplicate=duplicate)
        encoded: bytes = frame.SerializeToString()
        return encoded


PROTOBUF_CODEC: Final[Codec] = ProtobufCodec()
