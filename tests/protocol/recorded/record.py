"""Record the schema and frames of a version that is about to be published.

    python tests/protocol/recorded/record.py v1.1

What stands in a version's folder is never written again: later code is held against it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import attrs
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from greenroom.protocol import ANSWERS, CODECS, COMMANDS
from greenroom.protocol._fields import IntRange
from greenroom.protocol._schema import FILE_DESCRIPTOR

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from support import protocol_strategies as strategies  # noqa: E402 - found by the line above


def message(kind: type[Any], *, full: bool) -> Any:
    """A message in which no two fields look alike; without its optional fields unless `full`."""
    fields = [field for field in attrs.fields(kind) if full or field.default is attrs.NOTHING]
    return kind(
        **{field.name: value(field, number, full=full) for number, field in enumerate(fields)}
    )


def value(field: "attrs.Attribute[Any]", number: int, *, full: bool) -> Any:
    rule = strategies.rule_of(field.type)
    if isinstance(rule, IntRange):
        return min(rule.high - number, 9_000_000_000_000_000 + number)
    if rule is not None:
        return f"{field.name}-{number}" + ("" if rule.pattern else " \u00e9\U0001f3ad")
    kind = strategies.bare(field.type)
    if kind is bool:
        return number % 2 == 0
    if inner := strategies.element_of(kind):
        return (message(inner, full=True), message(inner, full=full))
    return message(kind, full=full)


def frames() -> list[dict[str, Any]]:
    json_codec, protobuf = CODECS
    return [
        {
            "from": sender,
            "fields": attrs.asdict(said),
            "json": json_codec.encode(said).decode(),
            "protobuf": protobuf.encode(said).hex(),
        }
        for sender, table in (("client", COMMANDS), ("node", ANSWERS))
        for kind in table.values()
        for said in (message(kind, full=True), message(kind, full=False))
    ]


if __name__ == "__main__":
    folder = HERE / sys.argv[1]
    folder.mkdir()
    schema = FileDescriptorProto.FromString(FILE_DESCRIPTOR)
    (folder / "schema.txtpb").write_text(text_format.MessageToString(schema))
    lines = [json.dumps(frame, ensure_ascii=False) for frame in frames()]
    (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
