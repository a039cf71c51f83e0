"""Users and tokens that are thrown out: who is in, who comes, sessions that wait, the store."""

import json

import pytest
import trio
import trio.testing
from support.cast_stage import open_stage, until
from support.revocation_fakes import FakeRevocations
from support.wire import close_code_in, frame, read_all, request

from greenroom.actors import registry
from greenroom.actors.ports import StoreUnavailable
from greenroom.actors.rights.warden import LOOK_SECONDS, OVERLAP_SECONDS, PATIENCE_SECONDS
from greenroom.node.identity.revoking import Revoker
from greenroom.protocol import Claims

BOOM = "a message that nobody understands"
HEARTBEATS_OFF = {"heartbeat_seconds": 10_000.0}


async def enter(stage, token, room="lobby", **auth):
    """A member of a room with this token."""
    client = await stage.open()
    reply = await client.ask("AUTH", token=token, **auth)
    assert reply["type"] == "AUTH_OK", reply
    client.session = reply["session"]
    await client.joined(room)
    return client


async def refused(stage, token, **auth):
    """The error and the close code that AUTH gets."""
    client = await stage.open()
    return (await client.ask("AUTH", token=token, **auth))["code"], await client.close_code()


async def changes(watcher, count):
    """What a member is told of the others' coming and going."""
    told = []
    while len(told) < count:
        message = await watcher.receive()
        if message["type"] in {"JOINED", "LEFT"}:
            told.append((message["type"], message["user"]))
    return told


async def test_a_revoked_user_s_connections_are_closed_and_new_ones_refused(autojump_clock):
    async with open_stage() as stage:
        token = stage.token("ann")
        tabs = [await enter(stage, token) for _ in range(2)]
        bob = await stage.member("bob", "lobby")
        revoked = await Revoker(stage.services).revoke_user("ann")
        assert (revoked.connections, revoked.stored) == (2, True)
        assert [await tab.close_code() for tab in tabs] == [4508, 4508]
        assert await refused(stage, token) == (101, 4508)
        assert (await bob.publish("lobby", "still here"))["type"] == "ACK"
        await trio.sleep(0.01)
        await enter(stage, stage.token("ann"))  # issued since


async def test_a_revoked_token_leaves_its_bearer_s_other_tokens_alone(autojump_clock):
    async with open_stage() as stage:
        one, other = (stage.token("ann", token_id=id) for id in ("one", "other"))
        out, stays = await enter(stage, one), await enter(stage, other)
        revoked = await Revoker(stage.services).revoke_token(
            "one", expires=stage.services.now() + 1
        )
        assert revoked.connections == 1
        assert await out.close_code() == 4508
        assert await refused(stage, one) == (101, 4508)
        assert (await stays.publish("lobby", "hello"))["type"] == "ACK"


async def test_nothing_is_delivered_after_the_call_has_returned(autojump_clock):
    """Frames that wait for a slow socket included: only the close frame follows."""
    async with open_stage(**HEARTBEATS_OFF) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        stream = stage.last_streams[0].send_stream
        gate, hook = trio.Event(), stream.send_all_hook

        async def after_the_gate():
            await gate.wait()
            await hook()

        stream.send_all_hook = after_the_gate
        await bob.publish("lobby", "in hand")
        await trio.testing.wait_all_tasks_blocked()
        await bob.publish("lobby", "waiting")
        await Revoker(stage.services).revoke_user("ann")
        await bob.publish("lobby", "after")
        gate.set()
        assert (await ann.next("MESSAGE"))["content"] == "in hand"
        assert await ann.close_code() == 4508
        assert ann.pushed == []


async def test_a_session_is_not_taken_up_with_a_revoked_token(autojump_clock):
    async with open_stage() as stage:
        token = stage.token("ann")
        ann = await enter(stage, token)
        await ann.stream.aclose()
        await trio.sleep(5)
        await Revoker(stage.services).revoke_user("ann")
        assert await refused(stage, token, session=ann.session) == (101, 4508)


async def test_a_refresh_with_a_revoked_token_is_refused_and_the_old_one_stays(autojump_clock):
    async with open_stage() as stage:
        ann = await enter(stage, stage.token("ann", token_id="good"))
        await Revoker(stage.services).revoke_token("bad")
        assert (await ann.ask("REFRESH", token=stage.token("ann", token_id="bad")))["code"] == 101
        assert (await ann.publish("lobby", "still in"))["type"] == "ACK"


async def test_what_counts_is_the_token_in_force(autojump_clock):
    """It came in with one token and has another one since."""
    async with open_stage() as stage:
        ann = await enter(stage, stage.token("ann", token_id="first"))
        await ann.ask("REFRESH", token=stage.token("ann", token_id="second"))
        assert (await Revoker(stage.services).revoke_token("first")).connections == 0
        assert (await ann.publish("lobby", "still in"))["type"] == "ACK"
        assert (await Revoker(stage.services).revoke_token("second")).connections == 1
        assert await ann.close_code() == 4508


@pytest.mark.parametrize("by", ["user", "token"])
async def test_a_session_that_waits_for_its_client_ends_and_is_seen_to_leave(autojump_clock, by):
    """Lost at 0 s, it would be here until 15 s; revoked at 5 s it has left at once."""
    async with open_stage() as stage:
        eve = await stage.member("eve", "lobby")
        ann = await enter(stage, stage.token("ann", token_id="t1"))
        assert await changes(eve, 1) == [("JOINED", "ann")]
        await ann.stream.aclose()
        await trio.sleep(5)
        revoker = Revoker(stage.services)
        await (revoker.revoke_user("ann") if by == "user" else revoker.revoke_token("t1"))
        at = trio.current_time()
        assert await changes(eve, 1) == [("LEFT", "ann")]
        assert trio.current_time() - at <= 0.2
        again = await stage.open()
        reply = await again.ask("AUTH", token=stage.token("ann"), session=ann.session)
        assert reply["session"] != ann.session, "nor is it taken up again"


async def test_a_connection_that_was_just_lost_does_not_come_back_either(autojump_clock):
    """Revoked between the loss of its socket and the end of its actor."""
    async with open_stage() as stage:
        eve = await stage.member("eve", "lobby")
        ann = await enter(stage, stage.token("ann"))
        assert await changes(eve, 1) == [("JOINED", "ann")]

        async def never():
            await trio.sleep_forever()

        stage.last_streams[1].send_stream.send_all_hook = never
        await ann.send(type="HEARTBEAT", timestamp=1)  # its answer is stuck: it takes 2 s to part
        await trio.testing.wait_all_tasks_blocked()
        await ann.stream.send_stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await Revoker(stage.services).revoke_user("ann")
        await trio.sleep(3)
        assert await changes(eve, 1) == [("LEFT", "ann")]
        assert await stage.sessions_of("ann") == ()


async def test_a_revoked_connection_is_seen_to_leave_at_once(autojump_clock):
    async with open_stage() as stage:
        eve = await stage.member("eve", "lobby")
        ann = await enter(stage, stage.token("ann"))
        await Revoker(stage.services).revoke_user("ann")
        at = trio.current_time()
        await ann.close_code()
        assert await changes(eve, 2) == [("JOINED", "ann"), ("LEFT", "ann")]
        assert trio.current_time() - at <= 2.5  # the close, and what rooms collect


async def test_who_is_being_let_in_is_thrown_out_too(autojump_clock, monkeypatch):
    """Its token was found good, and the registry has yet to answer."""
    held = trio.Event()

    async def open_room(_name, _cast):
        await held.wait()

    monkeypatch.setattr(registry, "open_room", open_room)
    async with open_stage() as stage:
        await stage.cast.registry.tell(registry.OpenRoom("a room that takes long"))
        client = await stage.open()
        await client.send(type="AUTH", id=1, token=stage.token("ann"))
        await trio.testing.wait_all_tasks_blocked()
        revoked = await Revoker(stage.services).revoke_user("ann")
        held.set()
        assert revoked.connections == 1
        assert await client.close_code() == 4508
        await trio.sleep(5)
        assert await stage.sessions_of("ann") == ()


@pytest.mark.parametrize("crashing", ["registry", "warden", "bearers"])
async def test_a_crash_in_the_middle_forgets_nothing(autojump_clock, crashing):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        token = stage.token("ann", 20)
        ann = await enter(stage, token)
        bob = await stage.member("bob", "lobby")
        eve = await enter(stage, stage.token("eve", 20))
        match crashing:
            case "registry":
                await stage.cast.registry.tell(BOOM)
            case "warden":
                kept.crash_next = 1
            case "bearers":
                claims = Claims(subject="carl", expires_at=stage.services.now() + 2)
                stage.services.bearers.admit(
                    object(), claims, silence=print, end=print, warn=lambda: 1 / 0
                )
                await trio.sleep(1.5)
        revoked = await Revoker(stage.services).revoke_user("ann")
        assert (revoked.connections, revoked.stored) == (1, True)
        assert await ann.close_code() == 4508
        assert await refused(stage, token) == (101, 4508)
        assert (await bob.publish("lobby", "hello"))["type"] == "ACK"
        assert [row.revocation.user for row in kept.rows] == ["ann"]
        assert await eve.close_code() == 4003
        crashed = {child.id for child in stage.sup.snapshot().children if child.restarts}
        assert crashed == {crashing}


# The store.


async def test_what_was_revoked_before_the_start_is_in_force(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        token = stage.token("ann")
        await Revoker(stage.services).revoke_user("ann")
    async with open_stage(revocations=kept) as stage:
        assert await refused(stage, token) == (101, 4508)


async def test_nobody_is_let_in_before_it_is_known_who_is_out(autojump_clock):
    kept = FakeRevocations()
    kept.away = True
    opened = []

    async def open_and_wait():
        async with open_stage(revocations=kept):
            opened.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_and_wait)
        await trio.sleep(10)
        assert opened == []
        kept.away = False
        await until(lambda: opened)


async def test_a_store_away_is_said_and_what_was_revoked_holds_and_is_stored_later(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        token = stage.token("ann")
        ann = await enter(stage, token)
        kept.away = True
        at = trio.current_time()
        revoked = await Revoker(stage.services).revoke_user("ann")
        assert not revoked.stored
        assert trio.current_time() - at == pytest.approx(PATIENCE_SECONDS, abs=0.1)
        assert await ann.close_code() == 4508
        assert await refused(stage, token) == (101, 4508)
        kept.away = False
        await until(lambda: kept.rows)
        assert [row.revocation.user for row in kept.rows] == ["ann"]


async def test_a_save_of_unknown_outcome_is_repeated(autojump_clock):
    kept = FakeRevocations()
    kept.save_then_fail = 1
    async with open_stage(revocations=kept) as stage:
        assert (await Revoker(stage.services).revoke_user("ann")).stored
    assert [row.revocation.user for row in kept.rows] == ["ann", "ann"]


async def test_a_caller_that_is_gone_leaves_a_revocation_that_is_stored(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        ann = await enter(stage, stage.token("ann"))
        with trio.CancelScope() as gone:
            gone.cancel()
            await Revoker(stage.services).revoke_user("ann")
        assert await ann.close_code() == 4508
        await until(lambda: kept.rows)


async def test_what_another_process_writes_is_noticed_within_seconds(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        token = stage.token("ann")
        ann = await enter(stage, token)
        now = stage.services.now()
        kept.put(stage.services.revocations.of_user("ann", now=now))
        assert await ann.close_code() == 4508
        assert stage.services.now() - now <= LOOK_SECONDS + 0.1
        assert await refused(stage, token) == (101, 4508)
        assert stage.services.revocations.unsaved == ()


async def test_what_another_process_writes_is_noticed_at_once_by_who_asks(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        token = stage.token("ann")
        kept.put(stage.services.revocations.of_user("ann", now=stage.services.now()))
        await stage.services.warden.catch_up(kept)
        assert await refused(stage, token) == (101, 4508)
        kept.away = True
        with pytest.raises(StoreUnavailable):
            await stage.services.warden.catch_up(kept)


async def test_a_row_that_was_under_way_while_a_later_one_was_seen_is_noticed(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        ann = await enter(stage, stage.token("ann"))
        of_user, now = stage.services.revocations.of_user, stage.services.now()
        kept.put(of_user("bob", now=now), number=7)
        await trio.sleep(LOOK_SECONDS * 3)
        kept.put(of_user("ann", now=now), number=6)
        assert await ann.close_code() == 4508


async def test_old_rows_are_not_read_again_for_ever(autojump_clock):
    kept = FakeRevocations()
    async with open_stage(revocations=kept) as stage:
        now = stage.services.now()
        kept.put(*(stage.services.revocations.of_user(f"u{n}", now=now) for n in range(2_500)))
        await trio.sleep(OVERLAP_SECONDS + 3 * LOOK_SECONDS)
        assert len(stage.services.revocations) == 2_500
        assert kept.loads[-1] == 2_500


# Many.


async def test_a_thousand_connections_of_one_user_are_closed_promptly(autojump_clock):
    """All of them are silent at once; they end some at a time, and the others go on meanwhile."""
    async with open_stage(max_connections_per_user=1_000, **HEARTBEATS_OFF) as stage:
        bob = await stage.member("bob", "lobby")
        auth = {"type": "AUTH", "id": 1, "token": stage.token("ann")}
        opening = request() + frame(0x1, json.dumps(auth).encode())
        streams = [(await stage.raw(opening))[0] for _ in range(1_000)]
        await until(lambda: len(stage.services.bearers) == 1_001)
        assert len(await stage.sessions_of("ann")) == 1_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Revoker(stage.services).revoke_user, "ann")
            await bob.send(type="HEARTBEAT", timestamp=1)
            await bob.next("HEARTBEAT")
            assert stage.connections() > 500, "bob need not wait for them"
        assert (await bob.publish("lobby", "hello"))["type"] == "ACK"
        assert {close_code_in(await read_all(stream)) for stream in streams} == {4508}
        await until(lambda: stage.connections() == 1)
        assert len(stage.services.bearers) == 1


# As many as one user may have.


async def test_one_connection_too_many_of_a_user_is_refused(autojump_clock):
    async with open_stage(max_connections_per_user=2) as stage:
        first = await enter(stage, stage.token("ann"))
        await enter(stage, stage.token("ann"))
        assert await refused(stage, stage.token("ann")) == (106, 4504)
        await enter(stage, stage.token("bob"))
        await first.ws.aclose()
        await until(lambda: stage.connections() == 2)
        await enter(stage, stage.token("ann"))


async def test_a_session_that_is_taken_up_does_not_count_twice(autojump_clock):
    """Over the old connection, which still lives; and again, when it is lost."""
    async with open_stage(max_connections_per_user=1) as stage:
        ann = await enter(stage, stage.token("ann"))
        again = await enter(stage, stage.token("ann"), session=ann.session)
        assert again.session == ann.session
        assert await ann.close_code() == 4510
        await again.stream.aclose()
        await until(lambda: stage.connections() == 0)
        third = await enter(stage, stage.token("ann"), session=ann.session)
        assert third.session == ann.session
        assert await refused(stage, stage.token("ann")) == (106, 4504)


async def test_sessions_that_wait_keep_nobody_out(autojump_clock):
    async with open_stage(max_connections_per_user=1) as stage:
        for _ in range(5):
            ann = await enter(stage, stage.token("ann"))
            await ann.stream.aclose()
            await until(lambda: stage.connections() == 0)


async def test_a_waiting_session_brings_nobody_in_beyond_the_limit(autojump_clock):
    async with open_stage(max_connections_per_user=1) as stage:
        ann = await enter(stage, stage.token("ann"))
        await ann.stream.aclose()
        await until(lambda: stage.connections() == 0)
        await enter(stage, stage.token("ann"))
        assert await refused(stage, stage.token("ann"), session=ann.session) == (106, 4504)


async def test_who_is_in_stays_in_over_a_crash_of_the_registry(autojump_clock):
    async with open_stage(max_connections_per_user=2) as stage:
        tabs = [await enter(stage, stage.token("ann")) for _ in range(2)]
        await stage.cast.registry.tell(BOOM)
        await trio.testing.wait_all_tasks_blocked()
        for tab in tabs:
            assert (await tab.publish("lobby", "hello"))["type"] == "ACK"
        assert await refused(stage, stage.token("ann")) == (106, 4504)
