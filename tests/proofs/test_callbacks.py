"""SIGKILL with callbacks pending: each stored message is called back, in order in its room.

Clients publish 1,000 messages into 4 rooms while the receiver answers at random, fails, stalls or
breaks off; the node is killed in the middle and started again, three times. (In the ordinary suite:
200 messages, one kill.)
"""

from contextlib import AsyncExitStack
from functools import partial
from random import Random

import pytest
import trio
from support.cast_stage import until
from support.http_receiver import answers, http_receiver, says
from support.node_process import NodeProcess, Soon, node_process, token
from support.unlimited import UNLIMITED_WORDS

from greenroom.client import Ack, open_client

pytestmark = [pytest.mark.kill, pytest.mark.socket, pytest.mark.slow, pytest.mark.timeout(300)]

ROOMS = [f"room-{number}" for number in range(4)]
AT_ONCE = 8  # publishes of one client that wait for their ACK
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def talk(node: NodeProcess, user: str, count: int, acks: dict[str, Ack], rng: Random) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            open_client(node.url, token=token(user), random=Soon(rng.random()))
        )
        rooms = [await stack.enter_async_context(client.join(room)) for room in ROOMS]
        numbers = iter(range(count))

        async def publish_more():
            for number in numbers:
                content = f"{user}-{number}"
                acks[content] = await rng.choice(rooms).publish(content, key=content)

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(publish_more)


@pytest.mark.rounds(1, 10)
async def test_no_message_is_left_out_and_none_comes_before_its_turn(tmp_path, seed, size):
    total, kills = size.of(200, 1_000), size.of(1, 3)
    rng = Random(seed)
    acks: dict[str, Ack] = {}

    def misbehave(_):
        trouble = [answers(500), says(b""), says(b"HTTP/1.1 ", then_wait=True)]
        return rng.choice([answers()] * 7 + trouble)

    async with http_receiver() as receiver:
        receiver.behave = misbehave
        settings = {
            "webhook_url": receiver.url,
            "webhook_secret": WEBHOOK_SECRET,
            "webhook_events": "message",
            "webhook_timeout_seconds": "0.2",
            "webhook_batch": "10",
            **UNLIMITED_WORDS,
        }
        async with node_process(tmp_path, **settings) as node:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    share = Random(rng.random())
                    nursery.start_soon(talk, node, f"u{number}", total // 5, acks, share)
                for many in sorted(rng.sample(range(total // 10, total * 9 // 10), kills)):
                    await until(partial(lambda many: len(acks) >= many, many), seconds=200)
                    await node.kill()
                    await node.start()
            await node.kill()  # with what the receiver has not taken yet
            receiver.behave = None
            await node.start()
            await until(partial(all_called_back, receiver, acks), seconds=200)
            if size.full:
                await trio.sleep(2)  # marks are stored once a second
                heard = len(receiver.received)
                await node.kill()
                await node.start()
                await trio.sleep(0.5)
                assert len(receiver.received) == heard, "what was taken is not told again"
    check(receiver, acks)


def all_called_back(receiver, acks) -> bool:
    return {event["content"] for event in receiver.events()} >= acks.keys()


def check(receiver, acks) -> None:
    """Doubles may be, holes and disorder not; and a double is the same event."""
    for room in ROOMS:
        first = {event["offset"]: event for event in reversed(receiver.events(room))}
        assert sorted(first) == list(range(1, len(first) + 1))
        for event in receiver.events(room):
            assert event == first[event["offset"]]
            assert event["id"] == f"{room}/{event['epoch']}/{event['offset']}"
        in_order_of_arrival = dict.fromkeys(event["offset"] for event in receiver.events(room))
        assert list(in_order_of_arrival) == sorted(first)
    places = {(event["room"], event["offset"]): event["content"] for event in receiver.events()}
    assert len(places) == len(acks)
    for content, ack in acks.items():
        assert places[ack.room, ack.offset] == content
