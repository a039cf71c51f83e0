"""The database is away, slow, or silent about a commit: what programs with our client see of it.

Client library, node and protocol are the real ones, over in-memory streams; only the store is fake.
"""

from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import trio
from support.cast_stage import Stage, open_stage

from greenroom.client import Client, State, open_client

ROOMS = ("one", "two", "three")
CLIENTS = 4
AWAY_SECONDS = 15.0


def opened(stage: Stage, user: str):
    async def connector(_target):
        stream, _ref = await stage.raw()
        return stream

    return open_client(
        "ws://stage.test/ws", token=stage.token(user), connector=connector, random=Random(user)
    )


@asynccontextmanager
async def members(stage: Stage):
    """`CLIENTS` clients, each in all rooms: [(client, its rooms)]."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(CLIENTS):
            client = await stack.enter_async_context(opened(stage, f"u{number}"))
            rooms = [await stack.enter_async_context(client.join(room)) for room in ROOMS]
            found.append((client, rooms))
        yield found


async def watch_states(client: Client, states: set[State]) -> None:
    async for status in client.state_changes():
        states.add(status.state)


def contents(stage: Stage) -> Counter[str]:
    return Counter(row.content for rows in stage.store.rows.values() for row in rows)


def check_offsets(stage: Stage) -> None:
    for rows in stage.store.rows.values():
        assert [row.offset for row in rows] == list(range(1, len(rows) + 1))


async def trouble(stage: Stage, kind: str) -> None:
    """A second of peace, then 15 s of it."""
    store = stage.store
    await trio.sleep(1)
    if kind == "away":
        store.away = True
        await trio.sleep(AWAY_SECONDS)
        store.away = False
    elif kind == "slow":
        store.delay_seconds = 2.0
        await trio.sleep(AWAY_SECONDS)
        store.delay_seconds = 0.001
    else:
        for _ in range(int(AWAY_SECONDS * 10)):
            store.commit_then_fail = 1  # stored, and nobody heard of it
            await trio.sleep(0.1)
        store.commit_then_fail = 0


@pytest.mark.parametrize("kind", ["away", "slow", "outcome unknown"])
async def test_every_publish_is_acknowledged_once_when_the_database_is_back(
    autojump_clock, size, kind
):
    """4 clients publish, two messages at a time, right through 15 s of trouble."""
    turns, count = 2, size.of(10, 60)
    acks: dict[str, tuple] = {}
    states: set[State] = set()

    async def talk(number, rooms, turn):
        rng = Random(100 * number + turn)
        for each in range(count):
            content = f"{number}-{turn}-{each}"
            ack = await rng.choice(rooms).publish(content)
            acks[content] = (ack.room, ack.offset)
            await trio.sleep(rng.random())

    async with open_stage(backlog_messages=50) as stage:
        stage.store.delay_seconds = 0.001
        async with members(stage) as clients, trio.open_nursery() as nursery:
            for client, _rooms in clients:
                nursery.start_soon(watch_states, client, states)
            async with trio.open_nursery() as talkers:
                talkers.start_soon(trouble, stage, kind)
                for number, (_client, rooms) in enumerate(clients):
                    for turn in range(turns):
                        talkers.start_soon(talk, number, rooms, turn)
            nursery.cancel_scope.cancel()
        assert len(acks) == CLIENTS * turns * count
        assert contents(stage) == Counter(acks.keys())
        for name, rows in stage.store.rows.items():
            assert all(acks[row.content] == (name, row.offset) for row in rows)
        check_offsets(stage)
        assert states == {State.CONNECTED}  # the heartbeats never noticed


async def test_who_gives_up_knows_it_and_may_ask_again_under_the_key(autojump_clock):
    """The caller's own deadline ends a publish; the same key then finds out what became of it."""
    given_up, acks = [], {}

    async def say(room, content):
        with trio.move_on_after(3) as deadline:
            acks[content] = await room.publish(content, key=content)
        if deadline.cancelled_caught:
            given_up.append((room, content))

    async with open_stage() as stage:
        stage.store.delay_seconds = 0.001
        async with members(stage) as clients:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trouble, stage, "away")
                for second in range(18):
                    for client, rooms in clients:
                        room = rooms[second % len(rooms)]
                        nursery.start_soon(say, room, f"{client.user}-{second}")
                    await trio.sleep(1)
            assert len(given_up) > CLIENTS * 5
            for room, content in given_up:
                acks[content] = await room.publish(content, key=content)
        assert len(acks) == CLIENTS * 18
        assert contents(stage) == Counter(acks.keys())
        check_offsets(stage)


async def test_what_needs_no_database_goes_on_without_it(autojump_clock):
    """Ephemeral rooms, presence, typing, and the history that a room remembers."""
    async with (
        open_stage() as stage,
        opened(stage, "ann") as ann,
        opened(stage, "bob") as bob,
        ann.join("lobby") as hers,
        bob.join("lobby") as his,
        ann.join("ephemeral:chat") as chat,
        bob.join("ephemeral:chat") as chat_of_bob,
    ):
        await hers.publish("before")
        assert (await anext(his)).content == "before"
        stage.store.away = True
        with trio.fail_after(1):
            await chat.publish("still here")
            assert (await anext(chat_of_bob)).content == "still here"
            assert [m.content for m in (await his.history()).messages] == ["before"]
            assert {member.user for member in await his.presence()} == {"ann", "bob"}
            events = his.events()
            hers.typing()
            assert (await anext(events)).user == "ann"


async def test_a_room_that_opens_while_the_database_is_away_is_entered_when_it_is_back(
    autojump_clock,
):
    async with open_stage() as stage:
        stage.store.away = True
        async with opened(stage, "ann") as ann:
            with trio.move_on_after(AWAY_SECONDS) as waiting:
                async with ann.join("lobby"):
                    pass
            assert waiting.cancelled_caught
            assert ann.state is State.CONNECTED
            stage.store.away = False
            with trio.fail_after(40):
                async with ann.join("lobby") as room:
                    assert (await room.publish("hello")).offset == 1
