"""A room actor crashes under its members: nobody is disconnected, nothing acknowledged is lost."""

import random
from collections import Counter

import pytest
import trio
from support.cast_stage import open_stage, until

from greenroom.actors.room.audience import Audience
from greenroom.actors.room.durable import DurableHistory
from greenroom.actors.room.history import GoOn
from greenroom.actors.room.messages import JoinRoom
from greenroom.protocol import Position
from greenroom.supervisor import ChildState

ROOM = "lobby"


async def talk(client, count: int, acks: dict, rng: random.Random) -> None:
    """Publish `count` messages, some at once, some one by one; note what was acknowledged."""
    pending = {}
    for number in range(count):
        request = next(client._ids)
        content = f"{client.user}-{number}"
        pending[request] = content
        await client.send(type="PUBLISH", id=request, room=ROOM, content=content, key=f"k{number}")
        if rng.random() < 0.3:
            await trio.sleep(rng.random() * 0.1)
    client.expected = pending


async def listen(client, got: dict, acks: dict) -> None:
    while True:
        message = await client.receive()
        match message["type"]:
            case "MESSAGE":
                got.setdefault(client.user, []).append(message)
            case "ACK":
                acks[message["offset"]] = (client.user, message["message_id"])
                client.answered += 1
            case "ERROR":
                raise AssertionError(message)


def is_alive(stage, room: str) -> bool:
    (info,) = (info for info in stage.cast.rooms.which_children() if info.id == room)
    return info.state is ChildState.RUNNING


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
async def test_fifty_members_miss_nothing_while_their_room_crashes(autojump_clock, seed):
    """50 clients publish 20 messages each; the room crashes 10 times in the middle."""
    rng = random.Random(seed)
    async with open_stage(seed=seed) as stage:
        stage.store.delay_seconds = 0.003
        clients = [await stage.member(f"u{number}", ROOM) for number in range(50)]
        got: dict = {}
        acks: dict = {}
        room = stage.cast.rooms.ref(ROOM)
        async with trio.open_nursery() as nursery:
            for client in clients:
                client.answered = 0
                nursery.start_soon(listen, client, got, acks)
            async with trio.open_nursery() as talkers:
                for client in clients:
                    talkers.start_soon(talk, client, 20, acks, random.Random(rng.random()))
                for _ in range(10):
                    await until(lambda: is_alive(stage, ROOM))
                    await trio.sleep(0.03 + rng.random() * 0.1)
                    await room.tell("a message that no room understands")
            await until(lambda: all(client.answered == 20 for client in clients))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert stage.connections() == 50
        assert sorted(acks) == list(range(1, 1001))
        for client in clients:
            offsets = [message["offset"] for message in got[client.user]]
            others = [offset for offset in sorted(acks) if acks[offset][0] != client.user]
            assert offsets == others
        ledger = stage.services.ledger.room(ROOM)
        assert ledger.pending == 0
        assert (ledger.copies().pending, ledger.copies().dropped) == (0, {})


async def pipeline(client, count: int, answers: dict) -> None:
    """Publish `count` messages without waiting for an answer; note what the answers say."""
    for number in range(count):
        await client.send(
            type="PUBLISH", id=number, room=ROOM, content=f"{number}", key=f"{client.user}-{number}"
        )
    while len(answers) < count:
        message = await client.receive()
        if message["type"] in {"ACK", "ERROR"}:
            answers[message["id"]] = message


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 24))]
)
async def test_what_one_connection_sends_keeps_its_order_through_crashes(autojump_clock, seed):
    """5 clients send 150 messages each as fast as they may; their room crashes 4 times."""
    rng = random.Random(seed)
    async with open_stage(seed=seed) as stage:
        clients = [await stage.member(f"u{number}", ROOM) for number in range(5)]
        answers: dict = {client.user: {} for client in clients}
        room = stage.cast.rooms.ref(ROOM)
        async with trio.open_nursery() as senders:
            for client in clients:
                senders.start_soon(pipeline, client, 150, answers[client.user])
            for _ in range(4):
                for _ in range(rng.randrange(5, 60)):
                    await trio.lowlevel.checkpoint()
                await room.tell("a message that no room understands")
                if rng.random() < 0.5:
                    await until(lambda: is_alive(stage, ROOM))
        for told in answers.values():
            assert {answer["type"] for answer in told.values()} == {"ACK"}
            offsets = [told[number]["offset"] for number in range(150)]
            assert offsets == sorted(set(offsets))


async def test_order_outlasts_leaving_and_joining_again_while_the_room_crashes(autojump_clock):
    async with open_stage(batch_messages=1) as stage:
        ann = await stage.member("ann", ROOM)
        room = stage.cast.rooms.ref(ROOM)
        stage.store.gate = trio.Event()
        for number in range(9):  # more batches than may be under way: some wait in the room
            await ann.send(type="PUBLISH", id=number, room=ROOM, content="x", key=f"{number}")
            await trio.sleep(0.01)
        await ann.send(type="LEAVE", room=ROOM)
        await ann.send(type="JOIN", room=ROOM)
        await trio.sleep(0.01)
        busy = trio.Event()
        await room.tell(GoOn(busy.wait))
        await room.tell("a message that no room understands")
        await ann.send(type="PUBLISH", id=9, room=ROOM, content="x", key="9")  # survives behind it
        await trio.sleep(0.01)
        busy.set()
        stage.store.gate.set()
        offsets = {}
        while len(offsets) < 10:
            ack = await ann.next("ACK")
            offsets[ack["id"]] = ack["offset"]
        assert [offsets[number] for number in range(10)] == list(range(1, 11))


@pytest.fixture
def admitted(monkeypatch):
    """The members that a room has let in, the first one first."""
    members = []
    admit = Audience.admit
    monkeypatch.setattr(
        Audience, "admit", lambda self, *args: (members.append(args[0].member), admit(self, *args))
    )
    return members


async def test_a_member_that_asks_twice_to_be_let_in_again_is_told_one_gap(
    autojump_clock, admitted
):
    """After a crash JoinRoom may go out twice, both with the position before the first GAP."""
    async with open_stage(max_recovered_messages=1) as stage:
        ann = await stage.member("ann", ROOM)
        bob = await stage.member("bob", ROOM)
        for content in "abc":
            await bob.publish(ROOM, content)
        again = JoinRoom(member=admitted[0], since=Position(admitted[0].epoch, 0))
        await stage.cast.rooms.ref(ROOM).ask(again)
        await bob.publish(ROOM, "d")
        pushed = []
        while len(pushed) < 4:
            push = await ann.receive()
            assert push["type"] != "GAP"
            pushed += [push["content"]] if push["type"] == "MESSAGE" else []
        assert pushed == list("abcd")


async def test_a_request_to_be_let_in_again_that_outlives_another_crash_tells_no_gap_twice(
    autojump_clock, admitted
):
    """It says where the member was when it was sent; the subscription knows where it is now."""
    async with open_stage(max_recovered_messages=1) as stage:
        ann = await stage.member("ann", ROOM)
        bob = await stage.member("bob", ROOM)
        for content in "abc":
            await bob.publish(ROOM, content)
        member = admitted[0]
        stale = JoinRoom(member=member, since=Position(member.epoch, 0))
        member.next_offset = 1  # as if a crash had come before their delivery
        room = stage.cast.rooms.ref(ROOM)
        await room.tell("a message that no room understands")
        await trio.sleep(1)
        busy = trio.Event()
        await room.tell(GoOn(busy.wait))
        await room.tell("a message that no room understands")
        await trio.sleep(0.1)
        await room.tell(stale)  # survives behind it
        busy.set()
        await trio.sleep(1)
        await bob.publish(ROOM, "d")
        pushed = []
        while "d" not in pushed:
            push = await ann.receive()
            if push["type"] in {"GAP", "MESSAGE"}:
                pushed.append(push.get("content", "gap"))
        assert pushed == ["a", "b", "c", "gap", "d"]


async def test_members_wait_for_their_room_instead_of_asking_it_without_end(
    autojump_clock, monkeypatch
):
    """While it is down a watch of it comes back at once: nobody may take that for another crash."""
    asked = Counter()
    join = DurableHistory.join

    async def counted(self, envelope):
        asked[envelope.message.member.user] += 1
        await join(self, envelope)

    monkeypatch.setattr(DurableHistory, "join", counted)
    async with open_stage(heartbeat_seconds=1_000.0) as stage:
        ann, bob = [await stage.member(user, ROOM) for user in ("ann", "bob")]
        for _ in range(5):
            asked.clear()
            await stage.cast.rooms.ref(ROOM).tell("a message that no room understands")
            await trio.sleep(10)
            assert max(asked.values()) <= 4  # it was more than 500
        await bob.publish(ROOM, "hello")
        assert (await ann.next("MESSAGE"))["content"] == "hello"


@pytest.mark.parametrize("seed", range(6))
async def test_members_come_back_to_a_room_that_crashes_while_they_come_back(autojump_clock, seed):
    """Again and again, in whatever order answers, watches and crashes meet."""
    rng = random.Random(seed)
    async with open_stage(seed=seed, heartbeat_seconds=1_000.0) as stage:
        members = [await stage.member(f"u{number}", ROOM) for number in range(5)]
        room = stage.cast.rooms.ref(ROOM)
        for _ in range(20):
            await room.tell("a message that no room understands")
            for _ in range(rng.randrange(60)):
                await trio.lowlevel.checkpoint()
            if rng.random() < 0.5:
                await until(lambda: is_alive(stage, ROOM))
                for _ in range(rng.randrange(20)):
                    await trio.lowlevel.checkpoint()
        await trio.sleep(30)
        author = await stage.member("author", ROOM)
        await author.publish(ROOM, "hello")
        for member in members:
            assert (await member.next("MESSAGE"))["content"] == "hello"


async def test_what_was_said_before_several_leaves_is_answered_when_the_room_takes_nobody_back(
    autojump_clock,
):
    """The room crashes with a PUBLISH of each of two former members, and its store is away."""
    async with open_stage() as stage:
        ann = await stage.member("ann", ROOM)
        stage.store.gate = trio.Event()
        await ann.send(type="PUBLISH", id=901, room=ROOM, content="x")
        await ann.ask("LEAVE", room=ROOM)
        await ann.joined(ROOM)
        await ann.send(type="PUBLISH", id=902, room=ROOM, content="x")
        await ann.ask("LEAVE", room=ROOM)
        stage.store.away = True
        await stage.cast.rooms.ref(ROOM).tell("a message that no room understands")
        await trio.sleep(0.1)
        stage.store.gate.set()
        with trio.fail_after(20):
            answers = [await ann.next("ERROR") for _ in range(2)]
        assert {answer["id"] for answer in answers} == {901, 902}


async def test_members_hear_that_a_standby_without_the_newest_messages_took_over(autojump_clock):
    """Of five messages two are left, under the same epoch: the third place is given out again."""
    async with open_stage() as stage:
        ann, bob = [await stage.member(user, "lobby") for user in ("ann", "bob")]
        for number in range(5):
            await ann.publish("lobby", f"old {number}")
        for row in stage.store.rows["lobby"][2:]:
            del stage.store.hashes["lobby", row.user, row.key]
        del stage.store.rows["lobby"][2:]
        stage.store.heads["lobby"] = 2
        ack = await ann.publish("lobby", "new")
        assert (ack["type"], ack["offset"]) == ("ACK", 3)
        gap = await bob.next("GAP")
        assert (gap["epoch"], gap["from"], gap["to"], gap["reason"]) == ("e-lobby", 6, 3, "epoch")
        await ann.publish("lobby", "next")
        assert (await bob.next("MESSAGE"))["offset"] == 4
        page = await bob.ask("HISTORY", room="lobby", limit=9)
        said = [message["content"] for message in page["messages"]]
        assert said == ["old 0", "old 1", "new", "next"]
