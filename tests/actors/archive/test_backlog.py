"""The backlog: bounds by count and bytes, groups, barriers."""

import attrs
import trio
from support.cast_pieces import Answers, new_message

from greenroom.actors.archive.backlog import Backlog
from greenroom.actors.ports import StoreUnavailable
from greenroom.actors.services import CastLimits

LIMITS = CastLimits(backlog_messages=10, backlog_bytes=100, commit_messages=4, commit_bytes=50)


def batch(count: int, size: int = 1):
    return [new_message("x" * size) for _ in range(count)]


async def test_a_group_is_as_much_as_one_transaction_may_hold():
    backlog = Backlog(LIMITS)
    for _ in range(3):
        assert backlog.add_store(batch(2), Answers(), now=0)
    assert len(backlog.take().messages) == 4
    assert len(backlog.take().messages) == 2


async def test_one_batch_larger_than_a_transaction_still_goes():
    backlog = Backlog(LIMITS)
    assert backlog.add_store(batch(6), Answers(), now=0)
    assert len(backlog.take().messages) == 6


async def test_it_refuses_beyond_its_count_and_beyond_its_bytes():
    backlog = Backlog(LIMITS)
    assert backlog.add_store(batch(9), Answers(), now=0)
    assert not backlog.add_store(batch(2), Answers(), now=0)
    backlog.take()
    assert backlog.add_store(batch(1, size=99), Answers(), now=0)
    assert not backlog.add_store(batch(1, size=2), Answers(), now=0)


async def test_a_barrier_goes_with_the_last_group_before_it():
    backlog = Backlog(LIMITS)
    backlog.add_store(batch(3), Answers(), now=0)
    backlog.add_barrier("first")
    backlog.add_store(batch(3), Answers(), now=0)
    backlog.add_barrier("second")
    assert backlog.take().barriers == ["first"]
    assert backlog.take().barriers == ["second"]


async def test_each_hears_its_own_part_of_the_outcomes():
    backlog = Backlog(LIMITS)
    one, two = Answers(), Answers()
    backlog.add_store(batch(1), one, now=0)
    backlog.add_store(batch(2), two, now=0)
    group = backlog.take()
    group.answer(["a", "b", "c"])
    assert (one.value, two.value) == (["a"], ["b", "c"])
    group.answer(trouble := StoreUnavailable())
    assert one.error is two.error is trouble


async def test_wait_returns_only_while_something_waits(autojump_clock):
    backlog = Backlog(attrs.evolve(LIMITS))
    with trio.move_on_after(1) as scope:
        await backlog.wait()
    assert scope.cancelled_caught
    backlog.add_barrier("x")
    await backlog.wait()
    backlog.take()
    with trio.move_on_after(1) as scope:
        await backlog.wait()
    assert scope.cancelled_caught
