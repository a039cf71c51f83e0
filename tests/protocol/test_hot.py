"""What the codecs do by hand for speed is what they would do by the fields' rules."""

import json
from typing import Any

import attrs
import cattrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import protocol_strategies as strategies

from greenroom.protocol import (
    CODECS,
    JSON_CODEC,
    PROTOBUF_CODEC,
    Ack,
    Codec,
    DecodeError,
    Heartbeat,
    Message,
    Publish,
)
from greenroom.protocol import _json as by_json
from greenroom.protocol import _protobuf as by_protobuf
from greenroom.protocol._limits import MAX_DEPTH

NEARLY_TEXT = (
    st.text(st.sampled_from("ab:\0 é"), max_size=3) | st.just("k" * 65) | st.just("r" * 101)
)
NEARLY = NEARLY_TEXT | st.none() | st.booleans() | st.sampled_from([0, -1, 1.0, 2**32 - 1, 2**32])


def by_the_rules(value: dict[str, Any], kind: type[Any]) -> object:
    try:
        return by_json._COMMANDS[value["type"]].structure(value, kind)
    except (ValueError, KeyError):
        return None


def by_hand(text: str | bytes) -> object:
    try:
        return JSON_CODEC.decode_command(text)
    except DecodeError:
        return None


@given(st.dictionaries(st.sampled_from(["id", "room", "key", "content", "echo", "x"]), NEARLY))
def test_a_json_publish_is_read_by_hand_as_by_the_rules(fields: dict[str, Any]) -> None:
    value = {"type": "PUBLISH", "room": "a", "content": "", **fields}
    expected = by_the_rules(value, Publish)
    assert by_hand(json.dumps(value)) == by_hand(orjson.dumps(value)) == expected


@given(
    st.dictionaries(
        st.sampled_from(["timestamp", "echo", "x"]),
        NEARLY | st.sampled_from([2**53 - 1, 2**53]),
    )
)
def test_a_json_heartbeat_is_read_by_hand_as_by_the_rules(fields: dict[str, Any]) -> None:
    value = {"type": "HEARTBEAT", "timestamp": 1, **fields}
    expected = by_the_rules(value, Heartbeat)
    assert by_hand(json.dumps(value)) == by_hand(orjson.dumps(value)) == expected


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "PUBLISH", "id": 1, "room": "a", "content": ""},
        {"type": "HEARTBEAT", "timestamp": 1, "echo": 1},
    ],
)
@pytest.mark.parametrize("deep", [MAX_DEPTH - 1, MAX_DEPTH])
def test_what_is_nobodys_field_is_looked_into_there_too(plain: dict[str, Any], deep: int) -> None:
    inner: Any = 1
    for _ in range(deep):
        inner = [inner]
    assert (by_hand(orjson.dumps({**plain, "x": inner})) is None) == (deep == MAX_DEPTH)
    assert by_hand(orjson.dumps({**plain, "x": 2.0**63})) is None
    twice = orjson.dumps(plain)[:-1] + b',"type":' + orjson.dumps(plain["type"]) + b"}"
    assert by_hand(twice) is None


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "room": NEARLY_TEXT, "key": NEARLY_TEXT, "content": NEARLY_TEXT, "echo": st.booleans()
        },
    ),
    st.none() | st.just(7),
)  # fmt: skip
def test_a_protobuf_publish_is_read_by_hand_as_by_the_rules(
    fields: dict[str, Any], id: int | None
) -> None:
    wire = by_protobuf.CLIENT_FRAME(id=id, publish=fields)
    try:
        expected = by_protobuf._read_publish_by_rules(wire.publish, id)
    except by_protobuf._Refused:
        expected = None
    try:
        assert PROTOBUF_CODEC.decode_command(wire.SerializeToString()) == expected
    except DecodeError:
        assert expected is None


@given(data=st.data())
def test_a_message_is_written_by_hand_as_by_the_rules(data: st.DataObject) -> None:
    message = data.draw(strategies.messages(Message))
    to_dict = by_json._encoder(Message, cattrs.Converter())
    assert JSON_CODEC.encode(message) == orjson.dumps(to_dict(message))
    by_hand, by_rules = by_protobuf.SERVER_FRAME(), by_protobuf.SERVER_FRAME()
    by_protobuf._writer(Message)(message, by_hand.message)
    by_protobuf._writer_by_rules(Message)(message, by_rules.message)
    assert by_hand == by_rules


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
@given(data=st.data())
def test_an_ack_is_written_by_hand_as_by_the_rules(codec: Codec, data: st.DataObject) -> None:
    message, ack = data.draw(strategies.messages(Message)), data.draw(strategies.messages(Ack))
    ack = attrs.evolve(
        ack,
        room=message.room,
        message_id=message.message_id,
        epoch=message.epoch,
        offset=message.offset,
        timestamp=message.timestamp,
    )
    by_hand = codec.encode_ack(message, ack.id, status=ack.status, duplicate=ack.duplicate)
    assert by_hand == codec.encode(ack)
