"""One WebSocket of a load, on a socket pair and on in-memory streams, against trio-websocket."""

import random
import socket
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from support.patience import PATIENCE_SECONDS
from trio_websocket import ConnectionClosed, wrap_server_stream

from greenroom.client import Target
from greenroom.node.load.wire import WireEnded, open_wire
from greenroom.protocol import JSON_CODEC

NODE = Target("node.test", 80, "/ws", None)


def socket_pair():
    return tuple(
        trio.SocketStream(trio.socket.from_stdlib_socket(sock)) for sock in socket.socketpair()
    )


PAIRS = {"socket": socket_pair, "memory": trio.testing.memory_stream_pair}
each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


@asynccontextmanager
async def opened(pair):
    """A wire, and the server's end of it."""
    ours, theirs = pair()

    async def connector(_target):
        return ours

    async with trio.open_nursery() as nursery:
        servers = []

        async def accept():
            request = await wrap_server_stream(nursery, theirs)
            servers.append(await request.accept(subprotocol=request.proposed_subprotocols[0]))

        nursery.start_soon(accept)
        wire = await open_wire(
            NODE, codec=JSON_CODEC, connector=connector, nursery=nursery, random=random.Random(1)
        )
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield wire, servers[0]
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True) as at_once:
                at_once.cancel()
                await wire.aclose()
            await trio.aclose_forcefully(theirs)


async def next_payload(wire):
    payloads = []
    while not payloads:
        payloads = await wire.receive()
    (payload,) = payloads
    return payload


@each_pair
async def test_messages_go_both_ways_in_the_subprotocol_that_was_offered(pair):
    async with opened(pair) as (wire, server):
        assert server.subprotocol == JSON_CODEC.subprotocol
        wire.send(b"hello")
        assert await server.get_message() == "hello"
        await server.send_message("x" * 70_000)
        assert await next_payload(wire) == b"x" * 70_000


@each_pair
async def test_what_the_kernel_does_not_take_goes_out_later_and_in_order(pair):
    async with opened(pair) as (wire, server):
        messages = [f"{number:04}" * 5_000 for number in range(100)]  # 2 MB: no buffer holds that
        for message in messages:
            wire.send(message.encode())
        with trio.fail_after(PATIENCE_SECONDS):
            assert [await server.get_message() for _ in messages] == messages


@each_pair
async def test_a_ping_is_answered(pair):
    async with opened(pair) as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(wire.receive)
        with trio.fail_after(PATIENCE_SECONDS):
            await server.ping(b"there?")


@each_pair
async def test_the_nodes_close_ends_it_with_its_code(pair):
    async with opened(pair) as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.aclose, 4001, "shutdown")
        with pytest.raises(WireEnded) as caught:
            await next_payload(wire)
    assert (caught.value.reason, caught.value.final) == ("4001", False)


@each_pair
async def test_our_own_close_is_said_and_waits_for_the_answer(pair):
    async with opened(pair) as (wire, server):
        with trio.fail_after(PATIENCE_SECONDS):
            await wire.aclose()
        with pytest.raises(ConnectionClosed) as caught:
            await server.get_message()
    assert caught.value.reason.code == 1000


async def test_a_node_that_does_not_answer_a_close_is_left_in_time(autojump_clock):
    async with opened(trio.testing.memory_stream_pair) as (wire, server):

        async def never(*_):
            await trio.sleep_forever()

        server._stream.send_stream.send_all_hook = never  # its answer stays where it is
        start = trio.current_time()
        await wire.aclose()
        assert trio.current_time() - start == 2


@pytest.mark.parametrize(
    ("answer", "reason", "final"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP 503", False),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "HTTP 429", False),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "HTTP 403", True),
        (b"220 mail.test ESMTP\r\n\r\n", "no WebSocket there", False),
        (b"", "hung up during the upgrade", False),
    ],
)
async def test_a_peer_that_does_not_upgrade_is_said_in_a_few_words(answer, reason, final):
    ours, theirs = trio.testing.memory_stream_pair()

    async def connector(_target):
        return ours

    async def serve():
        await theirs.receive_some()
        await theirs.send_all(answer)
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(WireEnded) as caught:
            await open_wire(
                NODE,
                codec=JSON_CODEC,
                connector=connector,
                nursery=nursery,
                random=random.Random(1),
            )
    assert (caught.value.reason, caught.value.final) == (reason, final)
