"""The echo route: what comes in goes back, on the way that a chat's connection uses."""

import pytest
import structlog.testing
import trio
import trio.testing
from support.cast_stage import open_stage, until
from support.whole_node import running
from support.wire import close_code_in, frame, read_all, request

from greenroom.actors.connection.frames import message_frame
from greenroom.actors.connection.messages import Opening
from greenroom.node.door.echo import MAX_MESSAGE_BYTES, echo_spec
from greenroom.node.door.peek import (
    ECHO_PATH,
    WEBSOCKET_PATH,
    Policy,
    Refusal,
    WebSocketUpgrade,
    decide,
    parse_head,
)
from greenroom.protocol import Drain

HEAD = request().replace(b"/ws", b"/echo", 1)


async def visit(stage, head: bytes = b""):
    """A stream after the handshake, and its actor's ref."""
    ours, theirs = trio.testing.memory_stream_pair()
    opening = Opening(
        received=head or HEAD,
        handshake_until=trio.current_time() + 5,
    )
    ref = await stage.cast.connections.start_child(echo_spec(theirs, opening, stage.cast))
    if not head:
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 101")
    return ours, ref


async def receive_exactly(stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some()
    return data


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (frame(1, "κόσμε".encode()), message_frame("κόσμε".encode(), binary=False)),
        (frame(2, b"\xff" * 200), message_frame(b"\xff" * 200, binary=True)),
        (frame(1), message_frame(b"", binary=False)),
        (frame(2, b"a", fin=False) + frame(0, b"b"), message_frame(b"ab", binary=True)),
        (frame(9, b"?"), b"\x8a\x01?"),
    ],
    ids=["text", "binary", "empty", "fragments", "ping"],
)
async def test_what_comes_in_goes_back(autojump_clock, sent, expected):
    async with open_stage() as stage:
        stream, _ = await visit(stage)
        await stream.send_all(sent)
        assert await receive_exactly(stream, len(expected)) == expected


async def test_a_message_may_have_16_mib_there_and_not_a_byte_more(autojump_clock):
    async with open_stage() as stage:
        stream, _ = await visit(stage)
        head = bytes([0x82, 0xFF]) + MAX_MESSAGE_BYTES.to_bytes(8, "big") + bytes(4)
        await stream.send_all(head + bytes(MAX_MESSAGE_BYTES))
        echo = await receive_exactly(stream, MAX_MESSAGE_BYTES + 10)
        assert echo == message_frame(bytes(MAX_MESSAGE_BYTES), binary=True)
        await stream.send_all(head[:2] + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big") + bytes(4))
        assert close_code_in(await read_all(stream)) == 1009


@pytest.mark.parametrize(
    ("sent", "code"),
    [(frame(8, b"\x03\xe8"), 1000), (frame(3), 1002), (frame(1, b"\xff"), 1007)],
    ids=["close", "reserved opcode", "bad UTF-8"],
)
async def test_an_end_is_told_with_its_code_and_what_was_sent_before_it_comes_back(
    autojump_clock, sent, code
):
    async with open_stage() as stage:
        stream, _ = await visit(stage)
        await stream.send_all(frame(1, b"before") + sent + frame(1, b"after"))
        answer = await read_all(stream)
        assert answer.startswith(message_frame(b"before", binary=False))
        assert b"after" not in answer
        assert close_code_in(answer) == code
        await until(lambda: stage.connections() == 0)


async def test_no_handshake_in_time_frees_everything(autojump_clock):
    async with open_stage() as stage:
        stream, _ = await visit(stage, b"GET /echo HTTP/1.1\r\n")
        await until(lambda: stage.connections() == 0)
        assert trio.current_time() < 6
        await stream.aclose()


async def test_what_is_told_to_all_connections_is_ignored(autojump_clock):
    async with open_stage() as stage:
        stream, ref = await visit(stage)
        await ref.tell(Drain(after_ms=0, spread_ms=0))
        await stream.send_all(frame(1, b"a"))
        assert await receive_exactly(stream, 3) == message_frame(b"a", binary=False)


async def test_a_stopping_node_says_going_away(autojump_clock):
    async with open_stage() as stage:
        stream, ref = await visit(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.cast.connections.terminate_child, ref.id)
            assert close_code_in(await read_all(stream)) == 1001


async def test_a_bug_in_the_echo_is_a_crash_of_that_visitor_alone(autojump_clock, monkeypatch):
    async with open_stage() as stage:
        stream, _ = await visit(stage)
        other, _ = await visit(stage)
        monkeypatch.setattr("greenroom.node.door.echo.message_frame", None)
        await stream.send_all(frame(1, b"a"))
        assert close_code_in(await read_all(stream)) == 1011
        monkeypatch.undo()
        await other.send_all(frame(1, b"a"))
        assert await receive_exactly(other, 3) == message_frame(b"a", binary=False)


def test_there_is_no_echo_route_unless_it_is_asked_for():
    head = parse_head(HEAD)
    refusal = decide(head, Policy(tls=False))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 404
    with_it = Policy(tls=False, paths=(WEBSOCKET_PATH, ECHO_PATH))
    assert isinstance(decide(head, with_it), WebSocketUpgrade)


@pytest.mark.socket
async def test_a_node_that_is_told_so_echoes_beside_its_chat_and_warns(tmp_path):
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path, echo_route=True) as node, node.sign_in("ann") as ann:
            async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
                await stream.send_all(HEAD)
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await stream.receive_some()
                assert answer.startswith(b"HTTP/1.1 101")
                await stream.send_all(frame(1, b"a"))
                assert await receive_exactly(stream, 3) == message_frame(b"a", binary=False)
            answer = await ann.ask(type="PRESENCE", room="lobby")
            assert answer["type"] == "PRESENCE_OK"
    assert any("echo route is on" in line["event"] for line in logs)
