"""Version 1 only grows: what was published stays readable, and readers pass over what is new."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from support import protocol_strategies as strategies
from support.schema_promises import broken_promises

from greenroom.protocol import (
    ANSWERS,
    COMMANDS,
    JSON_CODEC,
    PROTOBUF_CODEC,
    TAGS,
    Codec,
    DecodeError,
    ErrorCode,
    Heartbeat,
    Limits,
    Member,
    Position,
)
from greenroom.protocol._schema import FILE_DESCRIPTOR

ROOT = Path(__file__).parents[2]
RECORDED = sorted(path for path in (Path(__file__).parent / "recorded").iterdir() if path.is_dir())
SCHEMA = FileDescriptorProto.FromString(FILE_DESCRIPTOR)
TYPES = {**{kind.__name__: kind for kind in TAGS}, "Position": Position, "Member": Member}
TYPES["Limits"] = Limits


def decode(codec: Codec, sender: str, frame: str | bytes) -> Any:
    return codec.decode_command(frame) if sender == "client" else codec.decode_answer(frame)


# The schema.


def test_the_compiled_schema_is_what_the_proto_file_says() -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        missing = "grpcio-tools, of the test extra, compiles the schema"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    check = subprocess.run(
        [sys.executable, ROOT / ".ci" / "compile_schema.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stderr


def test_the_schema_has_each_message_and_field_of_the_classes_and_no_others() -> None:
    frames = {"ClientFrame", "ServerFrame"}
    fields = {
        m.name: [f.name for f in m.field] for m in SCHEMA.message_type if m.name not in frames
    }
    assert fields == {
        name: [field.name for field in attrs.fields(kind) if field.name != "id"]
        for name, kind in TYPES.items()
    }


@pytest.mark.parametrize(
    ("frame", "table"),
    [("ClientFrame", COMMANDS), ("ServerFrame", ANSWERS)],
    ids=["client", "node"],
)
def test_a_frame_has_one_body_for_each_type(frame: str, table: dict[str, type[Any]]) -> None:
    message = next(message for message in SCHEMA.message_type if message.name == frame)
    bodies = {f.name.upper(): f.type_name for f in message.field if f.name != "id"}
    assert bodies == {tag: f".greenroom.v1.{kind.__name__}" for tag, kind in table.items()}


def test_every_scalar_tells_absence_from_zero() -> None:
    scalars = [
        (message.name, field.name, field.proto3_optional)
        for message in SCHEMA.message_type
        for field in message.field
        if field.type != FieldDescriptorProto.TYPE_MESSAGE
    ]
    assert [name for name in scalars if not name[2]] == []


def test_a_heartbeat_is_the_same_frame_both_ways() -> None:
    frame = PROTOBUF_CODEC.encode(Heartbeat(timestamp=1, echo=2))
    assert PROTOBUF_CODEC.decode_command(frame) == PROTOBUF_CODEC.decode_answer(frame)


# What was published before.


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_no_promise_of_a_published_schema_is_broken(folder: Path) -> None:
    old = text_format.Parse((folder / "schema.txtpb").read_text(), FileDescriptorProto())
    assert broken_promises(old, SCHEMA) == []


def recorded_frames() -> list[Any]:
    return [
        pytest.param(json.loads(line), id=f"{folder.name}-{number}")
        for folder in RECORDED
        for number, line in enumerate((folder / "frames.jsonl").read_text().splitlines())
    ]


def holds(found: Any, recorded: Any) -> bool:
    """Whether `found` has everything `recorded` has; later versions may have more fields."""
    if isinstance(recorded, dict):
        return all(holds(found[name], value) for name, value in recorded.items())
    if isinstance(recorded, list):
        return all(map(holds, found, recorded)) and len(found) == len(recorded)
    return bool(found == recorded)


@pytest.mark.parametrize("recorded", recorded_frames())
def test_a_recorded_frame_still_says_what_it_said(recorded: dict[str, Any]) -> None:
    frames = {JSON_CODEC: recorded["json"], PROTOBUF_CODEC: bytes.fromhex(recorded["protobuf"])}
    for codec, frame in frames.items():
        message = decode(codec, recorded["from"], frame)
        assert holds(attrs.asdict(message), recorded["fields"])


# What a later version says.


def later_schema() -> FileDescriptorProto:
    """Version 1.1, let us say: a new field in every message, and a new command."""
    later = FileDescriptorProto.FromString(FILE_DESCRIPTOR)
    for message in later.message_type:
        message.field.add(
            name="since_v1_1",
            number=500,
            type=FieldDescriptorProto.TYPE_STRING,
            label=FieldDescriptorProto.LABEL_REPEATED,
        )
    later.message_type.add(name="Dance").field.add(
        name="steps",
        number=1,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    for frame in later.message_type[:2]:
        frame.field.add(
            name="dance",
            number=200,
            type=FieldDescriptorProto.TYPE_MESSAGE,
            type_name=".greenroom.v1.Dance",
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            oneof_index=0,
        )
    return later


POOL = DescriptorPool()
POOL.AddSerializedFile(later_schema().SerializeToString())
LATER = {
    sender: GetMessageClass(POOL.FindMessageTypeByName(f"greenroom.v1.{name}"))
    for sender, name in (("client", "ClientFrame"), ("node", "ServerFrame"))
}


def add_to_every_message(wire: Any) -> None:
    wire.since_v1_1.extend(["new", "news"])
    for field, value in wire.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "add") else [value]:
                add_to_every_message(inner)


def add_to_every_object(value: Any) -> Any:
    if isinstance(value, dict):
        return {"a": [{}], **{key: add_to_every_object(item) for key, item in value.items()}}
    return [add_to_every_object(item) for item in value] if isinstance(value, list) else value


EACH = [("client", kind) for kind in COMMANDS.values()] + [
    ("node", kind) for kind in ANSWERS.values()
]


@pytest.mark.parametrize(("sender", "kind"), EACH)
def test_fields_of_a_later_version_are_passed_over(sender: str, kind: type[Any]) -> None:
    message = strategies.example(kind)
    wire = LATER[sender].FromString(PROTOBUF_CODEC.encode(message))
    add_to_every_message(wire)
    assert decode(PROTOBUF_CODEC, sender, wire.SerializeToString()) == message
    value = add_to_every_object(json.loads(JSON_CODEC.encode(message)))
    assert decode(JSON_CODEC, sender, json.dumps(value)) == message


@pytest.mark.parametrize("sender", LATER)
@pytest.mark.parametrize("id", [None, 0, 7])
def test_a_body_of_a_later_version_is_an_unknown_type_and_keeps_its_id(
    sender: str, id: int | None
) -> None:
    for wire in (LATER[sender](id=id, dance={"steps": "x"}), LATER[sender](id=id, dance={})):
        with pytest.raises(DecodeError) as caught:
            decode(PROTOBUF_CODEC, sender, wire.SerializeToString())
        assert (caught.value.code, caught.value.id) == (ErrorCode.UNKNOWN_TYPE, id)


# The judge itself.


def change(number_before: int, /, **values: Any) -> Callable[[FileDescriptorProto], None]:
    """A change of PUBLISH's field of that number."""

    def apply(schema: FileDescriptorProto) -> None:
        field = next(field for field in publish(schema).field if field.number == number_before)
        for name, value in values.items():
            setattr(field, name, value)

    return apply


def publish(schema: FileDescriptorProto) -> Any:
    return next(message for message in schema.message_type if message.name == "Publish")


def remove(*, number: bool, name: bool) -> Callable[[FileDescriptorProto], None]:
    """Remove PUBLISH's last field, and reserve its number or name or both."""

    def apply(schema: FileDescriptorProto) -> None:
        message = publish(schema)
        gone = message.field.pop()
        if number:
            message.reserved_range.add(start=gone.number, end=gone.number + 1)
        if name:
            message.reserved_name.append(gone.name)

    return apply


def leave_oneof(schema: FileDescriptorProto) -> None:
    schema.message_type[0].field[1].ClearField("oneof_index")


@pytest.mark.parametrize(
    ("apply", "found"),
    [
        (change(2, name="token"), ["Publish.key = 2: the number is now token's"]),
        (change(2, number=9), ["Publish.key = 2: the name has another number"]),
        (change(2, type=FieldDescriptorProto.TYPE_BYTES), ["Publish.key = 2: the type changed"]),
        (change(2, proto3_optional=False), ["Publish.key = 2: the type changed"]),
        (
            change(2, label=FieldDescriptorProto.LABEL_REPEATED),
            ["Publish.key = 2: the type changed"],
        ),
        (leave_oneof, ["ClientFrame.publish = 4: the type changed"]),
        (remove(number=True, name=True), []),
        (
            remove(number=False, name=True),
            ["Publish.echo = 4: removed without reserving the number"],
        ),
        (remove(number=True, name=False), ["Publish.echo = 4: removed without reserving the name"]),
        (lambda schema: schema.message_type.pop(), ["Limits is gone"]),
        (lambda schema: setattr(schema, "package", "v2"), ["package or syntax changed"]),
        (lambda schema: schema.CopyFrom(later_schema()), []),
    ],
)
def test_a_broken_promise_is_found(apply: Any, found: list[str]) -> None:
    changed = FileDescriptorProto.FromString(FILE_DESCRIPTOR)
    apply(changed)
    assert broken_promises(SCHEMA, changed) == found


def test_what_was_reserved_stays_reserved() -> None:
    old = FileDescriptorProto.FromString(FILE_DESCRIPTOR)
    remove(number=True, name=True)(old)
    new = FileDescriptorProto.FromString(old.SerializeToString())
    publish(new).ClearField("reserved_range")
    publish(new).ClearField("reserved_name")
    assert broken_promises(old, new) == [
        "Publish: 4 to 4 are no longer reserved",
        "Publish: echo is no longer reserved",
    ]
