"""The JSON codec: strict about what it knows, deaf to what it does not."""

import json
import sys
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
    PROTOBUF_CODEC,
    Codec,
    DecodeError,
    ErrorCode,
    Gap,
    Heartbeat,
    Join,
    Position,
    Publish,
    Typing,
)


def refused(frame: str | bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        JSON_CODEC.decode_command(frame)
    return caught.value


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
        b'{"type":"TYPING","room":"a","x":[-1e400]}',
        b'{"type":"TYPING","room":"a","x":{"y":1' + b"0" * 400 + b"}}",
        b'{"type":"TYPING","room":"a","x":Infinity}',
        b'{"type":"TYPING","room":"a","x":["\\ud800x"]}',
        b'{"type":"TYPING","room":"a","\\udfff":1}',
        b'{"type":"TYPING","room":"a","x":"\xed\xa0\x80"}',
        b'{"type":"TYPING","room":"a","x":[{"y":1,"y":1}]}',
        b'{"type":"HEARTBEAT","timestamp":123456789012345678901234567890}',
        b'{"type":"HEARTBEAT","timestamp":1e3}',
        b'{"type":"TYPING","room":"a","x":123456789012345678901234567890}',
        b'{"type":"TYPING","room":"a","x":18446744073709551616}',
        b'{"type":"TYPING","room":"a","x":-9223372036854775809}',
        b'{"type":"TYPING","room":"a","x":[{"y":[1e30]}]}',
        b'{"type":"TYPING","room":"a", "x":-1E300}',
        b'{"type":"JOIN","room":"a","since":{"epoch":"e","offset":1,"x":1e30}}',
        b'{"type":"JOIN","room":"a","since":{"epoch":"e","offset":1,"offset":2}}',
        b'{"type":"TYPING","room":"a","x":' + b"9" * 60000 + b"}",
        b'{"type":"TYPING","room":"a","' + b"x" * 101 + b'":1}',
        b'{"type":"TYPING","room":"a","x":{"' + b"x" * 60000 + b'":1}}',
        b'{"type":"TYPING","room":"a","x":[' + b"[]," * 4096 + b"0]}",
        b'{"type":"TYPING","room":"a"}}',
        b'{"type":"TYPING","room":"a"} {}',
        b'{"type":"TYPING","room":"a"}\0',
        b'{"type":"TYPING","room":"a\0"}',
        b'{"type":"TYPING","room":"\\u0000"}',
        b'{"type":"TYPING","room":"a",}',
        b"{'type':'TYPING','room':'a'}",
        b'{"type":"TYPING","room":"a","x":01}',
        b'{"type":"TYPING","room":"a","x":.5}',
        b'{"type":"TYPING","room":"a","x":0x10}',
        b'{"type":"TYPING","room":"a","x":-Infinity}',
        b'{"type":"AUTH","id":18446744073709551616,"token":"x"}',
        b'{"type":"HISTORY","room":"a","limit":50.0}',
        b'{"type":"HISTORY","room":"a","limit":' + b"9" * 400 + b"}",
        b'{"type":"TYPING","room":"a","x":' + b"[" * 16 + b"]" * 16 + b"}",
        b'{"type":"TYPING","room":"a","x":' + b'{"y":' * 16 + b"1" + b"}" * 16 + b"}",
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


@pytest.mark.parametrize(
    "nested",
    ["[" * 15 + "]" * 15, "[" + "[]," * 100 + "[]]", '"' + "[{" * 100 + '"'],
)
def test_what_is_nested_no_deeper_than_16_levels_is_read(nested: str) -> None:
    """The object itself is one; brackets beside one another, and in strings, are none."""
    frame = f'{{"type":"TYPING","room":"a","x":{nested}}}'
    assert JSON_CODEC.decode_command(frame) == Typing(room="a")


@pytest.mark.parametrize(
    "extra",
    [
        '"x":18446744073709551615',
        '"x":-9223372036854775808',
        '"x":[9e18,-9.2e18,1e-300,0.1]',
        '"x":"123456789012345678901234567890 1e400"',
        f'"{"x" * 100}":1',
        '"x":[' + "[]," * 4093 + "0]",
        '"x": "a \\\\u003a b \\u003a c \\\\\\u003A", "y": ":"',
    ],
)
def test_what_is_unknown_but_within_bounds_is_ignored(extra: str) -> None:
    assert JSON_CODEC.decode_command(f'{{"type":"TYPING","room":"a",{extra}}}') == Typing(room="a")


@pytest.mark.parametrize("codec", [JSON_CODEC, PROTOBUF_CODEC], ids=lambda codec: codec.subprotocol)
@given(
    st.binary(max_size=300),
    st.one_of(st.none(), st.sampled_from(list(COMMANDS.values())).flatmap(strategies.messages)),
    st.data(),
)
def test_any_bytes_give_a_message_or_decode_error(
    codec: Codec, noise: bytes, message: Any, data: st.DataObject
) -> None:
    """Noise alone, and noise in the place of some bytes of a good frame."""
    whole = codec.encode(message) if message is not None else b""
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    frame = whole[:start] + noise + whole[end:]
    for decode in (codec.decode_command, codec.decode_answer):
        outcome(decode, frame)


def filled(piece: str, size: int, start: str = "") -> str:
    """A frame of nearly `size` characters that is full of `piece`."""
    head, tail = '{"type":"TYPING","room":"a",' + start + '"x":[', "0]}"
    return head + f"{piece}," * ((size - len(head) - len(tail)) // (len(piece) + 1)) + tail


SLOW = {
    "numbers": lambda size: filled("0", size),
    "numbers, and an escaped colon": lambda size: filled("0", size, '"\\u003a":0,'),
    "empty arrays": lambda size: filled("[]", size),
    "empty objects": lambda size: filled("{} ", size),
    "objects": lambda size: filled('{"a":0}', size),
    "escaped colons": lambda size: filled('{"\\u003a":0}', size),
    "deep arrays": lambda size: filled("[" * 13 + "]" * 13, size),
    "far too deep": lambda size: filled("[" * 900 + "]" * 900, size),
    "backslashes": lambda size: filled('"' + "\\\\" * 40 + 'u003a"', size, '"\\u003a":0,'),
    "names": lambda size: filled("0", 100, "".join(f'"{n}":1,' for n in range(size // 9))),
    "names twice": lambda size: filled("0", 100, '"a":1,' * (size // 6)),
    "large integers": lambda size: filled("9" * 18, size),
    "digits": lambda size: filled("0", 100, f'"n":0.{"9" * size},'),
}


def lines_run(frame: str) -> int:
    """How many lines of our decoder one frame costs."""
    count = 0

    def trace(code: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if code.f_code.co_filename.endswith("_json.py") else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outcome(JSON_CODEC.decode_command, frame)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", SLOW)
def test_what_a_frame_costs_grows_no_faster_than_its_size(name: str) -> None:
    """The slowest that we know of: at most 3 ms for 64 KiB, four lines for each two bytes."""
    half, whole = lines_run(SLOW[name](32 * 1024)), lines_run(SLOW[name](64 * 1024))
    assert whole <= 2.1 * half + 100
    assert whole < 135_000


def test_an_unknown_type_is_told_apart_and_keeps_its_id() -> None:
    error = refused('{"type":"DANCE","id":7}')
    assert (error.code, error.id) == (ErrorCode.UNKNOWN_TYPE, 7)


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
