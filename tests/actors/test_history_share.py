"""HISTORY: no client's share of the reading is larger than two, and who has gone has none."""

import trio
from support.cast_stage import open_stage

from greenroom.actors.room.messages import WhoIsIn


async def ask_for_pages(client, count: int) -> None:
    for number in range(count):
        await client.send(type="HISTORY", id=100 + number, room="lobby", limit=3)


async def test_all_are_answered_two_at_a_time(autojump_clock):
    async with open_stage(ring_messages=1) as stage:
        ann = await stage.member("ann", "lobby")
        for number in range(3):
            await ann.publish("lobby", f"m{number}")
        stage.store.read_delay_seconds = 1
        started = trio.current_time()
        await ask_for_pages(ann, 10)
        replies = [await ann.next("HISTORY_OK") for _ in range(10)]
        assert {reply["id"] for reply in replies} == set(range(100, 110))
        assert all([m["offset"] for m in reply["messages"]] == [1, 2, 3] for reply in replies)
        assert trio.current_time() - started == 5


async def test_another_client_waits_for_two_pages_of_each_at_most(autojump_clock):
    async with open_stage(ring_messages=1, reads_at_once=1) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        for number in range(3):
            await ann.publish("lobby", f"m{number}")
        stage.store.read_delay_seconds = 1
        await ask_for_pages(ann, 50)
        await stage.cast.rooms.ref("lobby").ask(WhoIsIn())  # behind ann's
        started = trio.current_time()
        await bob.ask("HISTORY", room="lobby", limit=3)
        assert trio.current_time() - started <= 3


async def test_what_a_client_asked_for_is_not_read_after_it_has_gone(autojump_clock):
    async with open_stage(ring_messages=1, reads_at_once=1) as stage:
        ann = await stage.member("ann", "lobby")
        for number in range(3):
            await ann.publish("lobby", f"m{number}")
        stage.store.read_delay_seconds = 1
        await ask_for_pages(ann, 50)
        await trio.sleep(0.5)
        await ann.ws.aclose()
        await trio.sleep(60)
        assert stage.store.reads <= 2
