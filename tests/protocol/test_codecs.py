"""What every codec promises, whatever its frames look like."""

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import protocol_strategies as strategies

from greenroom.protocol import (
    ANSWERS,
    CODECS,
    COMMANDS,
    JSON_CODEC,
    PROTOBUF_CODEC,
    SUBPROTOCOLS,
    Auth,
    Codec,
    DecodeError,
    ErrorCode,
    Heartbeat,
    Publish,
    choose_subprotocol,
)

BY_NAME = {codec.subprotocol.rpartition(".")[2]: codec for codec in CODECS}
DIRECTIONS = {"command": COMMANDS, "answer": ANSWERS}
MESSAGES = [
    pytest.param(direction, kind, id=f"{direction}-{tag}")
    for direction, table in DIRECTIONS.items()
    for tag, kind in table.items()
]
each_codec = pytest.mark.parametrize("codec", BY_NAME.values(), ids=BY_NAME)
each_message = pytest.mark.parametrize(("direction", "kind"), MESSAGES)


def decode(codec: Codec, direction: str, frame: str | bytes) -> Any:
    return codec.decode_command(frame) if direction == "command" else codec.decode_answer(frame)


def outcome(codec: Codec, direction: str, frame: str | bytes) -> Any:
    """The message, or the DecodeError; any other exception fails the test."""
    try:
        return decode(codec, direction, frame)
    except DecodeError as error:
        return error


@each_codec
@each_message
@settings(max_examples=25)  # for each of 27 messages, twice
@given(data=st.data())
def test_every_message_survives_the_wire(
    codec: Codec, direction: str, kind: type[Any], data: st.DataObject
) -> None:
    message = data.draw(strategies.messages(kind))
    assert decode(codec, direction, codec.encode(message)) == message


@each_message
@settings(max_examples=5)
@given(data=st.data())
def test_both_codecs_read_the_same_message_where_both_wrote_it(
    direction: str, kind: type[Any], data: st.DataObject
) -> None:
    message = data.draw(strategies.messages(kind))
    read = [decode(codec, direction, codec.encode(message)) for codec in CODECS]
    assert read == [message, message]


@each_codec
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_and_any_text_give_a_message_or_decode_error(
    codec: Codec, frame: str | bytes
) -> None:
    for direction in DIRECTIONS:
        found = outcome(codec, direction, frame)
        if isinstance(found, DecodeError):
            assert found.code in {ErrorCode.BAD_REQUEST, ErrorCode.UNKNOWN_TYPE}
            assert str(found)
        else:
            assert type(found) in DIRECTIONS[direction].values()


@each_codec
@each_message
@settings(max_examples=5)
@given(data=st.data())
def test_a_frame_with_a_few_bytes_changed_gives_a_message_or_decode_error(
    codec: Codec, direction: str, kind: type[Any], data: st.DataObject
) -> None:
    frame = bytearray(codec.encode(data.draw(strategies.messages(kind))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(frame) - 1)))
        frame[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    outcome(codec, direction, bytes(frame))


def wrong_values(kind: Any) -> list[Any]:
    """The nearest values that break the rule of a field's type."""
    rule = strategies.rule_of(kind)
    if rule is None:
        return []
    if isinstance(rule, strategies.IntRange):
        below = [rule.low - 1] if rule.low else []  # Protobuf's integers are unsigned by type
        return [*below, *([rule.high + 1] if rule.high < 2**32 - 1 or rule.high > 2**32 else [])]
    wrong = ["a\0"]
    if rule.high is not None:
        wrong.append("a" * (rule.high + 1))
    if rule.low:
        wrong.append("")
    if rule.pattern is not None:
        wrong += ["a b", "ä", "a\n"]
    return wrong


WRONG = [
    pytest.param(direction, kind, field.name, wrong, id=f"{direction}-{tag}.{field.name}-{number}")
    for direction, table in DIRECTIONS.items()
    for tag, kind in table.items()
    for field in attrs.fields(kind)
    for number, wrong in enumerate(wrong_values(field.type))
]


@each_codec
@pytest.mark.parametrize(("direction", "kind", "name", "wrong"), WRONG)
def test_a_value_just_outside_of_a_field_s_bounds_is_a_bad_request_that_names_the_field(
    codec: Codec, direction: str, kind: type[Any], name: str, wrong: Any
) -> None:
    frame = codec.encode(attrs.evolve(strategies.example(kind), **{name: wrong}))
    error = outcome(codec, direction, frame)
    assert isinstance(error, DecodeError)
    assert error.code is ErrorCode.BAD_REQUEST
    assert error.detail.endswith(f" @ $.{name}")
    assert error.id == getattr(strategies.example(kind), "id", None)


@each_codec
def test_an_optional_number_that_is_zero_is_not_taken_for_absent(codec: Codec) -> None:
    for echo in (0, None):
        heartbeat = Heartbeat(timestamp=0, echo=echo)
        assert codec.decode_command(codec.encode(heartbeat)) == heartbeat
    for id in (0, None):
        publish = Publish(id=id, room="a", content="")
        assert codec.decode_command(codec.encode(publish)) == publish


@each_codec
def test_an_answer_is_an_unknown_type_to_the_node(codec: Codec) -> None:
    """Protobuf has no name for it there: the number means nothing, or something else."""
    frame = codec.encode(strategies.example(ANSWERS["OK"]))
    error = outcome(codec, "command", frame)
    assert (error.code, error.id) == (ErrorCode.UNKNOWN_TYPE, strategies.example(ANSWERS["OK"]).id)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], JSON_CODEC),
        (["greenroom.v1.json"], JSON_CODEC),
        (["greenroom.v1.protobuf"], PROTOBUF_CODEC),
        (["greenroom.v1.protobuf", "greenroom.v1.json"], PROTOBUF_CODEC),
        (["greenroom.v1.json", "greenroom.v1.protobuf"], JSON_CODEC),
        (["other", "greenroom.v1.json"], JSON_CODEC),
        (["other"], None),
        (["GREENROOM.V1.JSON"], None),
    ],
)
def test_the_first_known_subprotocol_wins(offered: list[str], chosen: object) -> None:
    assert choose_subprotocol(offered) is chosen


def test_the_subprotocols_are_the_two_of_version_1() -> None:
    assert SUBPROTOCOLS == ("greenroom.v1.json", "greenroom.v1.protobuf")
    assert [codec.binary for codec in CODECS] == [False, True]


@pytest.mark.parametrize("frame", ['{"type":"AUTH","id":1}', bytes.fromhex("0801820100")])
def test_an_auth_need_not_bring_a_token(frame: str | bytes) -> None:
    """The handshake may have brought it; absent is not the same as empty."""
    codec = JSON_CODEC if isinstance(frame, str) else PROTOBUF_CODEC
    assert codec.decode_command(frame) == Auth(id=1)
    assert codec.decode_command(codec.encode(Auth(id=1))) == Auth(id=1)
