"""Whole runs against a node on in-memory streams, on a clock that jumps."""

import random

import attrs
import pytest
import trio
from support.cast_stage import FakeStore, open_stage

from greenroom.client import Target
from greenroom.node.load.plan import Plan
from greenroom.node.load.record import top_of
from greenroom.node.load.run import Load, LoadError
from greenroom.node.load.tokens import given_token, signed_tokens
from greenroom.node.load.wire import Wire
from greenroom.protocol import CODECS, JSON_CODEC, MAX_CONTENT_BYTES

NODE = Target("node.test", 80, "/ws", None)
PLAN = Plan(
    run="abc123",
    rooms=3,
    members=4,
    rate=60,
    size=100,
    ramp_seconds=1,
    seconds=2,
    prefix="ephemeral:load-",
)
DURABLE = attrs.evolve(PLAN, prefix="load-")


def load_on(stage, plan, *, codec=JSON_CODEC, token=None):
    async def connector(_target):
        stream, _ref = await stage.raw()
        return stream

    return Load(
        plan,
        target=NODE,
        codec=codec,
        token=token or signed_tokens(stage.token),
        connector=connector,
        random=random.Random(1),
    )


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
async def test_every_message_reaches_every_other_member_of_its_room_once(autojump_clock, codec):
    async with open_stage() as stage:
        result = await load_on(stage, PLAN, codec=codec).run()
    record = result.record
    assert (record.sent, record.acknowledged, record.delivered) == (120, 120, 120 * 3)
    assert record.delivery.whole().count == 360
    assert record.ack.whole().count == 120
    assert (record.joined, record.connect.count) == (12, 12)
    assert (result.missing, result.absent, record.doubled, result.lost) == (0, 0, 0, False)
    assert not record.errors
    assert not record.disconnects


async def test_messages_go_out_at_their_time_and_take_as_long_as_the_load_is_planned(
    autojump_clock,
):
    async with open_stage() as stage:
        load = load_on(stage, PLAN)
        result = await load.run()
    assert result.record.lateness.max_us <= 1
    assert result.send_seconds == pytest.approx(2)
    assert 0.9 < result.ramp_seconds < 1.1


async def test_a_node_that_stands_still_is_charged_for_the_messages_of_that_time(autojump_clock):
    """The store stops for one of two seconds: half of all messages are late, by 0.5 s on average.

    A load that waited for each answer would see one slow message of each member.
    """
    store = FakeStore()
    async with open_stage(store) as stage, trio.open_nursery() as nursery:

        async def stand_still():
            await trio.sleep(1.0 + 0.5)
            store.gate = trio.Event()
            await trio.sleep(1.0)
            store.gate.set()

        nursery.start_soon(stand_still)
        result = await load_on(stage, DURABLE).run()
    slow = sum(
        count
        for bucket, count in result.record.delivery.whole().buckets.items()
        if top_of(bucket) > 10_000
    )
    assert slow == pytest.approx(180, abs=12)
    assert 950_000 < result.record.delivery.whole().max_us < 1_050_000
    assert not result.lost


async def test_a_member_that_is_cut_off_comes_back_and_misses_nothing(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:

        async def cut():
            await trio.sleep(1.7)
            await trio.aclose_forcefully(stage.last_streams[-1])
            await trio.aclose_forcefully(stage.last_streams[-3])

        nursery.start_soon(cut)
        result = await load_on(stage, DURABLE).run()
    record = result.record
    assert record.disconnects == {"connection lost": 2}
    assert (record.reconnects, record.joined) == (2, 12)
    assert (record.acknowledged, result.missing, record.doubled) == (120, 0, 0)
    assert record.delivered == 360
    assert not result.lost


def tamper_with(monkeypatch, change):
    """Let `change` replace what members receive."""
    receive = Wire.receive

    async def tampered(self):
        return change(await receive(self))

    monkeypatch.setattr(Wire, "receive", tampered)


async def test_messages_that_never_come_are_counted_as_missing(autojump_clock, monkeypatch):
    dropped = []

    def drop_three(payloads):
        for payload in payloads:
            if b"~abc123~" in payload and len(dropped) < 3:
                dropped.append(payload)
        return [payload for payload in payloads if payload not in dropped[:3] or len(dropped) > 3]

    tamper_with(monkeypatch, lambda payloads: drop_three(payloads))
    async with open_stage() as stage:
        result = await load_on(stage, PLAN).run()
    assert result.missing >= 3
    assert result.missing == 360 - result.record.delivered
    assert result.lost


async def test_messages_that_come_twice_are_counted_as_doubled(autojump_clock, monkeypatch):
    tamper_with(monkeypatch, lambda payloads: payloads + [p for p in payloads if b"~abc" in p])
    async with open_stage() as stage:
        result = await load_on(stage, PLAN).run()
    assert (result.record.delivered, result.record.doubled) == (360, 360)
    assert result.lost


async def test_refused_messages_are_counted_by_their_error_and_owed_to_nobody(autojump_clock):
    async with open_stage(max_content_bytes=50) as stage:
        result = await load_on(stage, PLAN).run()
    assert result.record.errors == {121: 120}
    assert result.record.refused == 120
    assert not result.lost


async def test_stopping_ends_the_sending_and_awaits_what_was_sent(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        load = load_on(stage, PLAN)

        async def stop():
            await trio.sleep(2.0)
            load.stop()

        nursery.start_soon(stop)
        result = await load.run()
    assert result.interrupted
    assert 40 < result.record.sent < 70
    assert result.record.delivered == 3 * result.record.sent
    assert not result.lost


async def test_stopping_in_the_ramp_sends_nothing(autojump_clock):
    async with open_stage() as stage, trio.open_nursery() as nursery:
        load = load_on(stage, PLAN)

        async def stop():
            await trio.sleep(0.5)
            load.stop()

        nursery.start_soon(stop)
        result = await load.run()
    assert result.interrupted
    assert result.record.sent == 0


async def test_connections_without_messages_are_kept_as_long_as_planned(autojump_clock):
    """Heartbeats are answered: a member that only sits there for a minute stays."""
    async with open_stage() as stage:
        result = await load_on(stage, attrs.evolve(PLAN, rate=0, seconds=60)).run()
    assert result.send_seconds == pytest.approx(60)
    assert not result.record.disconnects
    assert not result.lost


async def test_a_token_that_is_no_good_is_one_line(autojump_clock):
    async with open_stage() as stage:
        with pytest.raises(LoadError, match=r"^node\.test does not take the token: unauthorized$"):
            await load_on(stage, PLAN, token=given_token("nonsense")).run()


async def test_a_node_that_lets_nobody_into_its_rooms_is_one_line(autojump_clock):
    async with open_stage(max_rooms_per_connection=0) as stage:
        with pytest.raises(
            LoadError, match=r"^no member got into its room \(JOIN refused \(\d+\): 12\)$"
        ):
            await load_on(stage, PLAN).run()


async def test_a_room_that_can_not_be_opened_for_now_is_tried_again(autojump_clock):
    store = FakeStore()
    store.away = True
    async with open_stage(store) as stage, trio.open_nursery() as nursery:

        async def come_back():
            await trio.sleep(20)
            store.away = False

        nursery.start_soon(come_back)
        result = await load_on(stage, DURABLE).run()
    assert set(result.record.errors) == {108}
    assert set(result.record.disconnects) == {"JOIN refused (108)"}
    assert (result.record.joined, result.record.delivered) == (12, 360)
    assert not result.lost


async def test_the_largest_message_the_protocol_has_gets_through(autojump_clock):
    plan = attrs.evolve(PLAN, rooms=1, members=2, size=MAX_CONTENT_BYTES, rate=10)
    async with open_stage() as stage:
        result = await load_on(stage, plan).run()
    assert result.record.delivered == 20
