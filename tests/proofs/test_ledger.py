"""The ledger's equations hold at every moment, and what it says is what clients have seen.

Random scenarios: members come, go, publish, repeat themselves and contradict themselves; rooms and
the archive crash, the store goes away, somebody reads nothing any more.
"""

from collections import Counter
from random import Random

import attrs
import pytest
import trio
from support.cast_stage import Client, Stage, open_stage, until

from greenroom.actors.ledger import RoomLedger
from greenroom.supervisor import ChildState

ROOMS = ("lobby", "ephemeral:lobby")
USERS = ("ann", "bob", "carol", "dave")
PATIENCE_SECONDS = 2.0


@attrs.define
class Seen:
    """What all clients together have sent and were told, by room."""

    asked: Counter[str] = attrs.field(factory=Counter[str])
    acks: Counter[str] = attrs.field(factory=Counter[str])
    errors: Counter[str] = attrs.field(factory=Counter[str])
    messages: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """Of each member since its last JOIN_OK, by room and user."""
    all_messages: Counter[str] = attrs.field(factory=Counter[str])
    missed: Counter[str] = attrs.field(factory=Counter[str])
    """What GAPs told of, save where a new epoch leaves nothing to tell of."""
    offsets: dict[str, set[tuple[str, int]]] = attrs.field(
        factory=lambda: {r: set() for r in ROOMS}
    )
    """Of all that was acknowledged or heard, with the epoch."""
    rooms: dict[tuple[str, int], str] = attrs.field(factory=dict)
    """Of each PUBLISH, by user and id: answers don't always name it."""


async def listen(client: Client, seen: Seen) -> None:
    while True:
        message = await client.receive()
        match message["type"]:
            case "JOIN_OK":
                seen.messages[message["room"], client.user] = 0
            case "ACK":
                seen.acks[message["room"]] += 1
                seen.offsets[message["room"]].add((message["epoch"], message["offset"]))
            case "ERROR" if (client.user, message["id"]) in seen.rooms:
                seen.errors[seen.rooms[client.user, message["id"]]] += 1
            case "MESSAGE":
                seen.messages[message["room"], client.user] += 1
                seen.all_messages[message["room"]] += 1
                seen.offsets[message["room"]].add((message["epoch"], message["offset"]))
            case "GAP" if message["reason"] != "epoch":
                seen.missed[message["room"]] += max(0, message["to"] - message["from"] + 1)


@attrs.define
class Play:
    """One scenario."""

    stage: Stage
    rng: Random
    nursery: trio.Nursery
    seen: Seen = attrs.field(factory=Seen)
    clients: dict[str, Client] = attrs.field(factory=dict)
    numbers: int = 1_000

    async def begin(self) -> None:
        for user in USERS:
            client = self.clients[user] = await self.stage.client(user)
            for room in ROOMS:
                await client.joined(room)
            self.nursery.start_soon(listen, client, self.seen)

    def check(self) -> None:
        for name in ROOMS:
            check(self.stage.services.ledger.room(name))

    # What can happen.

    async def publish(self) -> None:
        """Some messages in a row: new ones, old keys, old keys with other content, with an echo."""
        client, room = self.clients[self.rng.choice(USERS)], self.rng.choice(ROOMS)
        for _ in range(self.rng.randrange(1, 30)):
            self.numbers += 1
            self.seen.rooms[client.user, self.numbers] = room
            self.seen.asked[room] += 1
            key = self.rng.choice([f"k{self.numbers}", f"old{self.rng.randrange(20)}"])
            content = key if self.rng.random() < 0.9 else "something else"
            echo = self.rng.random() < 0.2
            await client.send(
                type="PUBLISH", id=self.numbers, room=room, key=key, content=content, echo=echo
            )

    async def leave_and_come_back(self) -> None:
        client, room = self.clients[self.rng.choice(USERS)], self.rng.choice(ROOMS)
        await client.send(type="LEAVE", room=room)
        await trio.sleep(self.rng.random() * 0.1)
        self.numbers += 1
        await client.send(type="JOIN", id=self.numbers, room=room)

    async def crash_a_room(self) -> None:
        ref = self.stage.cast.rooms.find(self.rng.choice(ROOMS))
        (info,) = (i for i in self.stage.cast.rooms.which_children() if i.ref is ref)
        if info.state is ChildState.RUNNING:
            await ref.tell("a message that no room understands")

    async def crash_the_archive(self) -> None:
        self.stage.store.crash_next = 1

    async def lose_the_store(self) -> None:
        self.stage.store.away = True
        await trio.sleep(self.rng.random() * 2 * PATIENCE_SECONDS)
        self.stage.store.away = False

    async def lose_an_outcome(self) -> None:
        self.stage.store.commit_then_fail = 1

    async def come_and_read_nothing(self) -> None:
        slow, _ = await self.stage.slow_member(f"slow-{self.numbers}", self.rng.choice(ROOMS))
        self.clients[slow.user] = slow


def check(ledger: RoomLedger) -> None:
    assert ledger.pending >= 0
    assert ledger.published == ledger.accepted + ledger.refused.total() + ledger.pending
    assert ledger.left.pending == 0
    for member in ledger.snapshot().members:
        assert member.copies.pending >= 0


@pytest.mark.parametrize("slow", [False, True], ids=["all read", "some read nothing"])
@pytest.mark.rounds(2, 100)
async def test_the_ledger_is_right_whatever_happens(autojump_clock, size, seed, slow):
    rng = Random(seed)
    async with (
        open_stage(
            seed=seed,
            commit_patience_seconds=PATIENCE_SECONDS,
            outbox_bytes=20_000,
            outbox_seconds=2.0,
            max_recovered_messages=rng.choice([10, 500]),
            waiting_messages=rng.choice([50, 10_000]),
            batch_messages=rng.choice([4, 128]),
            empty_room_seconds=1_000.0,
        ) as stage,
        trio.open_nursery() as nursery,
    ):
        stage.store.delay_seconds = 0.005
        play = Play(stage, rng, nursery)
        await play.begin()
        happenings = [play.publish] * 12 + [
            play.leave_and_come_back,
            play.crash_a_room,
            play.crash_the_archive,
            play.lose_the_store,
            play.lose_an_outcome,
            *([play.come_and_read_nothing] if slow else []),
        ]
        for _ in range(size.of(40, 100)):
            await rng.choice(happenings)()
            play.check()
            await trio.sleep(rng.random() * 0.2)
            play.check()
        ledgers = {room: stage.services.ledger.room(room) for room in ROOMS}
        seen = play.seen
        await until(lambda: seen.acks + seen.errors == seen.asked)
        await trio.sleep(5)  # and whatever is still on its way
        play.check()
        for room, ledger in ledgers.items():
            assert ledger.pending == 0
            assert ledger.accepted == seen.acks[room]
            assert ledger.sent >= len(seen.offsets[room])
            members, copies = ledger.snapshot().members, ledger.copies()
            assert copies.pending == 0
            if slow:
                assert copies.delivered >= seen.all_messages[room]
                continue
            for member in members:
                assert member.copies.pending == 0
                assert member.copies.delivered == seen.messages[room, member.user]
            told = Counter(copies.dropped)
            del told["left"], told["gap epoch"]
            assert copies.delivered == seen.all_messages[room]
            assert told.total() == seen.missed[room]
            if not copies.dropped:
                assert ledger.sent == len(seen.offsets[room])
        nursery.cancel_scope.cancel()
