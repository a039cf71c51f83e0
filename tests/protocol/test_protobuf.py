"""The Protobuf codec, where its frames are unlike JSON's."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import (
    PROTOBUF_CODEC,
    CloseCode,
    DecodeError,
    Error,
    ErrorCode,
    Heartbeat,
    History,
    Leave,
    Publish,
    ServerMachine,
    Typing,
)
from greenroom.protocol import _protobuf as runtime


def client_frame(**fields: Any) -> bytes:
    return runtime.CLIENT_FRAME(**fields).SerializeToString()


def refused(frame: str | bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        PROTOBUF_CODEC.decode_command(frame)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"typing": {}}, "required field missing @ $.room"),
        ({"publish": {"room": "a"}}, "required field missing @ $.content"),
        ({"heartbeat": {"echo": 1}}, "required field missing @ $.timestamp"),
        ({"join": {"room": "a", "since": {}}}, "required field missing @ $.since.epoch"),
        (
            {"join": {"room": "a", "since": {"epoch": "e"}}},
            "required field missing @ $.since.offset",
        ),
        ({"auth": {"token": ""}}, "expected a string of 1 to 8192 characters @ $.token"),
        (
            {"history": {"room": "a", "limit": 0}},
            "expected an integer from 1 to 1000 @ $.limit",
        ),
        (
            {"history": {"room": "a", "since": {"epoch": "e", "offset": 2**64 - 1}}},
            "expected an integer from 0 to 9007199254740991 @ $.since.offset",
        ),
        ({}, "required field missing @ $.command"),
    ],
)
def test_the_detail_names_the_field_and_the_id_is_kept(fields: Any, detail: str) -> None:
    for id in (None, 0, 7):
        error = refused(client_frame(id=id, **fields))
        assert (error.code, error.detail, error.id) == (ErrorCode.BAD_REQUEST, detail, id)


def test_an_empty_frame_is_a_bad_request() -> None:
    assert refused(b"").detail == "required field missing @ $.command"


def test_a_list_s_element_is_named_by_its_place() -> None:
    good = {"user": "ada", "connections": 1}
    answer = runtime.SERVER_FRAME(id=1, presence_ok={"room": "a", "members": [good, {"user": "b"}]})
    with pytest.raises(DecodeError) as caught:
        PROTOBUF_CODEC.decode_answer(answer.SerializeToString())
    assert caught.value.detail == "required field missing @ $.members[1].connections"


def test_a_reply_without_an_id_is_a_bad_request() -> None:
    with pytest.raises(DecodeError) as caught:
        PROTOBUF_CODEC.decode_answer(runtime.SERVER_FRAME(ok={}).SerializeToString())
    assert caught.value.detail == "required field missing @ $.id"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_that_is_not_utf_8_is_a_bad_request(bad: bytes) -> None:
    """Lone surrogates and overlong forms are none (RFC 3629, 3)."""
    frame = client_frame(typing={"room": "x" * len(bad)}).replace(b"x" * len(bad), bad)
    assert refused(frame).detail == "not a ClientFrame"


def test_groups_nested_without_end_are_a_bad_request() -> None:
    """Wire types 3 and 4, which no message of ours has, are read over up to the runtime's depth."""
    assert refused(b"\xa3\x1f" * 30_000).code is ErrorCode.BAD_REQUEST
    assert refused(b"\xa3\x1f" * 30_000 + b"\xa4\x1f" * 30_000).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "frame",
    [
        b"\x08" + b"\xff" * 10 + b"\x01",
        b"\x08" + b"\xff" * 60_000,
        b"\x2a\x05\x0a\x0aa",
        b"\x2a\xff\xff\xff\xff\x0f",
        b"\x00\x01",
        b"\x0f\x01",
        b"\xa4\x1f",
        b"\xa3\x1f\xac\x1f",
        b"\x2a\x03\x0a\x01a\x08",
        "text".encode("utf-16"),
    ],
    ids=[
        "a varint of 11 bytes",
        "a varint without end",
        "a string longer than its message",
        "a message longer than its frame",
        "field number 0",
        "wire type 7",
        "the end of no group",
        "the end of another group",
        "half a field behind a good one",
        "something else",
    ],
)
def test_what_is_not_wire_format_is_a_bad_request(frame: bytes) -> None:
    assert refused(frame).detail == "not a ClientFrame"


def test_a_field_under_another_wire_type_is_an_unknown_field() -> None:
    """Field 1 of TYPING is a string; here it is a number."""
    frame = client_frame(typing={}).replace(b"\x2a\x00", b"\x2a\x02\x08\x07")
    assert refused(frame).detail == "required field missing @ $.room"


def test_a_field_written_twice_has_its_last_value() -> None:
    """As every Protobuf reader says, unlike those of JSON, which differ."""
    twice = client_frame(typing={"room": "a"}) + client_frame(typing={"room": "b"})
    assert PROTOBUF_CODEC.decode_command(twice) == Typing(room="b")


def test_of_two_commands_in_one_frame_the_last_one_stands() -> None:
    both = client_frame(id=1, typing={"room": "a"}) + client_frame(id=2, leave={"room": "b"})
    assert PROTOBUF_CODEC.decode_command(both) == Leave(id=2, room="b")


def test_a_uint32_is_cut_to_its_32_bits() -> None:
    """As every Protobuf reader does with a longer number; no writer of a uint32 writes one."""
    frame = b"\x08\x87\x80\x80\x80\x10" + client_frame(leave={"room": "a"})
    assert PROTOBUF_CODEC.decode_command(frame) == Leave(id=7, room="a")


def test_fields_that_have_their_default_are_left_out() -> None:
    frame = PROTOBUF_CODEC.encode(Publish(room="a", content="hi"))
    assert frame == bytes.fromhex("22 07 0a0161 1a026869")


def test_absent_is_the_default_and_zero_is_zero() -> None:
    assert PROTOBUF_CODEC.decode_command(client_frame(history={"room": "a"})) == History(room="a")
    zero = client_frame(heartbeat={"timestamp": 0, "echo": 0})
    assert PROTOBUF_CODEC.decode_command(zero) == Heartbeat(timestamp=0, echo=0)


def test_a_text_frame_on_a_protobuf_connection_is_closed_with_4506() -> None:
    machine = ServerMachine(PROTOBUF_CODEC)
    machine.authenticated()
    frame = client_frame(typing={"room": "a"})
    assert machine.receive(frame) == Typing(room="a")
    assert machine.receive(frame.decode()) is CloseCode.WRONG_FRAME_KIND


def test_eight_frames_in_a_row_that_hold_nothing_are_closed_with_4509() -> None:
    machine = ServerMachine(PROTOBUF_CODEC)
    machine.authenticated()
    for _ in range(7):
        assert machine.receive(b"\xff") == Error.of(ErrorCode.BAD_REQUEST)
    assert machine.receive(b"\xff") is CloseCode.TOO_MANY_ERRORS


@given(st.binary(max_size=60), st.integers(0, 9))
def test_any_bytes_in_a_body_give_a_message_or_decode_error(body: bytes, place: int) -> None:
    """The frame and its length are sound, so that the fields are reached more often."""
    fields = [f for f in runtime.CLIENT_FRAME.DESCRIPTOR.fields if f.message_type is not None]
    number = fields[place % len(fields)].number
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    with suppress(DecodeError):
        PROTOBUF_CODEC.decode_command(head + bytes([len(body)]) + body)
