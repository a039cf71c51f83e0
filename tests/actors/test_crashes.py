"""Crashes of the standing cast: clients notice nothing but latency."""

import random

import pytest
import trio
from support.cast_stage import open_stage, until

from greenroom.actors.room import durable

BOOM = "a message that nobody understands"


async def publish_and_note(client, room: str, count: int, acks: dict) -> None:
    for number in range(count):
        reply = await client.publish(room, f"{client.user}-{number}", key=f"k{number}")
        assert reply["type"] == "ACK", reply
        assert reply["offset"] not in acks
        acks[reply["offset"]] = client.user
        await trio.sleep(0.001)


async def offsets_of(client, count: int) -> list[int]:
    return [(await client.next("MESSAGE"))["offset"] for _ in range(count)]


async def test_a_registry_crash_is_not_noticed_and_it_learns_who_lives(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        (before,) = await stage.sessions_of("ann")
        await stage.cast.registry.tell(BOOM)
        await ann.publish("lobby", "hello")
        assert (await bob.next("MESSAGE"))["content"] == "hello"
        await trio.testing.wait_all_tasks_blocked()
        (after,) = await stage.sessions_of("ann")
        assert (after.id, after.connection) == (before.id, before.connection)
        carl = await stage.member("carl", "another-room")
        await carl.publish("another-room", "hello")


async def test_a_room_can_be_opened_while_the_registry_crashes(autojump_clock):
    async with open_stage() as stage:
        clients = [await stage.client(f"u{number}") for number in range(5)]
        async with trio.open_nursery() as nursery:
            for number, client in enumerate(clients):
                nursery.start_soon(client.joined, f"room-{number % 2}")
                await stage.cast.registry.tell(BOOM)
        assert sorted(stage.rooms()) == ["room-0", "room-1"]


async def test_an_archive_crash_is_latency_and_nothing_else(autojump_clock):
    """Two senders publish 50 each; five commits hit a bug, and five times the loop does."""
    async with open_stage() as stage:
        stage.store.delay_seconds = 0.002
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        eve = await stage.member("eve", "lobby")
        acks: dict = {}

        async def crash_now_and_then():
            for _ in range(5):
                await trio.sleep(0.05)
                stage.store.crash_next = 1
                await trio.sleep(0.05)
                await stage.cast.archive.tell(BOOM)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_now_and_then)
            nursery.start_soon(publish_and_note, ann, "lobby", 50, acks)
            nursery.start_soon(publish_and_note, bob, "lobby", 50, acks)
        assert sorted(acks) == list(range(1, 101))
        assert await offsets_of(eve, 100) == list(range(1, 101))
        assert stage.connections() == 3


async def test_one_senders_messages_keep_their_order_over_an_archive_crash(autojump_clock):
    """Several batches are under way when the first is lost: none may overtake it."""
    async with open_stage(batch_messages=4) as stage:
        stage.store.delay_seconds = 0.01
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        for number in range(40):
            await ann.send(type="PUBLISH", room="lobby", content=str(number))
        await trio.sleep(0.015)
        stage.store.crash_next = 1
        got = [(await bob.next("MESSAGE"))["content"] for _ in range(40)]
        assert got == [str(number) for number in range(40)]


async def test_a_batch_that_always_crashes_the_archive_is_given_up(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.crash_next = 3
        assert (await ann.publish("lobby", "poison"))["code"] == 100
        assert (await ann.publish("lobby", "hello"))["type"] == "ACK"


async def test_a_message_that_always_crashes_its_room_is_given_up(autojump_clock, monkeypatch):
    real = durable.NewMessage

    def explode(**fields):
        if fields["content"] == "poison":
            raise RuntimeError("a bug in the room")
        return real(**fields)

    monkeypatch.setattr(durable, "NewMessage", explode)
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        assert (await ann.publish("lobby", "poison"))["code"] == 100
        assert (await ann.publish("lobby", "hello"))["type"] == "ACK"
        assert (await bob.next("MESSAGE"))["content"] == "hello"


async def test_a_room_crash_before_the_member_was_let_in_still_lets_it_in(autojump_clock):
    async with open_stage() as stage:
        await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        bob = await stage.client("bob")
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await bob.send(type="JOIN", id=5, room="lobby")
        await trio.sleep(0.5)
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await trio.sleep(0.5)
        stage.store.gate.set()
        assert (await bob.reply_to(5))["type"] == "JOIN_OK"
        with trio.move_on_after(1):
            while (await bob.receive())["type"] != "JOIN_OK":
                pass
            pytest.fail("a second JOIN_OK")


async def test_members_get_back_in_when_the_store_was_away_at_a_room_crash(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.publish("lobby", "one")
        stage.store.away = True
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await trio.sleep(5)
        stage.store.away = False
        await trio.sleep(2)
        await ann.publish("lobby", "two")
        assert await offsets_of(bob, 2) == [1, 2]
        assert stage.connections() == 2


async def test_presence_after_a_room_crash_is_what_it_was_and_nobody_is_told(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await stage.member("bob", "lobby")
        await ann.next("JOINED")
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await trio.sleep(5)
        present = await ann.ask("PRESENCE", room="lobby")
        assert sorted(member["user"] for member in present["members"]) == ["ann", "bob"]
        assert ann.pushed == []


async def test_who_vanishes_while_the_room_is_down_is_told_when_it_is_back(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.next("JOINED")
        stage.store.delay_seconds = 1
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await bob.stream.aclose()
        left = await ann.next("LEFT")
        assert (left["user"], left["members"]) == ("bob", 1)


@pytest.mark.parametrize("seed", range(4))
async def test_everything_crashes_at_random_and_nothing_acknowledged_is_lost(autojump_clock, seed):
    rng = random.Random(seed)
    async with open_stage(seed=seed) as stage:
        stage.store.delay_seconds = 0.002
        senders = [await stage.member(f"u{number}", f"room-{number % 2}") for number in range(6)]
        readers = [await stage.member(f"r{number}", f"room-{number}") for number in range(2)]
        acks: list[dict] = [{}, {}]

        async def crash():
            for _ in range(8):
                await trio.sleep(rng.random() * 0.3)
                victim = rng.choice(["registry", "archive", "room-0", "room-1"])
                ref = (
                    getattr(stage.cast, victim)
                    if victim in {"registry", "archive"}
                    else stage.cast.rooms.ref(victim)
                )
                await ref.tell(BOOM)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            for number, client in enumerate(senders):
                nursery.start_soon(
                    publish_and_note, client, f"room-{number % 2}", 40, acks[number % 2]
                )
        for number, reader in enumerate(readers):
            assert sorted(acks[number]) == list(range(1, 121))
            assert await offsets_of(reader, 120) == list(range(1, 121))
        assert stage.connections() == 8
        await until(lambda: stage.services.ledger.room("room-0").pending == 0)
