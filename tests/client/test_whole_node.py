"""The client against a real node, over real sockets."""

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.unlimited import UNLIMITED
from support.whole_node import running

from greenroom.actors.budgets import Budget
from greenroom.client import ClientClosed, CloseCode, CommandRefused, Message, State, open_client
from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.identity.tokens import TokenOffice
from greenroom.node.settings.rates import Rate
from greenroom.protocol import JSON_CODEC, PROTOBUF_CODEC

pytestmark = pytest.mark.socket


def token(data, user):
    secret = read_development_secret(DataDirectory(data))
    return TokenOffice(secret=secret, lifetime_seconds=60).issue(user)


def url(node):
    return f"ws://127.0.0.1:{node.port}/ws"


async def test_two_clients_chat(tmp_path):
    async with running(tmp_path) as node:
        with trio.fail_after(PATIENCE_SECONDS):
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


@pytest.mark.parametrize("codec", [JSON_CODEC, PROTOBUF_CODEC], ids=["json", "protobuf"])
async def test_the_program_of_the_readme_in_each_codec(tmp_path, codec):
    async with running(tmp_path) as node:
        with trio.fail_after(PATIENCE_SECONDS):
            heard = []
            async with open_client(url(node), token=token(tmp_path, "ann"), codec=codec) as client:  # noqa: SIM117 - as people write it
                async with client.join("lobby") as room:
                    await room.publish("hello", echo=True)
                    async for message in room:
                        heard.append(message.content)
                        break
    assert heard == ["hello"]


async def test_what_only_json_swells_beyond_a_frame_goes_by_protobuf(tmp_path):
    async with running(tmp_path) as node:
        with trio.fail_after(PATIENCE_SECONDS):
            async with (
                open_client(
                    url(node), token=token(tmp_path, "ann"), codec=PROTOBUF_CODEC
                ) as client,
                client.join("lobby") as room,
            ):
                assert (await room.publish("\x01" * 20_000)).offset == 1


async def test_clients_of_both_codecs_keep_one_room(tmp_path):
    """Protobuf by name, JSON by default; each hears what the other says, and reads it again."""
    contents = ["hello", "\u00e9\u4e2d\U0001f3ad", '"\\\x01\n', "x" * 32_000]
    async with running(tmp_path) as node:
        with trio.fail_after(PATIENCE_SECONDS):
            async with (
                open_client(url(node), token=token(tmp_path, "ann"), codec="protobuf") as ann,
                open_client(url(node), token=token(tmp_path, "bob")) as bob,
                ann.join("lobby") as hers,
                bob.join("lobby") as his,
            ):
                for content in contents:
                    await hers.publish(content)
                    await his.publish(content)
                assert [(await anext(his)).content for _ in contents] == contents
                assert [(await anext(hers)).content for _ in contents] == contents
                assert await hers.presence() == await his.presence()
                assert (await hers.history()).messages == (await his.history()).messages
                await hers.publish("\x01" * 32_000)  # six times as long in JSON
                with pytest.raises(CommandRefused):
                    await his.publish("\x01" * 32_000)
                joined = open_client(url(node), token=token(tmp_path, "cy"), codec="protobuf")
                async with joined as cy, cy.join("lobby", since=hers.position) as theirs:
                    await hers.publish("new")
                    assert (await anext(theirs)).content == "new"


async def test_bad_token_is_final_and_says_so(tmp_path):
    async with running(tmp_path) as node:
        with trio.fail_after(PATIENCE_SECONDS):
            async with open_client(url(node), token="forged") as client:
                with pytest.raises(ClientClosed) as caught:
                    await client.wait_connected()
    assert caught.value.close_code == CloseCode.INVALID_TOKEN


async def test_slow_reader_of_a_real_room_gets_everything(tmp_path):
    """1,500 messages, none taken before all are published: six times what the queue holds."""
    async with running(tmp_path, **UNLIMITED) as node:
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


async def test_a_client_that_has_more_to_say_than_it_may_loses_nothing_and_stays(tmp_path):
    """300 publishes and 30 rooms, at a node that takes 200 and 20 a second."""
    rates = {
        "publish_rate": Rate(Budget(200, 30)),
        "join_rate": Rate(Budget(20, 10)),
        "refusal_rate": Rate(Budget(5, 70)),
    }
    states, offsets = [], []

    async def watch(client):
        async for status in client.state_changes():
            states.append(status.state)  # noqa: PERF401 - it is cancelled

    async def stay(client, number):
        async with client.join(f"r{number}"):
            await trio.sleep_forever()

    async def say(room):
        offsets.append((await room.publish("x")).offset)

    async with running(tmp_path, **rates) as node:
        with trio.fail_after(PATIENCE_SECONDS):
            async with (
                open_client(url(node), token=token(tmp_path, "ann")) as ann,
                trio.open_nursery() as background,
            ):
                await ann.wait_connected()
                background.start_soon(watch, ann)
                for number in range(29):
                    background.start_soon(stay, ann, number)
                async with ann.join("ephemeral:lobby") as room, trio.open_nursery() as speaking:
                    for _ in range(300):
                        speaking.start_soon(say, room)
                background.cancel_scope.cancel()
    assert sorted(offsets) == [*range(1, 301)]
    assert State.DISCONNECTED not in states  # it was never closed with 4007
