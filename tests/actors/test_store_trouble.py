"""The store is away, slow, or loses its answers: what goes on, what waits, and what is refused."""

from contextlib import asynccontextmanager

import pytest
import trio
from support.cast_stage import FakeStore, open_stage, until

from greenroom.actors.archive.archive import PAUSE_SECONDS

NOT_AVAILABLE = 108


async def away(store: FakeStore) -> None:
    """For 15 s, every question fails at once."""
    store.away = True
    await trio.sleep(15)
    store.away = False


async def hangs(store: FakeStore) -> None:
    """For 15 s, no question is answered."""
    store.gate = trio.Event()
    await trio.sleep(15)
    store.gate.set()


async def slow(store: FakeStore) -> None:
    """For 15 s, every answer takes 2 s more."""
    store.delay_seconds = 2
    await trio.sleep(15)
    store.delay_seconds = 0


async def forgetful(store: FakeStore) -> None:
    """For 15 s, commits are done and said to have failed."""
    store.commit_then_fail = 10_000
    await trio.sleep(15)
    store.commit_then_fail = 0


TROUBLES = [away, hangs, slow, forgetful]


@asynccontextmanager
async def in_trouble(stage, trouble):
    """Meanwhile `trouble` runs; the block ends after it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trouble, stage.store)
        await trio.testing.wait_all_tasks_blocked()
        yield


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_all_that_needs_no_database_goes_on(autojump_clock, trouble):
    """Ephemeral rooms, presence, typing, history of a hot room, heartbeats: each within 1 s."""
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        for client in (ann, bob):
            await client.joined("ephemeral:here")
        await ann.publish("lobby", "before")
        await ann.next("JOINED")
        async with in_trouble(stage, trouble):
            stage.nursery.start_soon(lambda: ann.send(type="PUBLISH", room="lobby", content="x"))
            for _ in range(10):
                with trio.fail_after(1):
                    await ann.publish("ephemeral:here", "hi")
                    while (await bob.next("MESSAGE"))["room"] != "ephemeral:here":
                        pass
                    await ann.send(type="TYPING", room="lobby")
                    assert (await bob.next("TYPING"))["user"] == "ann"
                    present = await ann.ask("PRESENCE", room="lobby")
                    assert len(present["members"]) == 2
                    page = await ann.ask("HISTORY", room="lobby", limit=5)
                    assert page["messages"][0]["content"] == "before"
                    await bob.send(type="HEARTBEAT", timestamp=1)
                    assert (await bob.next("HEARTBEAT"))["echo"] == 1
                await trio.sleep(1.4)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_is_acknowledged_is_stored_once_and_what_is_refused_may_be_sent_again(
    autojump_clock, trouble
):
    """4 clients publish 40 messages each, one by one, and repeat what is refused under its key."""
    async with open_stage() as stage:
        acks = []

        async def publish(name: str) -> None:
            client = await stage.member(name, "lobby")
            for number in range(40):
                key = f"{name}-{number}"
                while True:
                    reply = await client.publish("lobby", key, key=key)
                    if reply["type"] == "ACK":
                        break
                    assert (reply["code"], reply["temporary"]) == (NOT_AVAILABLE, True)
                    await trio.sleep(0.5)
                rows = {row.key: row.offset for row in stage.store.rows["lobby"]}
                assert rows[key] == reply["offset"]  # never an ACK before the row
                acks.append(reply["offset"])
                await trio.sleep(0.5)

        async with trio.open_nursery() as nursery:
            for name in ("ann", "bob", "cid", "dee"):
                nursery.start_soon(publish, name)
            await trio.sleep(1)
            await trouble(stage.store)
        rows = stage.store.rows["lobby"]
        assert [row.offset for row in rows] == list(range(1, 161))
        assert sorted(acks) == list(range(1, 161))
        assert stage.services.commits.good


async def test_a_backlog_that_is_full_refuses_at_once_what_comes_on_top(autojump_clock):
    async with open_stage(backlog_messages=4, batches_in_flight=1, waiting_messages=2) as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.away = True
        for number in range(8):
            await ann.send(type="PUBLISH", id=100 + number, room="lobby", content=str(number))
            await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with trio.fail_after(1):
            refused = await ann.receive()
        assert (refused["code"], refused["temporary"]) == (NOT_AVAILABLE, True)
        assert trio.current_time() == began


async def test_patience_ends_with_108_and_nothing_of_it_is_stored(autojump_clock):
    async with open_stage(commit_patience_seconds=10) as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.away = True
        began = trio.current_time()
        reply = await ann.publish("lobby", "x", key="k")
        assert (reply["type"], reply["code"], reply["temporary"]) == ("ERROR", NOT_AVAILABLE, True)
        assert 8 < trio.current_time() - began <= 10.1
        stage.store.away = False
        await trio.sleep(3 * PAUSE_SECONDS)
        assert stage.store.rows.get("lobby", []) == []
        again = await ann.publish("lobby", "x", key="k")
        assert (again["offset"], again["duplicate"]) == (1, False)


async def test_a_client_that_waits_for_a_slow_store_is_not_taken_for_dead(autojump_clock):
    """64 PUBLISHes wait for 60 s: reading stops, and so does the clock of heartbeats."""
    async with open_stage(commit_patience_seconds=120) as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        for number in range(80):
            await ann.send(type="PUBLISH", id=100 + number, room="lobby", content=str(number))
        await trio.sleep(60)
        stage.store.gate.set()
        for number in range(80):
            assert (await ann.reply_to(100 + number))["type"] == "ACK"


async def test_members_get_what_waited_in_order_and_once(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stage.store.commit_then_fail = 2
        for number in range(20):
            await ann.send(type="PUBLISH", room="lobby", content=str(number))
        got = [(await bob.next("MESSAGE"))["offset"] for _ in range(20)]
        assert got == list(range(1, 21))
        await until(lambda: stage.services.commits.good)
