"""Sessions over the cast: connections are lost, come back and race, and a room hears none of it."""

import gc
import random

import pytest
import trio
from support.callback_fakes import receiver
from support.cast_stage import open_stage, until
from support.unlimited import NO_LIMITS

from greenroom.actors.callbacks.events import EventKind
from greenroom.actors.connection import dialogue
from greenroom.actors.connection.identity import identify
from greenroom.actors.room.members import Members
from greenroom.actors.sessions import Sessions
from greenroom.protocol import CloseCode

BOOM = "a message that nobody understands"
QUIET = {"heartbeat_seconds": 1000.0}  # the clients here answer none


async def sign_in(stage, user, session=None):
    """A client after AUTH, and the session it got."""
    client = await stage.open()
    client.user = user
    reply = await client.ask("AUTH", token=stage.token(user), session=session)
    assert reply["type"] == "AUTH_OK", reply
    return client, reply["session"]


async def member(stage, user, session=None, room="lobby"):
    client, session = await sign_in(stage, user, session)
    await client.joined(room)
    return client, session


async def present(client, room="lobby"):
    reply = await client.ask("PRESENCE", room=room)
    return {each["user"]: each["connections"] for each in reply["members"]}


async def watcher(stage, room="lobby"):
    """Somebody who hears who comes and goes, and has heard so far."""
    client = await stage.member("eve", room)
    await trio.sleep(1)
    return client


async def heard(client):
    """Who has come and gone, as far as this one knows, since it was asked the last time."""
    await client.ask("PRESENCE", room="lobby")
    pushes, client.pushed = client.pushed, []
    return [(p["type"], p["user"]) for p in pushes if p["type"] in {"JOINED", "LEFT"}]


async def test_a_session_that_comes_back_in_time_goes_on_and_nobody_is_told(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        await trio.sleep(1)
        assert await heard(eve) == [("JOINED", "ann")]
        await ann.stream.aclose()
        await trio.sleep(10)
        assert await present(eve) == {"eve": 1, "ann": 1}
        again, same = await member(stage, "ann", session)
        await trio.sleep(60)
        assert same == session
        assert await heard(eve) == []
        await again.ws.aclose()
        await trio.sleep(1)
        assert await heard(eve) == [("LEFT", "ann")]


async def test_a_lost_session_leaves_when_its_time_is_over(autojump_clock):
    async with open_stage(**QUIET, session_seconds=15) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        await ann.stream.aclose()
        await trio.sleep(14)
        assert await heard(eve) == [("JOINED", "ann")]
        await trio.sleep(2)
        assert await heard(eve) == [("LEFT", "ann")]
        _, other = await sign_in(stage, "ann", session)
        assert other != session


@pytest.mark.parametrize(("code", "seconds"), [(1000, 1), (None, 1), (1001, 16), (4005, 16)])
async def test_a_goodbye_leaves_at_once_and_any_other_close_waits(autojump_clock, code, seconds):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        await trio.sleep(1)
        await heard(eve)
        if code is None:
            await ann.stream.send_all(b"\x88\x80\x00\x00\x00\x00")
            await trio.lowlevel.checkpoint()
            await ann.stream.aclose()
        else:
            await ann.ws.aclose(code)
        await trio.sleep(seconds - 0.8)
        before = await heard(eve)
        await trio.sleep(1)
        assert before + await heard(eve) == [("LEFT", "ann")]
        assert (before == []) is (seconds > 1)
        assert (await sign_in(stage, "ann", session))[1] != session


async def test_leaving_a_room_is_told_at_once_whatever_becomes_of_the_session(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, _ = await member(stage, "ann")
        await trio.sleep(1)
        await ann.ask("LEAVE", room="lobby")
        await trio.sleep(0.2)
        assert await heard(eve) == [("JOINED", "ann"), ("LEFT", "ann")]


async def test_the_same_session_on_a_second_connection_closes_the_first_with_4510(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        first, session = await member(stage, "ann")
        await trio.sleep(1)
        await heard(eve)
        second, same = await sign_in(stage, "ann", session)
        assert same == session
        assert await first.close_code() == 4510
        assert await present(eve) == {"eve": 1, "ann": 1}
        await second.joined("lobby")
        assert await present(eve) == {"eve": 1, "ann": 1}
        await trio.sleep(60)
        assert await heard(eve) == []
        assert (await second.publish("lobby", "hello"))["type"] == "ACK"
        assert len(await stage.sessions_of("ann")) == 1


async def test_a_half_open_connection_is_replaced_and_its_socket_closed_within_bounds(
    autojump_clock,
):
    """Its peer neither reads nor answers: 2 s for the close, 1 s for the actor."""
    async with open_stage(**QUIET, max_members_per_room=2) as stage:
        eve = await watcher(stage)
        _, session = await member(stage, "ann")
        stage.last_streams[-1].send_stream.send_all_hook = trio.sleep_forever
        await trio.sleep(1)
        await heard(eve)
        again, _ = await member(stage, "ann", session)  # a full room has a place for it: its own
        assert await present(eve) == {"eve": 1, "ann": 1}
        await trio.sleep(3.1)
        assert stage.connections() == 2
        assert await present(again) == {"eve": 1, "ann": 1}
        assert await heard(eve) == []


async def test_a_session_can_be_taken_up_while_its_last_connection_is_closing(autojump_clock):
    async with open_stage(heartbeat_seconds=5, pong_timeout_seconds=1) as stage:
        eve = await stage.member("eve", "lobby")
        _, session = await member(stage, "ann")
        stage.last_streams[-1].send_stream.send_all_hook = trio.sleep_forever
        for _ in range(10):
            await trio.sleep(0.7)
            await eve.send(type="HEARTBEAT", timestamp=1)
        assert stage.connections() == 2  # 4005 at 6 s; its close has until 8 s
        again, same = await member(stage, "ann", session)
        assert (same, await present(eve)) == (session, {"eve": 1, "ann": 1})
        for _ in range(10):
            await trio.sleep(0.7)
            for client in (eve, again):
                await client.send(type="HEARTBEAT", timestamp=1)
        assert stage.connections() == 2
        assert await heard(eve) == [("JOINED", "ann")]


async def test_of_tabs_that_race_for_one_session_the_last_has_it(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        await trio.sleep(1)
        await heard(eve)
        await ann.stream.aclose()
        tabs = [await stage.open() for _ in range(5)]
        for tab in tabs:
            await tab.send(type="AUTH", id=1, token=stage.token("ann"), session=session)
            await tab.send(type="JOIN", id=2, room="lobby")
        codes = []

        async def read(tab):
            with trio.move_on_after(10):
                codes.append(await tab.close_code())

        async with trio.open_nursery() as nursery:
            for tab in tabs:
                nursery.start_soon(read, tab)
        assert codes == [4510] * 4
        assert await present(eve) == {"eve": 1, "ann": 1}
        assert len(await stage.sessions_of("ann")) == 1
        assert await heard(eve) == []


@pytest.mark.parametrize("code", [CloseCode.SESSION_REPLACED, CloseCode.KICKED])
async def test_a_connection_that_ends_in_the_moment_it_is_let_in_ends_without_a_crash(
    autojump_clock, monkeypatch, caplog, code
):
    """The registry has answered, and another connection takes the session, or it is thrown out."""
    identities = []

    async def identify_and_end(*arguments, end, **named):
        identities.append(await identify(*arguments, end=end, **named))
        end(code)
        return identities[0]

    async with open_stage() as stage:
        monkeypatch.setattr(dialogue, "identify", identify_and_end)
        client = await stage.open()
        await client.send(type="AUTH", id=1, token=stage.token("ann"))
        assert await client.close_code() == code
        await until(lambda: not stage.connections())
        assert [line for line in caplog.messages if "crashed" in line] == []
        assert stage.services.rates.snapshot().users == 0
        # Who was thrown out for good is waited for by nobody.
        assert identities[0].session.goodbye is (code is CloseCode.KICKED)


async def test_who_claims_the_session_of_another_gets_one_of_their_own_and_no_word(autojump_clock):
    async with open_stage(**QUIET) as stage:
        ann, session = await member(stage, "ann")
        replies = []
        for claim in (None, session, "0" * 32, "nonsense"):
            client = await stage.open()
            reply = await client.ask("AUTH", token=stage.token("bob"), session=claim)
            replies.append(reply)
            assert reply["session"] not in {session, claim}
        same = [{**r, "session": "", "connection": "", "expires": 0} for r in replies]
        assert all(each == same[0] for each in same)
        assert (await ann.publish("lobby", "still here"))["type"] == "ACK"
        assert len(await stage.sessions_of("ann")) == 1


async def test_a_registry_crash_in_between_is_not_noticed_in_the_rooms(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        await trio.sleep(1)
        await heard(eve)
        await ann.stream.aclose()
        await trio.sleep(1)
        await stage.cast.registry.tell(BOOM)
        await trio.sleep(1)
        again, other = await member(stage, "ann", session)
        assert other != session  # it was lost with the registry, and nothing depends on it
        await trio.sleep(60)
        assert await present(eve) == {"eve": 1, "ann": 1}
        assert await heard(eve) == []
        await again.stream.aclose()
        await trio.sleep(16)
        assert await heard(eve) == [("LEFT", "ann")]


async def test_a_living_session_survives_a_registry_crash_and_can_be_replaced_after_it(
    autojump_clock,
):
    async with open_stage(**QUIET) as stage:
        first, session = await member(stage, "ann")
        await stage.cast.registry.tell(BOOM)
        await trio.sleep(1)
        _, same = await member(stage, "ann", session)
        assert same == session
        assert await first.close_code() == 4510


async def test_a_room_crash_while_a_session_is_away_is_not_noticed(autojump_clock):
    async with open_stage(**QUIET) as stage:
        eve = await watcher(stage)
        ann, session = await member(stage, "ann")
        bob, _ = await member(stage, "bob")
        await trio.sleep(1)
        await heard(eve)
        await ann.stream.aclose()
        await bob.stream.aclose()
        await trio.sleep(1)
        await stage.cast.rooms.ref("lobby").tell(BOOM)
        await trio.sleep(5)
        assert await present(eve) == {"eve": 1, "ann": 1, "bob": 1}
        await member(stage, "ann", session)
        await trio.sleep(20)
        assert await heard(eve) == [("LEFT", "bob")]
        assert await present(eve) == {"eve": 1, "ann": 1}


def tables(kind):
    """How much lies in every dict of every living object of one class."""
    gc.collect()
    return [
        sum(len(value) for value in vars(each).values() if isinstance(value, dict))
        for each in gc.get_objects()
        if type(each) is kind and hasattr(each, "__dict__")
    ]


async def test_a_thousand_reconnects_leave_nothing_behind(autojump_clock):
    async with open_stage(rates=NO_LIMITS, **QUIET) as stage:
        eve = await watcher(stage)
        before = trio.lowlevel.current_statistics().tasks_living
        session = None
        for number in range(1000):
            client = await stage.open()
            await client.send(type="AUTH", id=1, token=stage.token("ann"), session=session)
            await client.send(type="JOIN", id=2, room="lobby")
            session = (await client.reply_to(1))["session"]
            await client.reply_to(2)
            if number % 2:
                await client.stream.aclose()
            client.ws._reader_running = False
        assert len(await stage.sessions_of("ann")) <= 1
        await trio.sleep(60)
        assert await heard(eve) == [("JOINED", "ann"), ("LEFT", "ann")]
        await until(lambda: stage.connections() == 1)
        assert await present(eve) == {"eve": 1}
        assert trio.lowlevel.current_statistics().tasks_living <= before + 2
        assert tables(Sessions) == [3]  # eve's: by id, by connection, by user
        assert tables(Members) in ([], [3])


async def test_a_room_that_ends_before_its_last_user_could_come_back_says_that_they_left(
    autojump_clock,
):
    """Nothing was said in it, so it goes after 1 s; who hears of comings and goings hears this."""
    told = receiver(kinds=frozenset({EventKind.JOINED, EventKind.LEFT}))
    async with open_stage(**QUIET, receiver=told) as stage:
        ann, session = await member(stage, "ann")
        await trio.sleep(1)
        await ann.stream.aclose()
        await until(lambda: stage.rooms() == [])
        await member(stage, "ann", session)
        await trio.sleep(1)
        kinds = [event["type"] for event in told.sink.events("lobby")]
        assert kinds == ["joined", "left", "joined"]


class Tab:
    """A client that keeps its session over its connections, as ours do."""

    def __init__(self, stage, user):
        self.stage, self.user = stage, user
        self.client, self.session, self.joined = None, None, False

    async def connect(self):
        """Also without having noticed that the last connection is lost: that one is half-open."""
        self.client, self.session = await sign_in(self.stage, self.user, self.session)
        self.joined = False

    async def join(self):
        if self.client is not None and not self.joined:
            await self.client.joined("lobby")
            self.joined = True

    async def leave(self):
        if self.joined:
            await self.client.ask("LEAVE", room="lobby")
            self.joined = False

    async def drop(self):
        if self.client is not None:
            await self.client.stream.aclose()
            self.client, self.joined = None, False

    async def say_goodbye(self):
        if self.client is not None:
            await self.client.ws.aclose()
            self.client, self.joined = None, False


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_those_who_watch_know_who_is_here(autojump_clock, seed):
    """200 random moves of six tabs of three users, with crashes: what was told is what is."""
    rng = random.Random(seed)
    async with open_stage(**QUIET, seed=seed, empty_room_seconds=1000) as stage:
        eve = await watcher(stage)
        tabs = [Tab(stage, user) for user in ("ann", "bob", "cyd") for _ in range(2)]
        here = {"eve"}
        for _ in range(200):
            tab = rng.choice(tabs)
            moves = [tab.connect, tab.join, tab.join, tab.leave, tab.drop, tab.say_goodbye]
            await rng.choice(moves)()
            if rng.random() < 0.03:
                await stage.cast.registry.tell(BOOM)
                await trio.sleep(0.1)
            if rng.random() < 0.03:
                await stage.cast.rooms.ref("lobby").tell(BOOM)
                await trio.sleep(3)
            await trio.sleep(rng.choice([0, 0, 0.5, 5]))
            if rng.random() < 0.2:
                await trio.sleep(3)  # a half-open connection that was replaced is closed by now
                for _ in range(3):  # who runs out of time just now is told 0.1 s later
                    await trio.sleep(0.5)
                    counts = await present(eve)
                    for _, user in await heard(eve):
                        here ^= {user}
                    if here == set(counts):
                        break
                assert here == set(counts)
                live = [tab.user for tab in tabs if tab.joined]
                assert all(counts[user] == live.count(user) for user in live)
        for tab in tabs:
            await tab.drop()
        await trio.sleep(60)
        assert await present(eve) == {"eve": 1}
        await until(lambda: stage.connections() == 1)
