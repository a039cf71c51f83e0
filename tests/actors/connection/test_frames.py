"""Frames: what our builder writes, wsproto (an independent reader) reads."""

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from greenroom.actors.connection.frames import close_frame, is_close_frame, message_frame


def read_as_client(data: bytes):
    reader = Connection(ConnectionType.CLIENT)
    reader.receive_data(data)
    return list(reader.events())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_text_frame_carries_its_payload_at_every_length_form(size):
    (event,) = read_as_client(message_frame(b"x" * size, binary=False))
    assert isinstance(event, TextMessage)
    assert event.data == "x" * size
    assert event.message_finished


@pytest.mark.parametrize("size", [0, 125, 126, 65536])
def test_a_binary_frame_carries_its_payload(size):
    (event,) = read_as_client(message_frame(bytes(size), binary=True))
    assert isinstance(event, BytesMessage)
    assert bytes(event.data) == bytes(size)


def test_frames_joined_into_one_write_stay_apart():
    joined = b"".join(message_frame(text, binary=False) for text in (b"a", b"bc", b""))
    assert [event.data for event in read_as_client(joined)] == ["a", "bc", ""]


def test_a_close_frame_says_code_and_reason():
    (event,) = read_as_client(close_frame(4004, "slow consumer"))
    assert isinstance(event, CloseConnection)
    assert (event.code, event.reason) == (4004, "slow consumer")


def test_a_long_reason_is_cut_between_characters():
    (event,) = read_as_client(close_frame(1011, "é" * 100))
    assert isinstance(event, CloseConnection)
    assert event.reason == "é" * 61


def test_only_a_close_frame_is_one():
    assert is_close_frame(close_frame(1000))
    assert not is_close_frame(message_frame(b"\x88", binary=True))
    assert not is_close_frame(b"")
