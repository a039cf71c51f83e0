"""What becomes of a live connection as its token ends."""

import weakref

import attrs
import pytest
import trio
import trio.testing
from support.cast_stage import EPOCH_SECONDS, open_stage
from support.unlimited import NO_LIMITS

from greenroom.actors.rights.access import RoomKind, RoomPolicy
from greenroom.actors.rights.bearers import LOOK_SECONDS, Bearers
from greenroom.actors.rights.revocations import Revocations
from greenroom.protocol import MAX_SAFE_INTEGER, Claims, Right

HEARTBEATS_OFF = {"heartbeat_seconds": 1e9}


@attrs.define
class Wall:
    """A wall clock that can be set."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return EPOCH_SECONDS + trio.current_time() + self.ahead


async def enter(stage, seconds, *, user="ann", room="lobby"):
    """A member whose token lives so long."""
    client = await stage.open()
    reply = await client.ask("AUTH", token=stage.token(user, seconds))
    assert reply["type"] == "AUTH_OK", reply
    await client.joined(room)
    client.expires = reply["expires"]
    return client


async def test_refresh_puts_off_the_end_and_the_warning(autojump_clock):
    async with open_stage(**HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 200)
        await trio.sleep(130)
        reply = await ann.ask("REFRESH", token=stage.token("ann", 500))
        assert (reply["type"], reply["expires"]) == ("REFRESH_OK", 1_800_000_630_000)
        await ann.next("TOKEN_EXPIRING")
        assert trio.current_time() == pytest.approx(570, abs=0.01)
        assert await ann.close_code() == 4003
        assert trio.current_time() == pytest.approx(630, abs=0.01)


async def test_refresh_with_a_shorter_token_brings_the_end_forward(autojump_clock):
    async with open_stage(**HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 1_000)
        await ann.ask("REFRESH", token=stage.token("ann", 40))
        assert await ann.close_code() == 4003
        assert trio.current_time() == pytest.approx(40, abs=0.01)


@pytest.mark.parametrize(
    ("user", "seconds", "code"), [("bob", 500, 103), ("ann", -1, 109), ("ann", None, 101)]
)
async def test_a_refresh_that_is_refused_changes_nothing(autojump_clock, user, seconds, code):
    """Somebody else's token, an expired one, none."""
    async with open_stage(**HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 100)
        token = "nonsense" if seconds is None else stage.token(user, seconds)
        assert (await ann.ask("REFRESH", token=token))["code"] == code
        assert (await ann.publish("lobby", "still ann"))["type"] == "ACK"
        assert await ann.close_code() == 4003
        assert trio.current_time() == pytest.approx(100, abs=0.01)


async def test_refresh_withdraws_what_the_new_token_does_not_grant(autojump_clock):
    rooms = {"team": RoomPolicy(kind=RoomKind.PRIVATE)}
    async with open_stage(rooms=rooms, **HEARTBEATS_OFF) as stage:
        ann = await stage.client("ann", rooms={"team:red": [Right.JOIN, Right.READ]})
        await ann.joined("team:red")
        assert (await ann.ask("REFRESH", token=stage.token("ann")))["type"] == "REFRESH_OK"
        assert (await ann.next("REMOVED"))["code"] == 103


async def test_a_thousand_refreshes_leave_one_expiry(autojump_clock):
    async with open_stage(rates=NO_LIMITS, **HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 5_000)
        for number in range(1_000):
            reply = await ann.ask("REFRESH", token=stage.token("ann", 5_000 - number))
            assert reply["type"] == "REFRESH_OK"
            await trio.sleep(0.1)
        assert len(stage.services.bearers._due) < 100
        assert await ann.close_code() == 4003


async def test_a_token_may_end_later_than_anybody_thinks(autojump_clock):
    async with open_stage() as stage:
        far = MAX_SAFE_INTEGER // 1000 - EPOCH_SECONDS - 1
        ann = await enter(stage, far)
        assert ann.expires <= MAX_SAFE_INTEGER
        assert (await ann.publish("lobby", "hello"))["type"] == "ACK"


async def test_a_connection_that_waits_for_others_is_closed_in_time(autojump_clock):
    """Its actor waits 3 s for the gate, with the inbox behind it; its token ends after 1 s."""

    class Gate:
        async def rights_in(self, room, user):
            await trio.sleep_forever()

    async with open_stage(gate=Gate(), **HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 2)
        await trio.sleep_until(1)
        await ann.send(type="JOIN", id=9, room="private:x")
        assert await ann.close_code() == 4003
        assert trio.current_time() == pytest.approx(2, abs=0.01)


async def test_nothing_is_delivered_once_the_token_has_ended_however_late_the_loop_is(
    autojump_clock,
):
    """The wall clock has passed the end, and no timer has run yet."""
    wall = Wall()
    async with open_stage(wall=wall, **HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 100)
        bob = await stage.member("bob", "lobby")
        await bob.publish("lobby", "before")
        wall.ahead += 100
        assert (await bob.publish("lobby", "after"))["type"] == "ACK"
        assert (await ann.next("MESSAGE"))["content"] == "before"
        assert await ann.close_code() == 4003
        assert not [message for message in ann.pushed if message["type"] == "MESSAGE"]


async def test_a_wall_clock_that_jumps_ahead_ends_tokens_within_seconds(autojump_clock):
    wall = Wall()
    async with open_stage(wall=wall, **HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 3_600)
        wall.ahead += 3_600
        at = trio.current_time()
        assert await ann.close_code() == 4003
        assert trio.current_time() - at <= LOOK_SECONDS + 0.1


async def test_a_wall_clock_that_is_set_back_lets_a_token_live_as_long_as_it_says(autojump_clock):
    wall = Wall()
    async with open_stage(wall=wall, **HEARTBEATS_OFF) as stage:
        ann = await enter(stage, 100)
        wall.ahead -= 50
        assert await ann.close_code() == 4003
        assert trio.current_time() == pytest.approx(150, abs=0.01)


async def test_who_has_gone_is_not_kept_until_the_token_ends(autojump_clock):
    async with open_stage(**HEARTBEATS_OFF) as stage:
        for _ in range(200):
            ann = await enter(stage, 50_000)
            await ann.ws.aclose()
        await trio.sleep(20)
        assert len(stage.services.bearers) == 0
        assert len(stage.services.bearers._due) < 100


def test_who_is_gone_is_not_kept_until_its_token_would_have_ended():
    """The heap holds what is out of date as well, and a connection is 20 kB."""

    def end(_) -> None:
        raise AssertionError("it is gone")

    def nothing() -> None:
        raise AssertionError("it is gone")

    bearers = Bearers(lambda: 0.0, Revocations(keep_seconds=3600), warning_seconds=60)
    claims = Claims(subject="ann", expires_at=3600.0)
    bearers.admit("connection", claims, silence=nothing, end=end, warn=nothing)
    kept = weakref.ref(end)
    bearers.forget("connection")
    del end
    assert kept() is None
