"""Rate limits as a client meets them: what is refused, when it would do, and who is closed."""

import json
from contextlib import suppress

import attrs
import pytest
import trio
from support.cast_stage import open_stage
from support.unlimited import NO_LIMITS
from support.wire import frame, read_all, request

from greenroom.actors.budgets import Budget
from greenroom.actors.connection.frames import close_frame
from greenroom.actors.rates import Cost, RateLimits, Scope
from greenroom.protocol import CloseCode

ROOM = "ephemeral:lobby"
FEW = Budget(rate=1, burst=3)
RATE_LIMITED = close_frame(CloseCode.RATE_LIMITED, CloseCode.RATE_LIMITED.reason)


def limits(**changes) -> RateLimits:
    """No limits but these, and those of users: twice as much."""
    return attrs.evolve(NO_LIMITS, **changes)


def refused(reply) -> bool:
    if reply["type"] == "ERROR":
        assert (reply["code"], reply["temporary"]) == (111, True)
        assert reply["retry_after_ms"] > 0
        return True
    return False


async def test_a_refused_publish_says_when_it_would_do_and_is_stored_then(autojump_clock):
    async with open_stage(rates=limits(publish=FEW)) as stage:
        ann = await stage.member("ann", "lobby")
        for number in range(3):
            assert not refused(await ann.publish("lobby", f"{number}"))
        await trio.sleep(0.25)
        reply = await ann.publish("lobby", "too many")
        assert refused(reply)
        wait = reply["retry_after_ms"]
        assert 700 <= wait <= 750  # less what the replies before took
        await trio.sleep(wait / 1000 - 0.005)
        assert refused(await ann.publish("lobby", "too early"))
        await trio.sleep(0.005)
        assert not refused(await ann.publish("lobby", "in time"))
        rows = [row.content for row in stage.store.rows["lobby"]]
        assert rows == ["0", "1", "2", "in time"]


async def test_bytes_are_counted_as_utf_8(autojump_clock):
    """A euro sign is three: of 100 bytes, 33 of them."""
    async with open_stage(rates=limits(publish_bytes=Budget(1, 100))) as stage:
        ann = await stage.member("ann", ROOM)
        assert not refused(await ann.publish(ROOM, "€" * 20))
        assert refused(await ann.publish(ROOM, "€" * 20))
        assert not refused(await ann.publish(ROOM, "€" * 13))


@pytest.mark.parametrize(
    ("budget", "kinds"),
    [("join", ["JOIN", "REFRESH"]), ("history", ["HISTORY", "PRESENCE"])],
)
async def test_commands_that_cost_alike_share_a_budget(autojump_clock, budget, kinds):
    async with open_stage(rates=limits(**{budget: Budget(1, 5)})) as stage:
        ann = await stage.member("ann", ROOM)
        fields = {
            "JOIN": {"room": "other"},
            "REFRESH": {"token": stage.token("ann")},
            "HISTORY": {"room": ROOM, "limit": 1},
            "PRESENCE": {"room": ROOM},
        }
        replies = [await ann.ask(kind, **fields[kind]) for _ in range(4) for kind in kinds]
        count = sum(reply.get("code") == 111 for reply in replies)
        assert count == (8 - 4 if budget == "join" else 8 - 5)  # the room's JOIN was one
        assert not refused(await ann.publish(ROOM, "another matter"))


async def test_typing_beyond_its_budget_is_told_without_an_id_and_reaches_nobody(autojump_clock):
    async with open_stage(rates=limits(typing=FEW)) as stage:
        ann, bob = await stage.member("ann", ROOM), await stage.member("bob", ROOM)
        for _ in range(4):
            await ann.send(type="TYPING", room=ROOM)
        error = await ann.next("ERROR")
        assert refused(error)
        assert error.get("id") is None
        await bob.next("TYPING")
        assert not refused(await ann.publish(ROOM, "x"))


async def test_heartbeats_and_leaves_are_free(autojump_clock):
    rates = limits(publish=FEW, join=FEW, history=FEW, typing=FEW)
    async with open_stage(rates=rates) as stage:
        ann = await stage.member("ann", ROOM)
        for number in range(50):
            await ann.send(type="HEARTBEAT", timestamp=number)
            assert (await ann.next("HEARTBEAT"))["echo"] == number
            assert (await ann.ask("LEAVE", room="nowhere"))["code"] == 120
        assert not refused(await ann.publish(ROOM, "x"))


async def test_who_goes_on_after_being_refused_is_closed_with_4007(autojump_clock):
    """By default after a hundred: all that may be under way when the first refusal arrives, and
    some more."""
    async with open_stage() as stage:
        ann, bob = await stage.member("ann", ROOM), await stage.member("bob", ROOM)
        for number in range(500):
            await ann.send(type="PUBLISH", id=1000 + number, room=ROOM, content="x")
            await trio.sleep(0.0001)  # as segments of their own
        assert await ann.close_code() == 4007
        assert (await stage.client("ann")) is not None  # it may come back
        snapshot = stage.services.rates.snapshot()
        (count,) = snapshot.refused.values()
        assert 100 < count < 150  # those that were not told to wait are free
        assert snapshot.closed == {Cost.PUBLISH: 1}
        heard = [await bob.next("MESSAGE") for _ in range(250)]
        assert heard[-1]["offset"] == 250
        assert not refused(await bob.publish(ROOM, "undisturbed"))


async def test_who_heeds_the_wait_is_never_closed(autojump_clock):
    """One who would speak without a pause, and waits whenever it is told to: 350 times in 7 s."""
    async with open_stage(heartbeat_seconds=10_000.0) as stage:
        ann = await stage.member("ann", ROOM)
        for _ in range(600):
            reply = await ann.publish(ROOM, "x")
            if refused(reply):
                await trio.sleep(reply["retry_after_ms"] / 1000)
                assert not refused(await ann.publish(ROOM, "x"))
        assert stage.services.rates.snapshot().closed == {}


async def flooded(stage, first: bytes, flood: bytes, times: int) -> bytes:
    """All that a client hears that only sends."""
    stream, _ = await stage.raw()
    await stream.send_all(request() + first)
    heard = b""

    async def read():
        nonlocal heard
        heard = await read_all(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for _ in range(times):
                await stream.send_all(flood)
    return heard


@pytest.mark.parametrize(
    "flood",
    [
        frame(1, b'{"type":"HEARTBEAT","timestamp":1}'),
        frame(1, b'{"type":"LEAVE","room":"x"}'),
        frame(9, b"ping"),
        frame(10),
        frame(1, b"", fin=False) + frame(0, b"", fin=False) * 400 + frame(0, b"no JSON"),
    ],
    ids=["heartbeats", "leaves", "pings", "pongs", "fragments"],
)
async def test_too_many_frames_of_whatever_kind_end_with_4007(autojump_clock, flood):
    async with open_stage(rates=limits(frame=Budget(50, 200))) as stage:
        bob = await stage.member("bob", ROOM)
        auth = {"type": "AUTH", "id": 1, "token": stage.token("ann")}
        heard = await flooded(stage, frame(1, json.dumps(auth).encode()), flood, 300)
        assert heard.endswith(RATE_LIMITED)
        assert stage.services.rates.snapshot().closed == {Cost.FRAME: 1}
        assert not refused(await bob.publish(ROOM, "undisturbed"))


async def test_frames_are_counted_before_auth_too(autojump_clock):
    async with open_stage() as stage:
        assert (await flooded(stage, b"", frame(10) * 50, 100)).endswith(RATE_LIMITED)


async def test_a_user_s_connections_share_a_budget_that_outlives_them(autojump_clock):
    async with open_stage(rates=limits(publish=FEW)) as stage:
        for expected in (3, 3, 0, 0):
            ann = await stage.member("ann", ROOM)
            replies = [await ann.publish(ROOM, "x") for _ in range(4)]
            assert sum(not refused(reply) for reply in replies) == expected
            await ann.ws.aclose()
        bob = await stage.member("bob", ROOM)
        assert not refused(await bob.publish(ROOM, "x"))


async def test_another_token_of_the_same_user_brings_nothing_back(autojump_clock):
    async with open_stage(rates=limits(publish=FEW)) as stage:
        ann = await stage.member("ann", ROOM)
        for _ in range(3):
            await ann.publish(ROOM, "x")
        assert (await ann.ask("REFRESH", token=stage.token("ann", 7200)))["type"] == "REFRESH_OK"
        assert refused(await ann.publish(ROOM, "x"))


async def test_an_address_is_charged_for_all_its_users(autojump_clock):
    rates = limits(publish=FEW, address_factor=2.0)
    async with open_stage(rates=rates) as stage:
        spoken = 0
        for number in range(5):
            neighbour = await stage.client(f"u{number}", address="192.0.2.7")
            await neighbour.joined(ROOM)
            spoken += sum([not refused(await neighbour.publish(ROOM, "x")) for _ in range(3)])
        assert spoken == 6
        elsewhere = await stage.client("bob", address="192.0.2.8")
        await elsewhere.joined(ROOM)
        assert not refused(await elsewhere.publish(ROOM, "x"))
        assert stage.services.rates.snapshot().addresses == 2


async def test_what_waited_behind_a_full_window_is_charged_when_its_turn_comes(autojump_clock):
    """The store stands still for a minute: by then all tokens have come back."""
    async with open_stage(
        rates=limits(publish=FEW), in_flight_publishes=2, heartbeat_seconds=1000.0
    ) as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        for number in range(6):
            await ann.send(type="PUBLISH", id=1000 + number, room="lobby", content="x")
        await trio.sleep(60)
        stage.store.gate.set()
        replies = [await ann.reply_to(1000 + number) for number in range(6)]
        assert [reply["type"] for reply in replies] == ["ACK"] * 6


# What a room may send.


async def test_a_room_puts_off_who_has_used_up_its_share_and_stores_none_of_it(autojump_clock):
    """20 members, 1,000 bytes: 23.6 kB each time; a share's burst is 100 kB."""
    rates = limits(room_egress=Budget(100_000, 400_000))
    async with open_stage(rates=rates) as stage:
        loud, quiet = await stage.member("loud", "lobby"), await stage.member("quiet", "lobby")
        crowd = [await stage.member(f"u{number}", "lobby") for number in range(18)]
        replies = [await loud.publish("lobby", "x" * 1000) for _ in range(10)]
        assert [refused(reply) for reply in replies] == [False] * 4 + [True] * 6
        assert not refused(await quiet.publish("lobby", "y" * 1000))
        wait = replies[-1]["retry_after_ms"] / 1000
        assert 0.5 < wait < 1.0
        await trio.sleep(wait)
        assert not refused(await loud.publish("lobby", "x" * 1000))
        assert len(stage.store.rows["lobby"]) == 6
        assert [(await crowd[0].next("MESSAGE"))["offset"] for _ in range(6)] == [*range(1, 7)]
        assert stage.services.rates.snapshot().refused == {(Cost.EGRESS, Scope.ROOM): 6}


async def test_who_goes_on_in_a_room_that_is_full_is_closed_too(autojump_clock):
    rates = limits(room_egress=Budget(1, 1), refusals=Budget(1, 5))
    async with open_stage(rates=rates) as stage:
        ann = await stage.member("ann", ROOM)
        for number in range(10):
            await ann.send(type="PUBLISH", id=1000 + number, room=ROOM, content="x")
            await trio.sleep(0.001)
        assert await ann.close_code() == 4007
        assert stage.services.rates.snapshot().closed == {Cost.EGRESS: 1}


async def test_many_who_type_do_not_drown_a_room(autojump_clock):
    """Each TYPING goes to everybody; the room's budget lets some through, and drops the others."""
    rates = limits(room_egress=Budget(1_000, 40_000))
    async with open_stage(rates=rates) as stage:
        members = [await stage.member(f"u{number}", ROOM) for number in range(20)]
        for member in members:
            await member.send(type="TYPING", room=ROOM)
        await trio.sleep(1)
        told = 0
        with trio.move_on_after(1):
            while True:
                await members[0].next("TYPING")
                told += 1
        assert 0 < told < 15


async def test_a_repetition_after_a_room_s_crash_is_not_charged_again(autojump_clock):
    """What the former incarnation had taken is stored: it must not be refused by the next."""
    rates = limits(room_egress=Budget(1, 1_000))
    async with open_stage(rates=rates) as stage:
        ann = await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        await ann.send(type="PUBLISH", id=1000, room="lobby", content="x" * 2_000)
        await trio.sleep(0.1)
        await stage.cast.rooms.ref("lobby").tell("a message that no room understands")
        await trio.sleep(1)
        stage.store.gate.set()
        assert (await ann.reply_to(1000))["type"] == "ACK"
