"""SIGKILL at random moments: no acknowledged message is lost, and none is stored twice.

20 clients publish 2,000 messages into 5 rooms, each under a key that is its content too. The node
is killed in the middle and started again, three times; the clients send again what has no answer.
(In the ordinary suite: 400 messages, one kill in the middle.)
"""

from contextlib import AsyncExitStack
from functools import partial
from random import Random

import attrs
import pytest
import trio
from support.cast_stage import until
from support.node_process import NodeProcess, Soon, node_process, token
from support.postgres_cluster import postgres_cluster
from support.unlimited import UNLIMITED_WORDS

from greenroom.client import Ack, Message, Position, open_client

pytestmark = [pytest.mark.kill, pytest.mark.socket, pytest.mark.slow, pytest.mark.timeout(300)]

ROOMS = [f"room-{number}" for number in range(5)]
CLIENTS = 20
AT_ONCE = 8  # publishes of one client that wait for their ACK


@attrs.define
class Tally:
    """What the clients were told."""

    acks: dict[str, Ack] = attrs.field(factory=dict)  # {content: its ACK}
    heard: dict[str, list[Message]] = attrs.field(factory=lambda: {room: [] for room in ROOMS})


async def talk(node: NodeProcess, user: str, count: int, tally: Tally, rng: Random) -> None:
    """Publish `count` messages, `AT_ONCE` of them at a time."""
    numbers = iter(range(count))

    async def publish_more(rooms):
        for number in numbers:
            content = f"{user}-{number}"
            ack = await rng.choice(rooms).publish(content, key=content)
            assert content not in tally.acks
            tally.acks[content] = ack

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            open_client(node.url, token=token(user), random=Soon(rng.random()))
        )
        rooms = [await stack.enter_async_context(client.join(room)) for room in ROOMS]
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(publish_more, rooms)


async def listen(client, name: str, tally: Tally, *, task_status) -> None:
    async with client.join(name) as room:
        task_status.started()
        async for item in room:
            assert isinstance(item, Message), item
            tally.heard[name].append(item)


async def kill_in_the_middle(
    node: NodeProcess, total: int, kills: int, tally: Tally, rng: Random
) -> None:
    """Kill and start again, each time when a random number of messages have been acknowledged."""
    for acknowledged in sorted(rng.sample(range(total // 20, total * 19 // 20), kills)):
        await until(partial(has_acknowledged, tally, acknowledged), seconds=200)
        await trio.sleep(rng.random() * 0.02)
        await node.kill()
        await node.start()


def has_acknowledged(tally: Tally, count: int) -> bool:
    return len(tally.acks) >= count


async def stored(node: NodeProcess) -> dict[str, list[Message]]:
    """The whole history of every room, as a client that comes later reads it."""
    history = {}
    async with open_client(node.url, token=token("auditor"), random=Soon(0)) as client:
        for name in ROOMS:
            async with client.join(name) as room:
                page = await room.history(limit=1)
                history[name] = []
                since, more = Position(page.epoch, 0), True
                while more:
                    page = await room.history(since=since, limit=100)
                    history[name] += page.messages
                    more = page.more
                    since = Position(page.epoch, since.offset + len(page.messages))
    return history


async def prove(node: NodeProcess, total: int, kills: int, seed: int, *trouble) -> Tally:
    """Run one round; `trouble` are further tasks that disturb it."""
    rng = Random(seed)
    tally = Tally()
    async with (
        open_client(node.url, token=token("listener"), random=Soon(seed)) as listener,
        trio.open_nursery() as listening,
    ):
        for room in ROOMS:
            await listening.start(listen, listener, room, tally)
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                user, share = f"u{number}", total // CLIENTS
                nursery.start_soon(talk, node, user, share, tally, Random(rng.random()))
            nursery.start_soon(kill_in_the_middle, node, total, kills, tally, rng)
            for disturb in trouble:
                nursery.start_soon(disturb, tally, rng)
        await until(lambda: sum(map(len, tally.heard.values())) >= total, seconds=200)
        listening.cancel_scope.cancel()
    await node.kill()
    await node.start()
    check(await stored(node), tally, total)
    return tally


def check(history: dict[str, list[Message]], tally: Tally, total: int) -> None:
    assert len(tally.acks) == total
    contents = [message.content for messages in history.values() for message in messages]
    assert sorted(contents) == sorted(tally.acks)  # each once, none missing
    for name, messages in history.items():
        assert [message.offset for message in messages] == list(range(1, len(messages) + 1))
        assert tally.heard[name] == messages  # and so did a member hear it, through all kills
        for message in messages:
            ack = tally.acks[message.content]
            assert (ack.room, ack.epoch, ack.offset, ack.message_id, ack.timestamp) == (
                name,
                message.epoch,
                message.offset,
                message.message_id,
                message.timestamp,
            )
            assert message.user == message.content.partition("-")[0]


@pytest.mark.rounds(1, 20)
async def test_sigkill_loses_and_doubles_nothing(tmp_path, size, seed):
    async with node_process(tmp_path, **UNLIMITED_WORDS) as node:
        kills = size.of(1, 3)
        tally = await prove(node, size.of(400, 2000), kills, seed)
        assert node.kills == kills + 1  # the last one before the history is read
    # Stored, and killed before the ACK got out: shown by pytest's -rP.
    print("ACKs of repeated publishes:", sum(ack.duplicate for ack in tally.acks.values()))


@pytest.mark.service
@pytest.mark.rounds(1, 10)
async def test_neither_does_a_database_server_that_goes_away(tmp_path, size, seed):
    """PostgreSQL: its connections are cut, it is stopped at once and restarted; the node is killed.

    At random moments in the middle of the messages, each in its own.
    """
    with postgres_cluster() as cluster:

        async def trouble(tally: Tally, rng: Random) -> None:
            cut_at, stop_at = sorted(rng.sample(range(total // 20, total * 19 // 20), 2))
            await until(partial(has_acknowledged, tally, cut_at), seconds=200)
            await trio.to_thread.run_sync(cluster.cut_off_everybody)
            await until(partial(has_acknowledged, tally, stop_at), seconds=200)
            await trio.to_thread.run_sync(cluster.stop)
            await trio.sleep(rng.random())
            await trio.to_thread.run_sync(cluster.start)

        total = size.of(400, 2000)
        async with node_process(tmp_path, database=cluster.url, **UNLIMITED_WORDS) as node:
            await prove(node, total, 1, seed, trouble)
