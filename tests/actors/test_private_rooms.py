"""Rooms that are not for everybody, over the cast: who gets in, who has to go, what limits say."""

import pytest
import trio
from support.cast_stage import open_stage

from greenroom.actors.ports import GateUnavailable
from greenroom.actors.rights.access import RoomKind, RoomPolicy
from greenroom.protocol import ALL_RIGHTS, NO_RIGHTS, Right, direct_room

JOIN, PUBLISH, READ = Right
LISTEN = frozenset({JOIN, READ})
TEAM = {"private:red": ALL_RIGHTS}
QUIET = {"heartbeat_seconds": 1000.0}


class Gate:
    """Members by room; `seconds` is how long it takes to say so."""

    def __init__(self, **rooms) -> None:
        self.rooms = {f"private:{name}": rights for name, rights in rooms.items()}
        self.seconds = 0.0
        self.error = None

    async def rights_in(self, room, user):
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.rooms.get(room, {}).get(user)


async def refresh(stage, client, rooms):
    reply = await client.ask("REFRESH", token=stage.token(client.user, rooms=rooms))
    assert reply["type"] == "REFRESH_OK"


async def test_a_private_room_opens_to_those_whose_token_says_so(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann", rooms=TEAM)
        bob = await stage.client("bob", rooms={"private:*": LISTEN})
        await ann.joined("private:red")
        await bob.joined("private:red")
        assert (await ann.publish("private:red", "hello"))["type"] == "ACK"
        assert (await bob.next("MESSAGE"))["content"] == "hello"
        assert (await bob.publish("private:red", "hello"))["code"] == 103
        assert (await bob.ask("HISTORY", room="private:red"))["type"] == "HISTORY_OK"


async def test_a_private_room_that_exists_and_one_that_does_not_answer_alike(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann", rooms=TEAM)
        await ann.joined("private:red")
        await ann.publish("private:red", "hello")
        bob = await stage.client("bob")
        answers, times = [], []
        for room in ("private:red", "private:blue"):
            for kind, fields in (
                ("JOIN", {}),
                ("JOIN", {"since": {"epoch": "e", "offset": 0}}),
                ("HISTORY", {}),
                ("PRESENCE", {}),
                ("PUBLISH", {"content": "x"}),
                ("LEAVE", {}),
            ):
                started = trio.current_time()
                answers.append({**await bob.ask(kind, room=room, **fields), "id": 0})
                times.append(trio.current_time() - started)
        assert answers[:6] == answers[6:]
        assert [answer["code"] for answer in answers[:6]] == [103, 103, 120, 120, 120, 120]
        assert times == [0] * 12
        assert stage.rooms() == ["private:red"]


async def test_who_may_publish_and_not_read_hears_the_present_and_gets_no_past(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann", rooms=TEAM)
        await ann.joined("private:red")
        bob = await stage.client("bob", rooms={"private:red": frozenset({JOIN, PUBLISH})})
        ok = await bob.joined("private:red")
        await ann.publish("private:red", "one")
        assert (await bob.next("MESSAGE"))["content"] == "one"
        assert (await bob.ask("HISTORY", room="private:red"))["code"] == 103
        await bob.ask("LEAVE", room="private:red")
        since = {"epoch": ok["epoch"], "offset": 0}
        ok = await bob.joined("private:red", since=since)
        assert (ok["recovered"], ok["messages"]) == (False, [])
        gap = await bob.next("GAP")
        assert (gap["from"], gap["to"], gap["reason"]) == (1, 1, "expired")


async def test_a_direct_room_is_for_its_two_users(autojump_clock):
    async with open_stage() as stage:
        room = direct_room("ann", "bob smith")
        ann = await stage.client("ann")
        bob = await stage.client("bob smith")
        eve = await stage.client("eve", rooms={"*": ALL_RIGHTS})
        await ann.joined(room)
        await bob.joined(room)
        await ann.publish(room, "hello")
        assert (await bob.next("MESSAGE"))["content"] == "hello"
        assert (await eve.ask("JOIN", room=room))["code"] == 103
        assert (await ann.ask("JOIN", room="direct:ann:ann"))["code"] == 103


# Another token.


async def test_a_refresh_takes_a_client_out_of_what_its_new_token_does_not_open(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann", rooms=TEAM)
        bob = await stage.client("bob", rooms=TEAM)
        for client in (ann, bob):
            await client.joined("private:red")
            await client.joined("lobby")
        await ann.next("JOINED")
        await refresh(stage, bob, {})
        removed = await bob.next("REMOVED")
        assert (removed["room"], removed["code"], removed["rejoin"]) == ("private:red", 103, False)
        assert (await ann.next("LEFT"))["user"] == "bob"
        await ann.publish("private:red", "without bob")
        assert (await bob.publish("private:red", "hello?"))["code"] == 120
        assert (await bob.publish("lobby", "still here"))["type"] == "ACK"
        assert (await bob.ask("JOIN", room="private:red"))["code"] == 103
        assert [push for push in bob.pushed if push["type"] == "MESSAGE"] == []


async def test_a_refresh_changes_what_may_be_done_in_a_room(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        await ann.joined("lobby")
        await refresh(stage, ann, {"*": LISTEN})
        assert (await ann.publish("lobby", "no"))["code"] == 103
        await ann.send(type="TYPING", room="lobby")
        assert (await ann.next("ERROR"))["code"] == 103
        await refresh(stage, ann, {})
        assert (await ann.publish("lobby", "yes"))["type"] == "ACK"


async def test_a_refresh_that_is_refused_changes_nothing(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann", rooms=TEAM)
        await ann.joined("private:red")
        reply = await ann.ask("REFRESH", token=stage.token("bob"))
        assert reply["code"] == 103
        assert (await ann.publish("private:red", "still in"))["type"] == "ACK"


# The gate.


async def test_the_gate_lets_in_whom_no_token_speaks_of(autojump_clock):
    gate = Gate(red={"ann": ALL_RIGHTS, "bob": LISTEN})
    async with open_stage(gate=gate) as stage:
        ann = await stage.member("ann", "private:red")
        bob = await stage.member("bob", "private:red")
        assert (await bob.publish("private:red", "no"))["code"] == 103
        assert (await ann.publish("private:red", "yes"))["type"] == "ACK"
        eve = await stage.client("eve")
        for room in ("private:red", "private:blue"):
            assert (await eve.ask("JOIN", room=room))["code"] == 103


async def test_a_slow_gate_stops_neither_its_client_nor_others(autojump_clock):
    gate = Gate(red={"ann": ALL_RIGHTS})
    gate.seconds = 2.0
    async with open_stage(gate=gate) as stage:
        ann = await stage.member("ann", "lobby")
        started = trio.current_time()
        await ann.send(type="JOIN", id=100, room="private:red")
        assert (await ann.ask("JOIN", room="private:red"))["code"] == 105
        assert (await ann.publish("lobby", "meanwhile"))["type"] == "ACK"
        assert trio.current_time() - started < 0.5
        assert (await ann.reply_to(100))["type"] == "JOIN_OK"
        assert trio.current_time() - started == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("error", [GateUnavailable("away"), RuntimeError("a bug")])
async def test_a_gate_in_trouble_is_108_and_no_other_room_notices(autojump_clock, error):
    gate = Gate(red={"ann": ALL_RIGHTS})
    gate.error = error
    async with open_stage(gate=gate) as stage:
        ann = await stage.member("ann", "lobby")
        reply = await ann.ask("JOIN", room="private:red")
        assert (reply["code"], reply["temporary"]) == (108, True)
        assert (await ann.publish("lobby", "still here"))["type"] == "ACK"
        gate.error = None
        await ann.joined("private:red")


async def test_a_leave_overtakes_a_join_that_waits_at_the_gate(autojump_clock):
    gate = Gate(red={"ann": ALL_RIGHTS})
    gate.seconds = 1.0
    async with open_stage(gate=gate) as stage:
        ann = await stage.client("ann")
        await ann.send(type="JOIN", id=100, room="private:red")
        await ann.send(type="LEAVE", id=101, room="private:red")
        assert (await ann.reply_to(100))["code"] == 120
        assert (await ann.reply_to(101))["type"] == "OK"
        await trio.sleep(2)
        assert stage.rooms() == []
        await ann.joined("private:red")


async def test_at_a_refresh_the_gate_is_asked_again_and_one_that_is_away_removes_nobody(
    autojump_clock,
):
    gate = Gate(red={"ann": ALL_RIGHTS, "bob": ALL_RIGHTS})
    async with open_stage(gate=gate, gate_memory_seconds=1) as stage:
        ann = await stage.member("ann", "private:red")
        bob = await stage.member("bob", "private:red")
        await trio.sleep(2)
        gate.error = GateUnavailable("away")
        await refresh(stage, bob, {})
        await trio.sleep(2)
        assert (await bob.publish("private:red", "still in"))["type"] == "ACK"
        gate.error = None
        gate.rooms["private:red"]["bob"] = NO_RIGHTS
        for client in (ann, bob):
            await refresh(stage, client, {})
        assert (await bob.next("REMOVED"))["code"] == 103
        assert (await ann.publish("private:red", "without bob"))["type"] == "ACK"


async def test_who_was_let_in_by_a_claim_goes_with_it_when_the_gate_is_away(autojump_clock):
    """Else a short token that is followed by one without the claim would open a room for ever."""
    gate = Gate(red={"bob": ALL_RIGHTS})
    gate.error = GateUnavailable("away")
    async with open_stage(gate=gate) as stage:
        bob = await stage.client("bob", rooms=TEAM)
        await bob.joined("private:red")
        await refresh(stage, bob, {})
        removed = await bob.next("REMOVED")
        assert (removed["room"], removed["code"], removed["rejoin"]) == ("private:red", 108, True)
        assert (await bob.publish("private:red", "no"))["code"] == 120
        gate.error = None
        await bob.joined("private:red")


async def test_a_doorkeeper_crash_is_not_noticed(autojump_clock):
    gate = Gate(red={"ann": ALL_RIGHTS})
    gate.seconds = 1.0
    async with open_stage(gate=gate) as stage:
        ann = await stage.client("ann")
        await ann.send(type="JOIN", id=100, room="private:red")
        await trio.sleep(0.5)
        await stage.cast.doorkeeper.tell("a message that nobody understands")
        assert (await ann.reply_to(100))["type"] == "JOIN_OK"


# Limits.


async def test_a_room_holds_so_many_users_with_any_number_of_tabs(autojump_clock):
    team = RoomPolicy(max_members=2)
    async with open_stage(rooms={"team": team}, **QUIET) as stage:
        ann = await stage.member("ann", "team:red")
        bob = await stage.member("bob", "team:red")
        await stage.member("ann", "team:red")
        eve = await stage.client("eve")
        assert (await eve.ask("JOIN", room="team:red"))["code"] == 123
        await eve.joined("team:blue")
        await bob.stream.aclose()
        await trio.sleep(10)
        assert (await eve.ask("JOIN", room="team:red"))["code"] == 123  # bob may come back
        await trio.sleep(10)
        await eve.joined("team:red")
        await ann.ask("LEAVE", room="team:red")


async def test_a_kind_of_room_has_its_own_limits(autojump_clock):
    small = RoomPolicy(max_content_bytes=10, max_rooms_per_connection=2)
    async with open_stage(rooms={"small": small}) as stage:
        ann = await stage.client("ann")
        for room in ("small:1", "small:2", "lobby"):
            await ann.joined(room)
        assert (await ann.ask("JOIN", room="small:3"))["code"] == 106
        assert (await ann.publish("small:1", "ä" * 5))["type"] == "ACK"
        assert (await ann.publish("small:1", "ä" * 5 + "x"))["code"] == 121
        assert (await ann.publish("lobby", "x" * 11))["type"] == "ACK"
        await ann.ask("LEAVE", room="small:1")
        await ann.joined("small:3")


async def test_in_a_room_for_listeners_only_those_with_a_claim_speak(autojump_clock):
    news = RoomPolicy(kind=RoomKind.PUBLIC, anyone=LISTEN)
    async with open_stage(rooms={"news": news}) as stage:
        ann = await stage.client("ann", rooms={"news:*": ALL_RIGHTS})
        bob = await stage.member("bob", "news:today")
        await ann.joined("news:today")
        assert (await bob.publish("news:today", "no"))["code"] == 103
        await ann.publish("news:today", "yes")
        assert (await bob.next("MESSAGE"))["content"] == "yes"
