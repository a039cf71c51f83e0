"""Dropped and back again: nothing missed, nothing twice, also while the half-open socket lives on.

And where more was missed than is kept: a GAP that says exactly what, and the stream behind it.
"""

import pytest
import trio
from support.cast_stage import Client, Stage, open_stage, until

DURABLE = "lobby"
EPHEMERAL = "ephemeral:lobby"


async def sign_in(stage: Stage, user: str, session: str | None = None) -> tuple[Client, str]:
    """A client after AUTH, and its session."""
    client = await stage.open()
    fields = {} if session is None else {"session": session}
    welcome = await client.ask("AUTH", token=stage.token(user), **fields)
    assert welcome["type"] == "AUTH_OK", welcome
    return client, welcome["session"]


async def say(client: Client, room: str, *contents: str) -> list[int]:
    """Publish, and return the offsets."""
    return [(await client.publish(room, content))["offset"] for content in contents]


def take_no_more(stage: Stage) -> None:
    """What the node writes to the newest connection from now on stays in its outbox."""

    async def never(*_):
        await trio.sleep_forever()

    stage.last_streams[-1].send_stream.send_all_hook = never


@pytest.mark.parametrize("room", [DURABLE, EPHEMERAL])
@pytest.mark.parametrize("resumes", [True, False], ids=["with session", "without session"])
@pytest.mark.parametrize("blocked", [False, True], ids=["the kernel takes", "nobody takes"])
async def test_five_drops_in_a_row_are_recovered_while_the_half_open_sockets_live(
    autojump_clock, room, resumes, blocked
):
    """Each time the client is gone without a word, and the node still believes in its socket."""
    async with open_stage(ring_messages=20) as stage:
        bob = await stage.member("bob", room)
        ann, session = await sign_in(stage, "ann")
        joined = await ann.joined(room)
        epoch, got = joined["epoch"], []
        for drop in range(5):
            await say(bob, room, "a", "b", "c")
            got += [(await ann.next("MESSAGE"))["offset"] for _ in range(3)]
            if blocked:
                take_no_more(stage)
            # Its ACK is lost, so it will be sent again; the client has heard nothing since.
            await ann.send(type="PUBLISH", id=99, room=room, content="own", key=f"own-{drop}")
            await trio.sleep(0.1)
            await say(bob, room, "d", "e")
            ann, session = await sign_in(stage, "ann", session if resumes else None)
            since = {"epoch": epoch, "offset": got[-1]}
            joined = await ann.joined(room, since=since)
            assert joined["recovered"]
            missed = {message["offset"]: message["content"] for message in joined["messages"]}
            assert list(missed.values()) == ["own", "d", "e"]
            got += missed
            ack = await ann.publish(room, "own", key=f"own-{drop}")
            assert (ack["duplicate"], missed[ack["offset"]]) == (True, "own")
            users = (await ann.ask("PRESENCE", room=room))["members"]
            assert sorted(member["user"] for member in users) == ["ann", "bob"]
        assert got == list(range(1, len(got) + 1))
        if resumes:
            await until(lambda: stage.connections() == 2, seconds=10)  # each closed the one before
        heard = [push["type"] for push in bob.pushed if push["type"] != "MESSAGE"]
        assert heard == ["JOINED"]  # once: ann was there all the time


async def lose_the_oldest(stage: Stage) -> None:
    """As retention does."""

    async def read(room, *, after=None, before=None, limit):
        await trio.lowlevel.checkpoint()
        rows = [row for row in stage.store.rows[room][5:] if after is None or row.offset > after]
        return rows[:limit]

    stage.store.read = read


async def nothing(stage: Stage) -> None:
    pass


MISSED = [  # room, limits, what happens meanwhile, what `since` says, and the GAP's reason
    (DURABLE, {"max_recovered_messages": 5}, nothing, {}, "too_many"),
    (DURABLE, {"outbox_bytes": 2_000}, nothing, {}, "too_many"),
    (DURABLE, {"ring_messages": 2}, lose_the_oldest, {}, "expired"),
    (DURABLE, {}, nothing, {"epoch": "before the backup"}, "epoch"),
    (DURABLE, {}, nothing, {"offset": 1_000}, "epoch"),
    (EPHEMERAL, {"max_recovered_messages": 5}, nothing, {}, "too_many"),
    (EPHEMERAL, {"ring_messages": 2}, nothing, {}, "dropped"),
    (EPHEMERAL, {"ring_messages": 8, "max_recovered_messages": 5}, nothing, {}, "dropped"),
    (EPHEMERAL, {}, nothing, {"epoch": "before the restart"}, "epoch"),
]


@pytest.mark.parametrize(("room", "limits", "meanwhile", "position", "reason"), MISSED)
async def test_more_missed_than_is_kept_is_a_gap_that_says_what(
    autojump_clock, room, limits, meanwhile, position, reason
):
    """No partial list, but one GAP from `since` to JOIN_OK's offset, and then the stream."""
    async with open_stage(**limits) as stage:
        bob = await stage.member("bob", room)
        ann = await stage.client("ann")
        at = await ann.joined(room)
        await ann.ask("LEAVE", room=room)
        await say(bob, room, *"abcdefghij")
        await meanwhile(stage)
        since = {"epoch": at["epoch"], "offset": 0} | position
        joined = await ann.joined(room, since=since)
        assert (joined["recovered"], joined["messages"], joined["offset"]) == (False, [], 10)
        gap = await ann.next("GAP")
        assert gap == {
            "type": "GAP",
            "room": room,
            "epoch": at["epoch"],
            "from": since["offset"] + 1,
            "to": 10,
            "reason": reason,
        }
        await say(bob, room, "next")
        assert (await ann.receive())["offset"] == 11


async def test_an_ephemeral_room_that_crashed_begins_anew_and_says_so(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", EPHEMERAL)
        bob = await stage.member("bob", EPHEMERAL)
        await say(bob, EPHEMERAL, "a", "b")
        before = await ann.next("MESSAGE")
        await stage.cast.rooms.ref(EPHEMERAL).tell("a message that no room understands")
        gap = await ann.next("GAP")
        assert (gap["reason"], gap["from"], gap["to"]) == ("epoch", 3, 0)
        assert gap["epoch"] != before["epoch"]
        await say(bob, EPHEMERAL, "c")
        after = await ann.next("MESSAGE")
        assert (after["epoch"], after["offset"]) == (gap["epoch"], 1)
