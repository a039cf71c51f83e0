"""A room that one may not enter answers as if there were none: in code, text, and what takes time.

What the node does for a command about such a room is counted call by call (tests/support/counting):
two counts that are equal are two commands that take the same time, but for chance. The rooms' names
are of the same length, as the texts that hold them are.
"""

import re
from collections import Counter

import pytest
import trio
from support.cast_stage import FakeStore
from support.counting import counted, play

from greenroom.protocol import ALL_RIGHTS, direct_room

ROUNDS = 4
BUSY, OLD, NONE = "busy", "old-", "none"
"""What there is: members and messages; messages, of a room whose actor has ended; nothing."""

PRIVATE = {state: f"private:{state}" for state in (BUSY, OLD, NONE)}
DIRECT = {state: direct_room("ann", state) for state in (BUSY, OLD, NONE)}

COMMANDS = {
    "JOIN": {"type": "JOIN"},
    "JOIN since": {"type": "JOIN", "since": {"epoch": "e", "offset": 1}},
    "HISTORY": {"type": "HISTORY"},
    "HISTORY before": {"type": "HISTORY", "before": {"epoch": "e", "offset": 1}},
    "PRESENCE": {"type": "PRESENCE"},
    "PUBLISH": {"type": "PUBLISH", "content": "hello", "key": "k"},
    "TYPING": {"type": "TYPING"},
    "LEAVE": {"type": "LEAVE"},
}


class Gate:
    """Knows ann alone; counts what it is asked."""

    def __init__(self):
        self.asked = Counter()

    async def rights_in(self, room, user):
        self.asked[user] += 1
        return ALL_RIGHTS if user == "ann" else None


class CountingStore(FakeStore):
    """Counts what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    async def _answer(self):
        self.asked += 1
        await super()._answer()


async def fill(scene, rooms):
    """Somebody is in one room, and was in another."""
    ann = await scene.connect()
    ann.send(type="AUTH", token=scene.stage.token("ann"))
    await scene.settle()
    for state in (BUSY, OLD):
        ann.send(type="JOIN", room=rooms[state])
        await scene.settle()
        for number in range(3):
            ann.send(type="PUBLISH", room=rooms[state], content=f"{number}")
            await scene.settle()
    ann.send(type="LEAVE", room=rooms[OLD])
    await scene.pass_time(60, step=1)
    assert ann.take().count(b'"ACK"') == 6
    assert scene.stage.rooms() == [rooms[BUSY]]


async def ask(scene, client, command, room):
    """What came back, and what it cost: (bytes, calls, steps, sends, receives, of the store)."""
    store_before = scene.stage.store.asked
    with counted() as meter:
        client.send(**command, room=room)
        await scene.settle()
    work = meter.work
    cost = (work.calls, work.steps, work.sends, work.receives)
    return client.take(), cost, scene.stage.store.asked - store_before


def tries(command, rooms, *, gate):
    """Ask about each room in turn, by a stranger, several times over; by state of the room."""

    async def script(scene):
        await fill(scene, rooms)
        eve = await scene.connect()
        eve.send(type="AUTH", token=scene.stage.token("eve"))
        await scene.settle()
        eve.take()
        found = {state: [] for state in rooms}
        for _ in range(ROUNDS):
            for state, room in rooms.items():
                await scene.pass_time(1, step=1)  # what follows soon is charged with what was
                answer, cost, store = await ask(scene, eve, command, room)
                found[state].append((_without_id(answer), cost, store))
            await scene.pass_time(10, step=1)  # the doorkeeper has forgotten what it was told
            eve.take()
        return found, scene.stage.rooms()

    return play(script, store=CountingStore(), gate=gate, heartbeat_seconds=10_000.0)


def _without_id(answer):
    """The ids of commands count up."""
    return re.sub(rb'"id":\d+', b"", answer[answer.find(b"{") :])


@pytest.mark.parametrize("rooms", [PRIVATE, DIRECT], ids=["private", "direct"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_stranger_can_not_tell_what_there_is(name, rooms):
    """The first round warms caches; after it each count is the same for all three, to the call."""
    gate = Gate()
    found, alive = tries(COMMANDS[name], rooms, gate=gate)
    assert alive == [rooms[BUSY]]  # nobody made or woke one by asking
    settled = {state: results[1:] for state, results in found.items()}
    assert settled[BUSY] == settled[OLD] == settled[NONE]
    answers = {answer for results in found.values() for answer, _, _ in results}
    assert len(answers) == 1
    assert {store for results in found.values() for _, _, store in results} == {0}
    asks_the_gate = rooms is PRIVATE and name.startswith("JOIN")
    assert gate.asked["eve"] == (ROUNDS * 3 if asks_the_gate else 0)


def test_the_count_would_see_a_look_at_the_room():
    """The same commands by somebody who may enter do differ, so the counts are no blind ones."""

    async def script(scene):
        await fill(scene, PRIVATE)
        ann = await scene.connect()
        ann.send(type="AUTH", token=scene.stage.token("ann"))
        await scene.settle()
        ann.take()
        return [await ask(scene, ann, COMMANDS["JOIN"], room) for room in PRIVATE.values()]

    found = play(script, store=CountingStore(), gate=Gate(), heartbeat_seconds=10_000.0)
    assert len({cost for _, cost, _ in found}) == 3
    assert [store > 0 for _, _, store in found] == [False, True, True]


@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_a_gate_that_takes_its_time_takes_it_for_both(seconds):
    """Nobody is answered before the gate has spoken, whatever there is."""

    class SlowGate(Gate):
        async def rights_in(self, room, user):
            await trio.sleep(seconds if user == "eve" else 0)
            return await super().rights_in(room, user)

    async def script(scene):
        await fill(scene, PRIVATE)
        eve = await scene.connect()
        eve.send(type="AUTH", token=scene.stage.token("eve"))
        await scene.settle()
        eve.take()
        waits = []
        for room in PRIVATE.values():
            eve.send(type="JOIN", room=room)
            await scene.settle()
            waited = 0.0
            while not (answer := eve.take()):
                await scene.pass_time(0.25)
                waited += 0.25
            waits.append((waited, _without_id(answer)))
        return waits

    waits = play(script, store=CountingStore(), gate=SlowGate(), heartbeat_seconds=10_000.0)
    assert len(set(waits)) == 1
    assert waits[0][0] == seconds
