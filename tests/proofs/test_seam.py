"""JOIN at a random moment of a stream of 500 messages a second: no hole and no double at the seam.

Each round one client joins, with or without `since`, stays for a moment and leaves. What its
JOIN_OK holds and what is pushed after it must be exactly what was said from its position on.
"""

import itertools
from random import Random

import attrs
import pytest
import trio
from support.cast_stage import Client, Stage, open_stage, until
from support.node_process import Soon
from support.unlimited import NO_LIMITS, UNLIMITED
from support.whole_node import running

from greenroom.client import Message, Position, open_client
from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.identity.tokens import TokenOffice
from greenroom.supervisor import ChildState

ROOM = "lobby"
SECONDS_BETWEEN = 1 / 500
MOST_MISSED = 450
"""Less than `max_recovered_messages`, more than a round over sockets wants to hear."""


@attrs.define
class Stream:
    """What has been said so far, and how far it is acknowledged."""

    head: int = 0


async def speak(stage: Stage, stream: Stream) -> None:
    """Publish 500 messages a second; the n-th says n."""
    speaker = await stage.member("speaker", ROOM)

    async def hear():
        while True:
            reply = await speaker.receive()
            assert reply["type"] in {"ACK", "JOINED", "LEFT", "HEARTBEAT"}, reply
            if reply["type"] == "ACK":
                assert reply["offset"] == stream.head + 1
                stream.head = reply["offset"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        number = 0
        while True:
            number += 1
            await speaker.send(type="PUBLISH", id=number, room=ROOM, content=f"{number}")
            await trio.sleep(SECONDS_BETWEEN)


async def join_once(client: Client, stream: Stream, rng: Random) -> str:
    """One round, checked to the last offset; says how it went."""
    since = None
    if rng.random() < 0.75:
        behind = min(stream.head, int(rng.expovariate(1 / 200)))
        since = {"epoch": f"e-{ROOM}", "offset": stream.head - behind}
    joined = await client.joined(ROOM, **({} if since is None else {"since": since}))
    offsets = [message["offset"] for message in joined["messages"]]
    if since is None:
        assert (joined["recovered"], offsets) == (False, [])
        outcome = "from now on"
    elif joined["recovered"]:
        assert offsets == list(range(since["offset"] + 1, joined["offset"] + 1))
        outcome = "recovered"
    else:
        gap = await client.next("GAP")
        assert offsets == []
        assert (gap["from"], gap["to"]) == (since["offset"] + 1, joined["offset"])
        assert gap["reason"] == "too_many"
        outcome = "gap"
    stay = trio.current_time() + rng.random() * 0.1
    expected = joined["offset"] + 1
    while trio.current_time() < stay:
        message = await client.next("MESSAGE")
        assert (message["offset"], message["content"]) == (expected, f"{expected}")
        expected += 1
    await client.ask("LEAVE", room=ROOM)
    client.pushed.clear()
    return outcome


async def crash(stage: Stage) -> None:
    await until(lambda: is_running(stage))
    await stage.cast.rooms.ref(ROOM).tell("a message that no room understands")


def is_running(stage: Stage) -> bool:
    (info,) = stage.cast.rooms.which_children()
    return info.state is ChildState.RUNNING


@pytest.mark.parametrize("crashes", [0, 5], ids=["calm", "while the room crashes"])
@pytest.mark.rounds(1, 3)
async def test_join_meets_the_stream_at_the_seam(autojump_clock, size, seed, crashes):
    """200 rounds, with a ring that holds a tenth of a second: most recoveries ask the archive."""
    rng = Random(seed)
    rounds = size.of(25, 200)
    crash_before = set(rng.sample(range(rounds), crashes))
    outcomes = set()
    stream = Stream()
    async with open_stage(
        seed=seed, ring_messages=50, max_recovered_messages=300, rates=NO_LIMITS
    ) as stage:
        stage.store.delay_seconds = 0.002
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, stage, stream)
            await until(lambda: stream.head > 300)
            client = await stage.client("joiner")
            for number in range(rounds):
                stage.store.read_delay_seconds = rng.random() * 0.02
                await trio.sleep(rng.random() * 0.05)
                if number in crash_before:
                    nursery.start_soon(crash, stage)
                outcomes.add(await join_once(client, stream, rng))
            nursery.cancel_scope.cancel()
    assert outcomes == {"from now on", "recovered", "gap"}


@pytest.mark.socket
@pytest.mark.rounds(1, 5)
async def test_join_meets_the_stream_over_sockets(tmp_path, size, seed):
    """The same through the client library: what it gives is the stream from `since` on."""
    rng = Random(seed)
    async with running(tmp_path, **UNLIMITED) as node:
        office = TokenOffice(
            secret=read_development_secret(DataDirectory(tmp_path)), lifetime_seconds=3600
        )

        def client(user):
            url = f"ws://127.0.0.1:{node.port}/ws"
            return open_client(url, token=office.issue(user), random=Soon(seed))

        async with (
            client("speaker") as speaker,
            client("joiner") as joiner,
            speaker.join(ROOM) as said,
            trio.open_nursery() as nursery,
        ):
            acks = []
            position = 0

            async def publish(number):
                acks.append(await said.publish(f"{number}"))

            async def speak_on():
                for number in itertools.count(1):
                    # However long a JOIN takes, it never has missed more than one may recover.
                    await until(lambda n=number: n <= position + MOST_MISSED)
                    nursery.start_soon(publish, number)
                    await trio.sleep(SECONDS_BETWEEN)

            nursery.start_soon(speak_on)
            await until(lambda: acks)
            for _ in range(size.of(10, 50)):
                await trio.sleep(rng.random() * 0.05)
                head = acks[-1].offset
                behind = min(head, rng.randrange(400))
                position = head - behind
                since = Position(acks[0].epoch, position)
                async with joiner.join(ROOM, since=since) as room:
                    items = [await anext(room) for _ in range(behind + rng.randrange(1, 40))]
                assert all(isinstance(item, Message) for item in items)
                first = since.offset + 1
                assert [item.offset for item in items] == list(range(first, first + len(items)))
            nursery.cancel_scope.cancel()
