"""`docs/protocol.md` says exactly what the tables and classes say."""

import re
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest
from google.protobuf import text_format

from greenroom.protocol import (
    ANSWERS,
    CLOSES,
    COMMANDS,
    ERRORS,
    JSON_CODEC,
    PROTOBUF_CODEC,
    SUBPROTOCOLS,
    TRANSITIONS,
    Auth,
    CloseCode,
    GapReason,
    Limits,
    Member,
    Position,
)
from greenroom.protocol import _limits as sizes
from greenroom.protocol._fields import IntRange
from greenroom.protocol._protobuf import CLIENT_FRAME, SERVER_FRAME

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text()
RECORDS = {"Position": Position, "Member": Member, "Limits": Limits}
MESSAGES = [(tag, kind, "client") for tag, kind in COMMANDS.items()] + [
    (tag, kind, "node") for tag, kind in ANSWERS.items()
]


def type_cell(kind: Any) -> str:
    """What the docs' tables say of a field's type, with range and unit."""
    if get_origin(kind) is Annotated:
        rule = get_args(kind)[1]
        if isinstance(rule, IntRange):
            unit = f" {rule.unit}" if rule.unit else ""
            return f"integer {rule.low}..{rule.high}{unit}"
        if rule.pattern is not None:
            return "room name"
        return "string" if rule.high is None else f"string, {rule.low}..{rule.high} characters"
    if get_origin(kind) in {Union, UnionType}:
        return type_cell(next(arg for arg in get_args(kind) if arg is not type(None)))
    if get_origin(kind) is tuple:
        return f"array of {get_args(kind)[0].__name__}"
    return "boolean" if kind is bool else str(kind.__name__)


def row(field: "attrs.Attribute[Any]") -> str:
    """The first three cells of a field's row."""
    name = field.metadata.get("wire") or field.name
    if field.default is attrs.NOTHING:
        needed = "yes"
    elif field.default is None or field.default == ():
        needed = "no"
    else:
        needed = f"no ({str(field.default).lower()})"
    return f"| `{name}` | {type_cell(field.type)} | {needed} |"


def section(title: str) -> str:
    """The text below the heading `title`, up to the next heading."""
    found = re.search(rf"^###? {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title!r}"
    return found.group(1)


def rows(text: str) -> list[str]:
    return re.findall(r"^\| `.*?$", text, re.MULTILINE)


@pytest.mark.parametrize(("tag", "kind", "sender"), MESSAGES)
def test_a_message_section_lists_its_fields_and_no_others(
    tag: str, kind: type[Any], sender: str
) -> None:
    described = rows(section(f"{tag} ({sender})"))
    expected = [row(field) for field in attrs.fields(kind)]
    assert [line[: len(start)] for line, start in zip(described, expected, strict=True)] == expected


@pytest.mark.parametrize(("name", "kind"), RECORDS.items())
def test_a_record_section_lists_its_fields_and_no_others(name: str, kind: type[Any]) -> None:
    described = rows(section(name))
    expected = [row(field) for field in attrs.fields(kind)]
    assert [line[: len(start)] for line, start in zip(described, expected, strict=True)] == expected


def examples(language: str, text: str) -> list[str]:
    """The text of each block of code in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("tag", "kind", "sender"), MESSAGES)
def test_a_message_has_examples_that_decode_to_it_in_both_codecs(
    tag: str, kind: type[Any], sender: str
) -> None:
    def decode(codec: Any, frame: Any) -> Any:
        return codec.decode_command(frame) if sender == "client" else codec.decode_answer(frame)

    body = section(f"{tag} ({sender})")
    in_json = [decode(JSON_CODEC, example) for example in examples("json", body)]
    assert {type(message) for message in in_json} == {kind}
    in_protobuf = examples("textproto", body)
    assert [decode(PROTOBUF_CODEC, frame_bytes(example)) for example in in_protobuf] == in_json


@pytest.mark.parametrize(("tag", "kind", "sender"), MESSAGES)
def test_a_protobuf_example_says_in_text_what_its_bytes_say(
    tag: str, kind: type[Any], sender: str
) -> None:
    frame_class = CLIENT_FRAME if sender == "client" else SERVER_FRAME
    for example in examples("textproto", section(f"{tag} ({sender})")):
        name, size = re.match(r"# (\w+), (\d+) bytes:\n", example).groups()  # type: ignore[union-attr]
        frame = frame_bytes(example)
        assert (name, int(size)) == (frame_class.DESCRIPTOR.name, len(frame))
        # Without the comments: what follows the bytes is the whole message.
        assert text_format.Parse(example, frame_class()) == frame_class.FromString(frame)


def frame_bytes(example: str) -> bytes:
    """What the comment above a frame in text format writes out."""
    return bytes.fromhex(" ".join(re.findall(r"^# ([0-9a-f ]+)$", example, re.MULTILINE)))


@pytest.mark.parametrize("language", ["json", "textproto"])
def test_every_example_of_the_page_belongs_to_a_message(language: str) -> None:
    found = [examples(language, section(f"{tag} ({sender})")) for tag, _, sender in MESSAGES]
    assert PAGE.count(f"```{language}\n") == sum(map(len, found))


def test_what_the_page_takes_from_the_code_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, DOCS / "generate_protocol.py", "--check"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr


def test_the_page_names_each_subprotocol() -> None:
    named = re.findall(r"^\| `(greenroom\.\S+)` \|", section("Handshake"), re.MULTILINE)
    assert tuple(named) == SUBPROTOCOLS


def test_every_frame_of_the_session_decodes_on_the_side_that_gets_it() -> None:
    """Each command's id is answered once; the last one of the first connection never is."""
    frames = re.findall(r"^([→←]) (\{.*)$", section("A session from open to close"), re.MULTILINE)
    connections: list[list[int | None]] = []  # of the commands not answered yet
    for arrow, frame in frames:
        if arrow == "→":
            command = JSON_CODEC.decode_command(frame)
            if isinstance(command, Auth):
                connections.append([])
            if "id" in attrs.fields_dict(type(command)):
                connections[-1].append(command.id)
        else:
            answer = JSON_CODEC.decode_answer(frame)
            if "id" in attrs.fields_dict(type(answer)):
                connections[-1].remove(answer.id)
    assert connections == [[4], []]


def test_the_error_table_is_the_code_s() -> None:
    found = re.findall(r"^\| (\d{3}) \| (.*?) \| (.*?) \|", section("Error codes"), re.MULTILINE)
    assert found == [
        (str(int(code)), text, "yes" if temporary else "no")
        for code, (temporary, text) in ERRORS.items()
    ]


def test_the_close_table_is_the_code_s() -> None:
    found = re.findall(r"^\| (\d{4}) \| (.*?) \| (.*?) \|", section("Close codes"), re.MULTILINE)
    assert found == [
        (str(int(code)), text, "yes" if CloseCode(code).reconnect else "no")
        for code, text in CLOSES.items()
    ]


def test_the_state_diagram_is_the_transition_table() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", section("States"), re.MULTILINE)
    assert drawn == [
        (before.value, after.value, event.name) for (before, event), after in TRANSITIONS.items()
    ]


def test_the_gap_reasons_are_all_named() -> None:
    assert [reason for reason in GapReason if f"`{reason}`" not in section("GAP (node)")] == []


def test_the_size_table_is_the_constants() -> None:
    found = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section("Sizes"), re.MULTILINE))
    assert found == {name: str(value) for name, value in vars(sizes).items() if name.isupper()}
