"""Rooms, as their members see them."""

import random

import pytest
import trio
from support.cast_stage import FakeStore, open_stage, until
from support.unlimited import NO_LIMITS

from greenroom.actors.room.messages import WhoIsIn


async def fill(stage, room: str, count: int, user: str = "author") -> None:
    """Publish `count` messages and leave."""
    author = await stage.member(user, room)
    for number in range(count):
        await author.publish(room, f"m{number + 1}")
    await author.ws.aclose()


async def messages(client, count: int) -> list[dict]:
    return [await client.next("MESSAGE") for _ in range(count)]


async def nothing_comes(client, kind: str) -> bool:
    with trio.move_on_after(1) as scope:
        await client.next(kind)
    return scope.cancelled_caught


# PUBLISH.


async def test_a_broadcast_leaves_out_its_sender_and_reaches_its_other_tab(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        tab = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.publish("lobby", "hello")
        assert (await tab.next("MESSAGE"))["content"] == "hello"
        assert (await bob.next("MESSAGE"))["content"] == "hello"
        assert await nothing_comes(ann, "MESSAGE")


async def test_with_echo_the_sender_gets_it_too(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await ann.send(type="PUBLISH", room="lobby", content="hello", echo=True)
        assert (await ann.next("MESSAGE"))["content"] == "hello"


async def test_nobody_hears_anything_before_it_is_stored(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stage.store.gate = trio.Event()
        await ann.send(type="PUBLISH", id=99, room="lobby", content="hello")
        assert await nothing_comes(ann, "ACK")
        assert await nothing_comes(bob, "MESSAGE")
        stage.store.gate.set()
        assert (await ann.next("ACK"))["id"] == 99
        assert (await bob.next("MESSAGE"))["content"] == "hello"


async def test_the_same_key_again_is_acknowledged_as_duplicate_and_told_once(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        first = await ann.publish("lobby", "hello", key="k")
        tab = await stage.member("ann", "lobby")
        again = await tab.publish("lobby", "hello", key="k")
        assert again["duplicate"]
        assert again["message_id"] == first["message_id"]
        assert (await bob.next("MESSAGE"))["offset"] == 1
        assert await nothing_comes(bob, "MESSAGE")


async def test_the_same_key_with_other_content_is_error_122(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await ann.publish("lobby", "hello", key="k")
        assert (await ann.publish("lobby", "good bye", key="k"))["code"] == 122


async def test_publishing_without_having_joined_is_error_120(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        assert (await ann.publish("lobby", "hello"))["code"] == 120


async def test_commands_may_follow_join_without_waiting_for_its_answer(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        await ann.send(type="JOIN", id=1, room="lobby")
        await ann.send(type="PUBLISH", id=2, room="lobby", content="hello")
        assert (await ann.receive())["type"] == "JOIN_OK"
        assert (await ann.receive())["type"] == "ACK"


async def test_offsets_and_deliveries_agree_under_many_senders(autojump_clock):
    async with open_stage() as stage:
        clients = [await stage.member(f"u{number}", "lobby") for number in range(10)]
        for number in range(30):
            for client in clients:
                await client.send(type="PUBLISH", room="lobby", content=f"{number}")
        for client in clients:
            got = await messages(client, 270)
            assert [m["offset"] for m in got] == sorted(m["offset"] for m in got)
            assert all(m["user"] != client.user for m in got)
        ledger = stage.services.ledger.room("lobby")
        assert (ledger.published, ledger.accepted, ledger.pending) == (300, 300, 0)
        copies = ledger.copies()
        assert (copies.accepted, copies.own, copies.delivered) == (3000, 300, 2700)


async def test_publishes_that_wait_together_are_stored_together(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.delay_seconds = 0.01
        for _ in range(60):
            await ann.send(type="PUBLISH", id=7, room="lobby", content="x")
        for _ in range(60):
            await ann.next("ACK")
        assert len(stage.store.commits) < 10


# JOIN and LEAVE.


async def test_joining_twice_is_error_105(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        assert (await ann.ask("JOIN", room="lobby"))["code"] == 105


async def test_leaving_on_the_way_in_answers_the_join_too(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        await ann.send(type="JOIN", id=11, room="lobby")
        await ann.send(type="LEAVE", id=12, room="lobby")
        error, ok = await ann.receive(), await ann.receive()
        assert (error["type"], error["id"], error["code"]) == ("ERROR", 11, 120)
        assert (ok["type"], ok["id"]) == ("OK", 12)


async def test_nothing_arrives_after_leave(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        assert (await bob.ask("LEAVE", room="lobby"))["type"] == "OK"
        await ann.publish("lobby", "secret")
        assert await nothing_comes(bob, "MESSAGE")
        assert (await bob.ask("LEAVE", room="lobby"))["code"] == 120


async def test_more_rooms_than_allowed_is_error_106(autojump_clock):
    async with open_stage(max_rooms_per_connection=2) as stage:
        ann = await stage.client("ann")
        await ann.joined("one")
        await ann.joined("two")
        assert (await ann.ask("JOIN", room="three"))["code"] == 106


async def test_a_full_room_is_error_123(autojump_clock):
    async with open_stage(max_members_per_room=1) as stage:
        await stage.member("ann", "lobby")
        bob = await stage.client("bob")
        assert (await bob.ask("JOIN", room="lobby"))["code"] == 123
        assert (await bob.publish("lobby", "hello"))["code"] == 120


async def test_join_brings_exactly_what_was_missed(autojump_clock):
    async with open_stage() as stage:
        await fill(stage, "lobby", 5)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 2})
        assert reply["recovered"]
        assert [m["offset"] for m in reply["messages"]] == [3, 4, 5]
        assert reply["offset"] == 5


async def test_what_the_ring_has_forgotten_comes_from_the_archive(autojump_clock):
    async with open_stage(ring_messages=3) as stage:
        await fill(stage, "lobby", 10)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 1})
        assert [m["offset"] for m in reply["messages"]] == list(range(2, 11))


async def test_what_nobody_uses_expires_in_the_ring_and_comes_from_the_archive(autojump_clock):
    """A room that nobody leaves: its ring goes 10 s after the last use, and fills again."""
    async with open_stage(ring_seconds=10) as stage:
        ann = await stage.member("ann", "lobby")
        ledger = stage.services.ledger.room("lobby")

        async def ask(after, want):
            await trio.sleep(after)
            reply = await ann.ask("HISTORY", room="lobby", limit=2)
            assert [message["offset"] for message in reply["messages"]] == want
            return ledger.from_ring, ledger.from_archive

        await ann.publish("lobby", "one")
        await ann.publish("lobby", "two")
        assert await ask(8, [1, 2]) == (1, 0)
        assert await ask(8, [1, 2]) == (2, 0), "each use keeps it"
        assert await ask(12, [1, 2]) == (2, 1)
        await ann.publish("lobby", "three")
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 2})
        assert [message["offset"] for message in reply["messages"]] == [3]
        assert (ledger.from_ring, ledger.from_archive) == (3, 1)
        carol = await stage.client("carol")
        reply = await carol.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        assert (reply["recovered"], len(reply["messages"])) == (True, 3)
        assert (ledger.from_ring, ledger.from_archive) == (3, 2)


async def test_an_ephemeral_room_s_ring_does_not_expire(autojump_clock):
    async with open_stage(ring_seconds=5) as stage:
        ann = await stage.member("ann", "ephemeral:a")
        await ann.publish("ephemeral:a", "one")
        await trio.sleep(20)
        reply = await ann.ask("HISTORY", room="ephemeral:a", limit=2)
        assert [message["offset"] for message in reply["messages"]] == [1]


async def test_more_than_one_recovery_carries_is_a_gap_and_no_partial_list(autojump_clock):
    async with open_stage(max_recovered_messages=5) as stage:
        await fill(stage, "lobby", 10)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 1})
        assert (reply["recovered"], reply["messages"]) == (False, [])
        gap = await bob.next("GAP")
        assert (gap["from"], gap["to"], gap["reason"]) == (2, 10, "too_many")


async def test_a_position_of_another_epoch_is_a_gap(autojump_clock):
    async with open_stage() as stage:
        await fill(stage, "lobby", 3)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "old", "offset": 2})
        assert not reply["recovered"]
        assert (await bob.next("GAP"))["reason"] == "epoch"


@pytest.mark.parametrize("seed", range(20))
async def test_history_and_stream_meet_without_hole_or_double(autojump_clock, seed):
    """JOIN with `since` at a random moment of a running stream, the archive slow to read."""
    rng = random.Random(seed)
    ring = rng.choice([20, 100, 1000])
    async with open_stage(ring_messages=ring, rates=NO_LIMITS) as stage:
        stage.store.delay_seconds = 0.002
        stage.store.read_delay_seconds = rng.choice([0, 0.01, 0.05])
        author = await stage.member("author", "lobby")
        stage.nursery.start_soon(stream_to, author, 400)
        await trio.sleep(rng.random() * 0.5)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        got = [m["offset"] for m in reply["messages"]]
        if not reply["recovered"]:
            gap = await bob.next("GAP")
            got = list(range(gap["from"], gap["to"] + 1))
        while len(got) < 400:
            got.append((await bob.next("MESSAGE"))["offset"])
        assert got == list(range(1, 401))


async def test_a_stream_that_outruns_the_ring_while_history_is_read_is_read_again(autojump_clock):
    """A read takes 50 ms, the ring holds 4 ms; what one answer can carry is recovered."""
    async with open_stage(ring_messages=2, rates=NO_LIMITS) as stage:
        author = await stage.member("author", "lobby")
        stage.nursery.start_soon(stream_to, author, 150)
        await trio.sleep(0.1)
        stage.store.read_delay_seconds = 0.05
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        got = [m["offset"] for m in reply["messages"]]
        assert reply["recovered"]
        while len(got) < 150:
            got.append((await bob.next("MESSAGE"))["offset"])
        assert got == list(range(1, 151))


async def test_history_that_is_gone_while_it_is_read_again_is_a_gap(autojump_clock):
    async with open_stage(ring_messages=2) as stage:
        author = await stage.member("author", "lobby")
        stage.nursery.start_soon(stream_to, author, 100)
        await trio.sleep(0.1)
        stage.store.read_delay_seconds = 0.05
        stage.nursery.start_soon(forget_all, stage, 0.04)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        assert not reply["recovered"]
        gap = await bob.next("GAP")
        assert (gap["from"], gap["to"], gap["reason"]) == (1, reply["offset"], "expired")


async def forget_all(stage, after: float) -> None:
    await trio.sleep(after)
    read = stage.store.read

    async def nothing(*args, **fields):
        await read(*args, **fields)
        return []

    await until(lambda: stage.store.reads)
    stage.store.read = nothing


async def stream_to(author, count: int) -> None:
    for number in range(count):
        await author.send(type="PUBLISH", room="lobby", content=str(number))
        await trio.sleep(0.002)


async def test_an_empty_room_ends_after_a_while_and_history_stays(autojump_clock):
    async with open_stage(empty_room_seconds=30) as stage:
        await fill(stage, "lobby", 2)
        await trio.sleep(20)
        assert stage.rooms() == ["lobby"]
        await trio.sleep(15)
        assert stage.rooms() == []
        bob = await stage.client("bob")
        assert (await bob.joined("lobby"))["offset"] == 2


@pytest.mark.parametrize("room", ["lobby", "ephemeral:lobby"])
async def test_a_room_in_which_nothing_was_said_ends_within_seconds_of_its_last_member(
    autojump_clock, room
):
    async with open_stage() as stage:
        ann = await stage.member("ann", room)
        await trio.sleep(20)
        assert stage.rooms() == [room]
        await ann.ask("LEAVE", room=room)
        await trio.sleep(2)
        assert stage.rooms() == []


async def test_a_join_that_is_being_read_keeps_its_room(autojump_clock):
    async with open_stage(ring_messages=1, empty_room_seconds=5) as stage:
        await fill(stage, "lobby", 3)
        await trio.sleep(1)
        ref = stage.cast.rooms.ref("lobby")
        stage.store.read_delay_seconds = 15
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        assert [m["offset"] for m in reply["messages"]] == [1, 2, 3]
        assert stage.cast.rooms.ref("lobby") is ref


async def test_a_join_that_meets_the_end_of_a_room_opens_it_again(autojump_clock):
    async with open_stage(empty_room_seconds=10) as stage:
        await fill(stage, "lobby", 1)
        bob = await stage.client("bob")
        for _ in range(30):
            await trio.sleep(9.999)
            reply = await bob.joined("lobby")
            assert reply["offset"] == 1
            assert (await bob.ask("LEAVE", room="lobby"))["type"] == "OK"


# HISTORY.


@pytest.mark.parametrize("ring_messages", [3, 512])
async def test_history_pages_backwards_and_forwards(autojump_clock, ring_messages):
    async with open_stage(ring_messages=ring_messages) as stage:
        await fill(stage, "lobby", 10)
        bob = await stage.member("bob", "lobby")

        async def page(**fields):
            reply = await bob.ask("HISTORY", room="lobby", **fields)
            return [m["offset"] for m in reply["messages"]], reply["more"]

        at = {"epoch": "e-lobby"}
        assert await page(limit=4) == ([7, 8, 9, 10], True)
        assert await page(limit=4, before={**at, "offset": 7}) == ([3, 4, 5, 6], True)
        assert await page(limit=4, before={**at, "offset": 3}) == ([1, 2], False)
        assert await page(limit=4, since={**at, "offset": 0}) == ([1, 2, 3, 4], True)
        assert await page(limit=4, since={**at, "offset": 8}) == ([9, 10], False)
        assert await page(limit=4, since={**at, "offset": 10}) == ([], False)
        reply = await bob.ask("HISTORY", room="lobby", since={"epoch": "x", "offset": 1}, limit=4)
        assert reply["code"] == 112


async def test_content_that_swells_in_json_closes_nobody(autojump_clock):
    """Each of ten messages is 10,000 bytes of content and 60,000 on the wire."""
    async with open_stage(outbox_bytes=500_000) as stage:
        ann = await stage.member("ann", "lobby")
        for _ in range(10):
            await ann.publish("lobby", "\x01" * 10_000)
        bob = await stage.client("bob")
        reply = await bob.joined("lobby", since={"epoch": "e-lobby", "offset": 0})
        assert not reply["recovered"]
        assert (await bob.next("GAP"))["reason"] == "too_many"
        page = await bob.ask("HISTORY", room="lobby", limit=10)
        assert 0 < len(page["messages"]) < 10
        assert page["more"]


async def test_presence_of_more_users_than_fit_is_error_106(autojump_clock):
    async with open_stage(max_presence_members=1) as stage:
        ann = await stage.member("ann", "lobby")
        assert len((await ann.ask("PRESENCE", room="lobby"))["members"]) == 1
        await stage.member("bob", "lobby")
        assert (await ann.ask("PRESENCE", room="lobby"))["code"] == 106


async def test_a_page_is_bounded_in_bytes(autojump_clock):
    async with open_stage(outbox_bytes=100_000) as stage:
        ann = await stage.member("ann", "lobby")
        for _ in range(6):
            await ann.publish("lobby", "x" * 20_000)
        reply = await ann.ask("HISTORY", room="lobby", limit=6)
        assert [m["offset"] for m in reply["messages"]] == [5, 6]
        assert reply["more"]


# PRESENCE, TYPING.


async def test_a_crowd_is_told_less_often_of_who_comes(autojump_clock, monkeypatch):
    """With three times the users that are told of by name: after three times 0.1 s."""
    monkeypatch.setattr("greenroom.actors.room.room.NAMED_CHANGES_UP_TO", 1)
    async with open_stage(presence_seconds=0.1) as stage:
        ann = await stage.member("ann", "lobby")
        await stage.member("bob", "lobby")
        assert (await ann.next("JOINED"))["members"] == 2
        began = trio.current_time()
        await stage.member("cy", "lobby")
        assert (await ann.next("JOINED"))["members"] == 3
        assert trio.current_time() - began == pytest.approx(0.3)


async def test_only_the_first_and_the_last_tab_are_told(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        assert (await ann.next("JOINED"))["members"] == 2
        tab = await stage.member("bob", "lobby")
        present = await ann.ask("PRESENCE", room="lobby")
        assert {"user": "bob", "connections": 2} in present["members"]
        await bob.ask("LEAVE", room="lobby")
        assert await nothing_comes(ann, "LEFT")
        await tab.ask("LEAVE", room="lobby")
        assert (await ann.next("LEFT"))["user"] == "bob"


async def test_who_comes_and_goes_at_once_is_not_told(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.next("JOINED")
        await bob.ask("LEAVE", room="lobby")
        await bob.joined("lobby")
        assert await nothing_comes(ann, "JOINED")
        assert not ann.pushed


async def test_above_100_users_only_the_count_is_told(autojump_clock):
    async with open_stage() as stage:
        clients = [await stage.member(f"u{number}", "lobby") for number in range(102)]
        ann = clients[0]
        await trio.sleep(1)
        await ann.ask("HISTORY", room="lobby", limit=1)
        last = [push for push in ann.pushed if push["type"] == "JOINED"][-1]
        assert last["members"] == 102
        assert last.get("user") is None


async def test_typing_reaches_the_other_users_and_is_not_stored(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.send(type="TYPING", room="lobby")
        assert (await bob.next("TYPING"))["user"] == "ann"
        assert stage.store.commits == []


async def test_typing_is_told_of_once_a_second_for_each_user(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        tab = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        for _ in range(3):
            for _ in range(20):
                await ann.send(type="TYPING", room="lobby")
                await tab.send(type="TYPING", room="lobby")
            await bob.next("TYPING")
            assert await nothing_comes(bob, "TYPING")


async def test_typing_is_not_told_to_a_member_whose_bytes_wait(autojump_clock):
    patient = {"heartbeat_seconds": 1e6, "outbox_seconds": 1e6, "outbox_bytes": 2000}
    async with open_stage(**patient) as stage:
        ann = await stage.member("ann", "lobby")
        slow, _ = await stage.slow_member("slow", "lobby")
        await ann.publish("lobby", "hello")
        for _ in range(100):
            await ann.send(type="TYPING", room="lobby")
            await trio.sleep(1.1)
        assert stage.connections() == 2
        del slow


# Ephemeral rooms.


async def test_an_ephemeral_room_delivers_without_storing(autojump_clock):
    async with open_stage() as stage:
        stage.store.away = True
        ann = await stage.member("ann", "ephemeral:x")
        bob = await stage.member("bob", "ephemeral:x")
        assert (await ann.publish("ephemeral:x", "hello"))["offset"] == 1
        assert (await bob.next("MESSAGE"))["content"] == "hello"
        reply = await bob.ask("HISTORY", room="ephemeral:x", limit=5)
        assert [m["content"] for m in reply["messages"]] == ["hello"]
        assert not reply["more"]


async def test_an_ephemeral_room_knows_the_keys_of_what_it_remembers(autojump_clock):
    room = "ephemeral:x"
    async with open_stage(ring_messages=3) as stage:
        ann, bob = [await stage.member(user, room) for user in ("ann", "bob")]
        first = await ann.publish(room, "a", key="k")
        assert await ann.publish(room, "a", key="k") == first | {"id": 4, "duplicate": True}
        assert (await ann.publish(room, "b", key="k"))["code"] == 122
        assert not (await bob.publish(room, "a", key="k"))["duplicate"]  # another user's key
        for content in "cde":
            await bob.publish(room, content)
        assert not (await ann.publish(room, "a", key="k"))["duplicate"]  # forgotten meanwhile
        heard = [(await bob.next("MESSAGE"))["offset"] for _ in range(2)]
        assert heard == [1, 6]
        ledger = stage.services.ledger.room(room)
        assert (ledger.published, ledger.accepted, ledger.refused.total()) == (8, 7, 1)


async def test_after_a_crash_an_ephemeral_room_says_that_messages_may_be_missing(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "ephemeral:x")
        await ann.publish("ephemeral:x", "one")
        await stage.cast.rooms.ref("ephemeral:x").tell("boom")
        assert (await ann.next("GAP"))["reason"] == "epoch"
        assert (await ann.publish("ephemeral:x", "two"))["offset"] == 1


# Slow members.


async def test_a_slow_member_is_closed_and_the_others_miss_nothing(autojump_clock):
    async with open_stage(outbox_bytes=50_000, session_seconds=0.5) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        slow, _ = await stage.slow_member("slow", "lobby")
        for _ in range(30):
            await ann.publish("lobby", "x" * 10_000)
            await bob.next("MESSAGE")
        await until(lambda: stage.connections() == 2)
        await trio.sleep(1)  # it could have come back
        room = stage.cast.rooms.ref("lobby")
        assert [member.user for member in await room.ask(WhoIsIn())] == ["ann", "bob"]
        ledger = stage.services.ledger.room("lobby")
        assert ledger.copies().pending == 0
        assert ledger.left.dropped["outbox sealed"] > 0
        del slow


# Trouble of the store.


async def test_while_the_store_is_away_publishes_end_with_108_and_the_rest_works(autojump_clock):
    async with open_stage(commit_patience_seconds=10) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.publish("lobby", "before")
        await bob.next("MESSAGE")
        stage.store.away = True
        started = trio.current_time()
        reply = await ann.publish("lobby", "lost", key="k")
        assert (reply["code"], reply["temporary"]) == (108, True)
        assert 5 < trio.current_time() - started < 12
        await ann.send(type="TYPING", room="lobby")
        await bob.next("TYPING")
        assert len((await bob.ask("HISTORY", room="lobby", limit=5))["messages"]) == 1
        stage.store.away = False
        assert (await ann.publish("lobby", "lost", key="k"))["type"] == "ACK"
        assert (await bob.next("MESSAGE"))["content"] == "lost"


async def test_a_room_opens_again_by_itself_when_the_store_is_back(autojump_clock):
    store = FakeStore()
    async with open_stage(store) as stage:
        store.away = True
        ann = await stage.client("ann")
        assert (await ann.ask("JOIN", room="lobby"))["code"] == 108
        store.away = False
        await ann.joined("lobby")


async def test_a_commit_nobody_knows_about_is_stored_once(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stage.store.commit_then_fail = 2
        ack = await ann.publish("lobby", "hello")
        assert ack["type"] == "ACK"
        assert (await bob.next("MESSAGE"))["offset"] == 1
        assert await nothing_comes(bob, "MESSAGE")
        assert len(stage.store.rows["lobby"]) == 1


async def test_what_was_stored_without_our_knowing_is_delivered_before_what_follows(
    autojump_clock,
):
    """The archive gave up on a commit that had succeeded: the next one shows the hole."""
    async with open_stage(commit_patience_seconds=0) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stage.store.commit_then_fail = 1
        assert (await ann.publish("lobby", "one"))["code"] == 108
        assert (await ann.publish("lobby", "two"))["offset"] == 2
        assert [m["content"] for m in await messages(bob, 2)] == ["one", "two"]


async def test_a_hole_waits_until_the_archive_can_read_again(autojump_clock):
    async with open_stage(commit_patience_seconds=0) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stage.store.commit_then_fail = 1
        stage.store.cannot_read = True
        assert (await ann.publish("lobby", "one"))["code"] == 108
        assert (await ann.publish("lobby", "two"))["offset"] == 2
        assert await nothing_comes(bob, "MESSAGE")
        stage.store.cannot_read = False
        assert [m["content"] for m in await messages(bob, 2)] == ["one", "two"]
        # Its sender was told that "one" had failed, so it hears of it; "two" was acknowledged.
        assert (await ann.next("MESSAGE"))["content"] == "one"
        assert await nothing_comes(ann, "MESSAGE")


async def test_history_put_back_under_a_living_room_is_a_gap(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.publish("lobby", "one")
        stage.store.epochs["lobby"] = "another"
        stage.store.rows.clear()
        stage.store.heads.clear()
        stage.store.hashes.clear()
        reply = await ann.publish("lobby", "two")
        assert (reply["epoch"], reply["offset"]) == ("another", 1)
        gap = await bob.next("GAP")
        assert (gap["epoch"], gap["reason"]) == ("another", "epoch")


async def test_a_backlog_that_is_full_refuses_with_108(autojump_clock):
    async with open_stage(backlog_messages=20, batches_in_flight=100, batch_messages=10) as stage:
        clients = [await stage.member(f"u{number}", "lobby") for number in range(4)]
        stage.store.gate = trio.Event()
        for client in clients:
            for number in range(20):
                await client.send(type="PUBLISH", id=100 + number, room="lobby", content="x")
        await trio.sleep(1)
        stage.store.gate.set()
        answers = []
        for client in clients:
            for _ in range(20):
                while (answer := await client.receive())["type"] not in {"ACK", "ERROR"}:
                    pass
                answers.append(answer.get("code", 0))
        assert set(answers) == {0, 108}
        assert answers.count(0) == len(stage.store.rows["lobby"])
