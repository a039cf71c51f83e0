"""Frames, held against wsproto at the other end."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from greenroom.node.load.frames import (
    FrameError,
    FrameReader,
    Opcode,
    client_frame,
    close_code,
    close_payload,
)

PAYLOADS = st.one_of(
    st.binary(max_size=300), st.sampled_from([b"x" * 125, b"x" * 126, b"y" * 65535, b"z" * 65536])
)


def read(chunks):
    reader = FrameReader(max_bytes=2**20)
    return [message for chunk in chunks for message in reader.feed(chunk)]


def cut(data, places):
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(payload=PAYLOADS, seed=st.integers())
def test_a_server_reads_what_a_client_frame_holds(payload, seed):
    server = Connection(ConnectionType.SERVER)
    server.receive_data(client_frame(Opcode.BINARY, payload, Random(seed)))
    assert b"".join(bytes(event.data) for event in server.events()) == payload


@given(
    payloads=st.lists(PAYLOADS, max_size=5),
    places=st.lists(st.integers(0, 400_000), max_size=8),
)
def test_messages_come_whole_however_the_stream_is_cut(payloads, places):
    server = Connection(ConnectionType.SERVER)
    data = b"".join(server.send(BytesMessage(payload)) for payload in payloads)
    assert read(cut(data, places)) == [(Opcode.BINARY, payload) for payload in payloads]


def test_fragments_are_put_together_with_a_ping_between_them():
    server = Connection(ConnectionType.SERVER)
    data = server.send(TextMessage("hel", message_finished=False))
    data += server.send(Ping(b"there?"))
    data += server.send(TextMessage("lo", message_finished=True))
    assert read([data]) == [(Opcode.PING, b"there?"), (Opcode.TEXT, b"hello")]


def test_a_close_frame_says_its_code():
    server = Connection(ConnectionType.SERVER)
    ((opcode, payload),) = read([server.send(CloseConnection(4001, "shutdown"))])
    assert (opcode, close_code(payload)) == (Opcode.CLOSE, 4001)
    assert close_code(b"") == 1005
    assert close_code(close_payload(1000)) == 1000


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x81\x00\x00\x00\x00x",  # masked
        b"\x82\xff" + bytes(12),  # masked, and long
        b"\x82\x7f" + (2**20 + 1).to_bytes(8),  # too long
        b"\x80\x01x",  # the end of nothing
        b"\x02\x01x\x82\x01y",  # a message inside another
        b"\x09\x01x",  # half a ping
    ],
)
def test_what_no_server_may_send_is_an_error(data):
    with pytest.raises(FrameError):
        read([data])


def test_a_message_in_too_many_fragments_is_an_error():
    reader = FrameReader(max_bytes=1000)
    reader.feed(b"\x02\x7e\x02\x00" + bytes(512))
    with pytest.raises(FrameError):
        reader.feed(b"\x00\x7e\x02\x00" + bytes(512))
