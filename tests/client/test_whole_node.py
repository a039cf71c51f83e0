"""The client against a real node, over real sockets."""

import pytest
import trio
from support.whole_node import running

from greenroom.client import ClientClosed, CloseCode, Message, State, open_client
from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.tokens import TokenOffice

pytestmark = pytest.mark.socket


def token(data, user):
    secret = read_development_secret(DataDirectory(data))
    return TokenOffice(secret=secret, lifetime_seconds=60).issue(user)


def url(node):
    return f"ws://127.0.0.1:{node.port}/ws"


async def test_two_clients_chat(tmp_path):
    async with running(tmp_path) as node:
        with trio.fail_after(10):
            async with (
                open_client(url(node), token=token(tmp_path, "ann")) as ann,
                open_client(url(node), token=token(tmp_path, "bob")) as bob,
                ann.join("lobby") as hers,
                bob.join("lobby") as his,
            ):
                ack = await hers.publish("hello")
                heard = await anext(his)
                assert isinstance(heard, Message)
                assert (heard.user, heard.content, heard.offset) == ("ann", "hello", ack.offset)
                assert {member.user for member in await his.presence()} == {"ann", "bob"}
                assert (await his.history()).messages == (heard,)


async def test_bad_token_is_final_and_says_so(tmp_path):
    async with running(tmp_path) as node:
        with trio.fail_after(10):
            async with open_client(url(node), token="forged") as client:
                with pytest.raises(ClientClosed) as caught:
                    await client.wait_connected()
    assert caught.value.close_code == CloseCode.INVALID_TOKEN


async def test_slow_reader_of_a_real_room_gets_everything(tmp_path):
    """1,500 messages, none taken before all are published: six times what the queue holds."""
    async with running(tmp_path) as node:
        with trio.fail_after(60):
            async with (
                open_client(url(node), token=token(tmp_path, "ann")) as ann,
                open_client(url(node), token=token(tmp_path, "bob")) as bob,
                ann.join("lobby") as hers,
                bob.join("lobby") as his,
            ):
                async with trio.open_nursery() as nursery:
                    for _ in range(1500):
                        nursery.start_soon(hers.publish, "x")
                offsets = [(await anext(his)).offset for _ in range(1500)]
                assert offsets == list(range(1, 1501))
                assert bob.state is State.CONNECTED


async def test_node_that_stops_is_waited_for_and_nothing_is_missed(tmp_path):
    """Ann publishes while the node is away; bob, who was thrown out too, receives it once."""
    ports = []
    stop, over = trio.Event(), trio.Event()

    async def serve_twice(task_status):
        async with running(tmp_path) as node:
            ports.append(node.port)
            task_status.started()
            await stop.wait()
        async with running(tmp_path) as node:
            ports.append(node.port)
            await over.wait()

    async def connect(_target):
        return await trio.open_tcp_stream("127.0.0.1", ports[-1])

    def client(user):
        return open_client("ws://node.test", token=token(tmp_path, user), connector=connect)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_twice)
            async with (
                client("ann") as ann,
                client("bob") as bob,
                ann.join("lobby") as hers,
                bob.join("lobby") as his,
            ):
                await hers.publish("before")
                stop.set()
                async for status in ann.state_changes():
                    if status.state is State.DISCONNECTED:
                        break
                await hers.publish("meanwhile")
                assert [(await anext(his)).content for _ in range(2)] == ["before", "meanwhile"]
            over.set()
