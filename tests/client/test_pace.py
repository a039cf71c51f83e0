"""A client that is refused for its rate: it waits as it is told, and nothing is lost."""

import pytest
import trio
from support.fakenode import FakeNode, ack, connected, join_ok

from greenroom.client import CommandRefused
from greenroom.client._pace import Pace
from greenroom.protocol import (
    CloseCode,
    Error,
    ErrorCode,
    History,
    HistoryOk,
    Join,
    Publish,
)

TOO_MANY = ErrorCode.TOO_MANY_REQUESTS


class Bucket:
    """The node's side: refuses as a real one does, and closes who does not wait."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.full_at = 0.0
        self.told_until = 0.0
        self.refused = self.too_early = 0

    def refuses(self, command) -> Error | None:
        now = trio.current_time()
        full_at = max(self.full_at, now) + 1 / self.rate
        wait = full_at - now - self.burst / self.rate
        if wait <= 1e-6:
            self.full_at = full_at
            return None
        self.refused += 1
        if now < self.told_until - 1e-6:
            self.too_early += 1
        self.told_until = now + wait
        return Error.of(TOO_MANY, id=command.id, retry_after_ms=int(wait * 1000) + 1)


def limited(bucket: Bucket, taken: list):
    """A script that takes commands of one kind as the bucket lets them."""

    async def script(peer):
        await peer.welcome()
        while True:
            command = await peer.receive()
            error = bucket.refuses(command)
            if error is not None:
                await peer.send(error)
            elif isinstance(command, Publish):
                taken.append((trio.current_time(), command))
                await peer.send(ack(command, len(taken)))
            elif isinstance(command, Join):
                taken.append((trio.current_time(), command))
                await peer.send(join_ok(command, 0))

    return script


async def test_a_publish_refused_for_its_rate_is_repeated_under_its_key_when_told(autojump_clock):
    async def node(peer):
        await peer.welcome()
        first = await peer.expect(Publish)
        told_at = trio.current_time()
        await peer.send(Error.of(TOO_MANY, id=first.id, retry_after_ms=1_500))
        again = await peer.expect(Publish)
        assert trio.current_time() - told_at == pytest.approx(1.5)
        assert (again.key, again.content) == (first.key, first.content)
        await peer.send(ack(again, 1))
        await peer.idle()

    async with connected(FakeNode(node)) as client, client.join("lobby") as room:
        assert (await room.publish("x")).offset == 1


async def test_a_crowd_of_publishes_settles_at_the_rate_in_its_order(autojump_clock):
    """200 at once, of which 64 are sent at a time; the node takes 20, then 50 a second."""
    bucket, taken = Bucket(50, 20), []
    async with (
        connected(FakeNode(limited(bucket, taken))) as client,
        client.join("lobby") as room,
        trio.open_nursery() as nursery,
    ):
        started = trio.current_time()
        for number in range(200):
            nursery.start_soon(room.publish, f"{number:03}")
            await trio.lowlevel.checkpoint()
    assert sorted(command.content for _, command in taken) == [f"{n:03}" for n in range(200)]
    assert len({command.key for _, command in taken}) == 200
    seconds = taken[-1][0] - started
    assert seconds == pytest.approx(180 / 50, rel=0.25)
    # Those of the first 64 that were under way when the first refusal came, and few after that.
    assert bucket.too_early <= 64 + 20


async def test_what_was_refused_goes_out_in_its_old_order(autojump_clock):
    bucket, taken = Bucket(10, 5), []
    async with (
        connected(FakeNode(limited(bucket, taken))) as client,
        client.join("lobby") as room,
        trio.open_nursery() as nursery,
    ):
        for number in range(30):
            nursery.start_soon(room.publish, f"{number:03}")
            await trio.testing.wait_all_tasks_blocked(0.0001)
    contents = [command.content for _, command in taken]
    assert contents[:5] == [f"{n:03}" for n in range(5)]
    assert contents[5:] == sorted(contents[5:])


async def test_joins_wait_as_they_are_told(autojump_clock):
    """Thirty rooms, ten at once and five a second: all entered, none tried before its time."""
    bucket, taken = Bucket(5, 10), []

    async def node(peer):
        await peer.accept_auth()
        while True:
            join = await peer.expect(Join)
            error = bucket.refuses(join)
            if error is None:
                taken.append(join.room)
            await peer.send(error or join_ok(join, 0))

    async with connected(FakeNode(node)) as client:
        started = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def stay(name):
                async with client.join(name):
                    await trio.sleep(3600)

            for number in range(30):
                nursery.start_soon(stay, f"r{number}")
            with trio.fail_after(60):
                while len(taken) < 30:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            assert trio.current_time() - started == pytest.approx(20 / 5, rel=0.3)
            nursery.cancel_scope.cancel()
    assert len(set(taken)) == 30
    assert bucket.too_early <= 25


async def test_history_waits_as_it_is_told(autojump_clock):
    async def node(peer):
        await peer.welcome()
        first = await peer.expect(History)
        await peer.send(Error.of(TOO_MANY, id=first.id, retry_after_ms=700))
        again = await peer.expect(History)
        await peer.send(HistoryOk(id=again.id, room="lobby", epoch="e1", more=False))
        await peer.idle()

    async with connected(FakeNode(node)) as client, client.join("lobby") as room:
        started = trio.current_time()
        assert (await room.history()).messages == ()
        assert trio.current_time() - started == pytest.approx(0.7)


async def test_publishes_do_not_wait_for_questions(autojump_clock):
    async def node(peer):
        await peer.welcome()
        question = await peer.expect(History)
        await peer.send(Error.of(TOO_MANY, id=question.id, retry_after_ms=60_000))
        publish = await peer.expect(Publish)
        await peer.send(ack(publish, 1))
        await peer.idle()

    async with (
        connected(FakeNode(node)) as client,
        client.join("lobby") as room,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(room.history)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            await room.publish("x")
        nursery.cancel_scope.cancel()


async def test_a_refused_refresh_is_told_to_who_asked_for_it(autojump_clock):
    async def node(peer):
        await peer.accept_auth()
        refresh = await peer.receive()
        await peer.send(Error.of(TOO_MANY, id=refresh.id, retry_after_ms=250))
        await trio.sleep_forever()

    async with connected(FakeNode(node)) as client:
        await client.wait_connected()
        with pytest.raises(CommandRefused) as caught:
            await client.refresh()
    assert (caught.value.temporary, caught.value.retry_after_seconds) == (True, 0.25)


async def test_what_waits_for_its_rate_ends_with_its_caller(autojump_clock):
    async def node(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        await peer.send(Error.of(TOO_MANY, id=publish.id, retry_after_ms=1_000))
        later = await peer.expect(Publish)
        assert later.content == "another"
        await peer.send(ack(later, 1))
        await peer.idle()

    async with connected(FakeNode(node)) as client, client.join("lobby") as room:
        with trio.move_on_after(0.5):
            await room.publish("given up")
        assert (await room.publish("another")).offset == 1


async def test_after_4007_the_wait_goes_on_over_the_next_connection(autojump_clock):
    """The node remembers; so does the client, besides its wait between connections."""
    times = []

    async def first(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        times.append(trio.current_time())
        await peer.send(Error.of(TOO_MANY, id=publish.id, retry_after_ms=20_000))
        await peer.ws.aclose(CloseCode.RATE_LIMITED)

    async def second(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        times.append(trio.current_time())
        await peer.send(ack(publish, 1))
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        assert (await room.publish("x")).offset == 1
    assert times[1] - times[0] == pytest.approx(20)


def test_a_pace_begins_with_one_and_is_the_more_careful_the_more_often_it_was_too_many():
    pace = Pace()
    assert pace.may_send(0.0, under_way=10_000)
    for _ in range(64):
        pace.refused(0.0, 2.0, under_way=64)
    assert not pace.may_send(1.9, under_way=0)
    assert pace.may_send(2.0, under_way=0)
    assert not pace.may_send(2.0, under_way=1)
    for answers in (8, 16, 32):
        for _ in range(answers):
            assert not pace.may_send(2.0, under_way=1)
            pace.answered()
        assert pace.may_send(2.0, under_way=1)
        pace.refused(2.0, 0.0, under_way=2)
    pace.nothing_waits()
    assert pace.may_send(2.0, under_way=10_000)


def test_without_a_time_a_second_is_waited():
    pace = Pace()
    pace.refused(5.0, None, under_way=1)
    assert (pace.may_send(5.9, under_way=0), pace.may_send(6.0, under_way=0)) == (False, True)
