"""The JSON codec: strict about what it knows, deaf to what it does not."""

import json
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import protocol_strategies as strategies

from greenroom.protocol import (
    ANSWERS,
    COMMANDS,
    JSON_CODEC,
    DecodeError,
    ErrorCode,
    Gap,
    Heartbeat,
    Join,
    Position,
    Publish,
    choose_subprotocol,
)


def refused(frame: str | bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        JSON_CODEC.decode_command(frame)
    return caught.value


@pytest.mark.parametrize("kind", COMMANDS.values())
@given(data=st.data())
def test_every_command_survives_the_wire(kind: type[Any], data: st.DataObject) -> None:
    command = data.draw(strategies.messages(kind))
    frame = JSON_CODEC.encode(command)
    assert JSON_CODEC.decode_command(frame) == command
    assert JSON_CODEC.decode_command(frame.decode()) == command


@pytest.mark.parametrize("kind", ANSWERS.values())
@given(data=st.data())
def test_every_answer_survives_the_wire(kind: type[Any], data: st.DataObject) -> None:
    answer = data.draw(strategies.messages(kind))
    frame = JSON_CODEC.encode(answer)
    assert JSON_CODEC.decode_answer(frame) == answer
    assert JSON_CODEC.decode_answer(frame.decode()) == answer


def outcome(decode: Any, frame: str | bytes) -> Any:
    """The message, or the DecodeError; any other exception fails the test."""
    try:
        return decode(frame)
    except DecodeError as error:
        return error


def decode_both_ways(frame: str | bytes) -> None:
    for decode in (JSON_CODEC.decode_command, JSON_CODEC.decode_answer):
        found = outcome(decode, frame)
        if isinstance(found, DecodeError):
            assert found.code in {ErrorCode.BAD_REQUEST, ErrorCode.UNKNOWN_TYPE}
            assert str(found)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_and_any_text_give_a_message_or_decode_error(frame: str | bytes) -> None:
    decode_both_ways(frame)


@given(strategies.JSON_VALUES)
def test_any_json_value_gives_a_message_or_decode_error(value: Any) -> None:
    decode_both_ways(json.dumps(value))


@given(
    st.sampled_from([*COMMANDS, *ANSWERS]),
    st.dictionaries(strategies.NAMES, strategies.JSON_VALUES),
)
def test_any_fields_under_a_known_type_give_a_message_or_decode_error(
    tag: str, fields: dict[str, Any]
) -> None:
    decode_both_ways(json.dumps({**fields, "type": tag}))


@given(strategies.JSON_VALUES, st.booleans())
def test_an_object_whose_keys_differ_is_never_taken_for_one_with_a_key_twice(
    value: Any, ascii_only: bool
) -> None:
    """Colons in strings, escaped ones and nested objects do not disturb the count."""
    frame = json.dumps({"type": "TYPING", "room": "r", "x": value}, ensure_ascii=ascii_only)
    found = outcome(JSON_CODEC.decode_command, frame)
    assert "key twice" not in getattr(found, "detail", "")


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"TYPING","room":"a","room":"b"}',
        '{"type":"TYPING","room":"a","\\u0072oom":"b"}',
        '{"type":"TYPING","room":"a","x":{"y":1,"y":":"}}',
        '{"type":"TYPING","room":"a","x":[{"y":1,"y":2}]}',
        '{"type":"TYPING","room":"a","x":"\\u003a","x":"\\u003A"}',
        '{"type":"TYPING","room":"a","x":"\\u003a","y":1,"y":1}',
        # What is dropped may be nested deeper than Python's own reader goes.
        '{"type":"TYPING","room":"\\u003a","x":' + "[" * 1000 + "]" * 1000 + ',"x":1}',
    ],
)
def test_a_key_twice_is_a_bad_request(frame: str) -> None:
    for text in (frame, frame.encode()):
        assert refused(text).detail == "expected no key twice in one object"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b'"x"',
        b"[]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"type":"TYPING","room":"\ud800"}',
        b'{"type":"TYPING","room":"a","x":"\\ud800"}',
        b'{"type":"TYPING","room":"a","x":NaN}',
        b'{"type":"TYPING","room":"a","x":1e400}',
        b'{"type":"HEARTBEAT","timestamp":123456789012345678901234567890}',
        b'{"type":"HEARTBEAT","timestamp":1e3}',
        b'{"type":"TYPING","room":"a","x":' + b"[" * 17 + b"]" * 17 + b"}",
        b'{"type":"TYPING","room":"a","x":' + b"[" * 60000,
        b"{}",
        b'{"type":1}',
        b'{"type":"TYPING"}',
        b'{"type":"TYPING","room":""}',
        b'{"type":"TYPING","room":"a b"}',
        b'{"type":"TYPING","room":"a\\n"}',
        b'{"type":"TYPING","room":1}',
        b'{"type":"TYPING","room":null}',
        b'{"type":"LEAVE","room":"a","id":true}',
        b'{"type":"LEAVE","room":"a","id":1.0}',
        b'{"type":"LEAVE","room":"a","id":"1"}',
        b'{"type":"LEAVE","room":"a","id":-1}',
        b'{"type":"LEAVE","room":"a","id":4294967296}',
        b'{"type":"PUBLISH","room":"a","content":"\\u0000"}',
        b'{"type":"PUBLISH","room":"a","content":"","key":""}',
        b'{"type":"PUBLISH","room":"a","content":"","echo":1}',
        b'{"type":"JOIN","room":"a","since":"epoch offset"}',
        b'{"type":"JOIN","room":"a","since":{"epoch":"e"}}',
        b'{"type":"HISTORY","room":"a","limit":0}',
        b'{"type":"HEARTBEAT","timestamp":9007199254740992}',
    ],
)
def test_what_is_not_exactly_a_message_is_a_bad_request(frame: str | bytes) -> None:
    assert refused(frame).code is ErrorCode.BAD_REQUEST


def test_an_unknown_type_is_told_apart_and_keeps_its_id() -> None:
    error = refused('{"type":"DANCE","id":7}')
    assert (error.code, error.id) == (ErrorCode.UNKNOWN_TYPE, 7)


def test_an_answer_is_an_unknown_type_to_the_node() -> None:
    assert refused('{"type":"OK","id":7}').code is ErrorCode.UNKNOWN_TYPE


def test_the_id_is_recovered_from_a_frame_with_a_bad_field() -> None:
    assert refused('{"type":"PUBLISH","id":7,"room":"a","content":1}').id == 7


@pytest.mark.parametrize("bad", ["true", "1.5", "-1", "4294967296", '"7"'])
def test_a_bad_id_is_not_echoed(bad: str) -> None:
    assert refused(f'{{"type":"PUBLISH","id":{bad},"room":"a","content":1}}').id is None


def test_an_id_given_twice_is_not_echoed() -> None:
    assert refused('{"type":"LEAVE","room":"a","id":1,"id":2}').id is None


def test_the_detail_names_the_field_and_not_its_value() -> None:
    detail = refused('{"type":"AUTH","id":1,"token":["secret"]}').detail
    assert detail == "expected a string @ $.token"


def test_the_detail_names_a_nested_field_that_is_missing() -> None:
    detail = refused('{"type":"JOIN","room":"a","since":{"epoch":"e"}}').detail
    assert detail == "required field missing @ $.since.offset"


def test_unknown_fields_are_ignored() -> None:
    command = JSON_CODEC.decode_command('{"type":"JOIN","room":"a","new":{"in":["v1.1"]}}')
    assert command == Join(room="a")


FIELDS = [
    pytest.param(decode, kind, field, id=f"{tag}.{field.name}")
    for table, decode in (
        (COMMANDS, JSON_CODEC.decode_command),
        (ANSWERS, JSON_CODEC.decode_answer),
    )
    for tag, kind in table.items()
    for field in attrs.fields(kind)
]


def json_type(kind: Any) -> type[Any]:
    """What `json` reads where a field of this kind is written."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0]
    if get_origin(kind) in {Union, UnionType}:
        return json_type(get_args(kind)[0])
    return list if get_origin(kind) is tuple else dict if attrs.has(kind) else kind


@pytest.mark.parametrize(("decode", "kind", "field"), FIELDS)
@settings(max_examples=10)  # for each of 70 fields
@given(data=st.data())
def test_no_field_takes_a_value_of_another_json_type(
    decode: Any, kind: type[Any], field: "attrs.Attribute[Any]", data: st.DataObject
) -> None:
    """`1` is no string, `"1"` no integer, `true` and `1.0` no integers, `[]` and `{}` neither."""
    frame = json.loads(JSON_CODEC.encode(data.draw(strategies.messages(kind))))
    name = field.metadata.get("wire", field.name)
    own = json_type(field.type)
    others = [value for value in (1, 1.0, "1", True, [1], {"a": 1}) if type(value) is not own]
    frame[name] = data.draw(st.sampled_from(others))
    with pytest.raises(DecodeError) as caught:
        decode(json.dumps(frame))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.detail.endswith(f" @ $.{field.name}")


@pytest.mark.parametrize(("decode", "kind", "field"), FIELDS)
@settings(max_examples=10)  # for each of 70 fields
@given(data=st.data())
def test_null_says_that_an_optional_field_is_left_out(
    decode: Any, kind: type[Any], field: "attrs.Attribute[Any]", data: st.DataObject
) -> None:
    """For a required one it is a bad request, as leaving it out is."""
    message = data.draw(strategies.messages(kind))
    frame = json.loads(JSON_CODEC.encode(message))
    name = field.metadata.get("wire", field.name)
    frame[name] = None
    without = {key: value for key, value in frame.items() if key != name}
    if field.default is attrs.NOTHING:
        for wrong in (frame, without):
            with pytest.raises(DecodeError):
                decode(json.dumps(wrong))
    else:
        expected = attrs.evolve(message, **{field.name: field.default})
        assert decode(json.dumps(frame)) == decode(json.dumps(without)) == expected


def test_the_source_heartbeat_is_a_message() -> None:
    heartbeat = JSON_CODEC.decode_command('{"type":"HEARTBEAT","timestamp":1717036800000}')
    assert heartbeat == Heartbeat(timestamp=1717036800000)


def test_fields_that_have_their_default_are_left_out() -> None:
    assert JSON_CODEC.encode(Publish(room="a", content="hi")) == (
        b'{"type":"PUBLISH","room":"a","content":"hi"}'
    )


def test_gap_says_from_and_to() -> None:
    gap = Gap(room="a", epoch="e", from_offset=3, to_offset=5, reason="expired")
    assert JSON_CODEC.encode(gap) == (
        b'{"type":"GAP","room":"a","epoch":"e","from":3,"to":5,"reason":"expired"}'
    )


def test_since_is_an_object() -> None:
    frame = '{"type":"JOIN","room":"a","since":{"epoch":"e","offset":3}}'
    assert JSON_CODEC.decode_command(frame) == Join(room="a", since=Position("e", 3))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], JSON_CODEC),
        (["greenroom.v1.json"], JSON_CODEC),
        (["other", "greenroom.v1.json"], JSON_CODEC),
        (["other"], None),
        (["GREENROOM.V1.JSON"], None),
    ],
)
def test_the_first_known_subprotocol_wins(offered: list[str], chosen: object) -> None:
    assert choose_subprotocol(offered) is chosen
