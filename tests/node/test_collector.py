"""The collector's settings hold while a node runs, and only then."""

import gc
import weakref

import pytest
import trio

from greenroom.node import collector
from greenroom.node.collector import (
    COUNT_SECONDS,
    GOAL_SECONDS,
    MOST_OF_TIME,
    OFTEN_SECONDS,
    SELDOM_SECONDS,
    calm_collector,
    look_often,
    next_pause,
)


class Ring:
    """Garbage, once nobody has it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
async def calm(nursery):
    """Settings in force, and the task that goes with them."""
    with calm_collector():
        nursery.start_soon(look_often)
        yield


def test_what_is_alive_is_left_alone_while_the_block_runs():
    before = gc.get_threshold(), list(gc.callbacks)
    with calm_collector():
        assert gc.get_freeze_count() > 1_000
        assert gc.get_threshold()[0] == collector.NEW_OBJECTS
    assert (gc.get_threshold(), gc.callbacks) == before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("pause", "took", "expected"),
    [
        (0.05, GOAL_SECONDS, 0.05),
        (0.05, 2 * GOAL_SECONDS, 0.025),
        (0.05, GOAL_SECONDS / 2, 0.1),
        (OFTEN_SECONDS, 1.5 * GOAL_SECONDS, OFTEN_SECONDS),
        (SELDOM_SECONDS, GOAL_SECONDS / 2, SELDOM_SECONDS),
        (OFTEN_SECONDS, 0.0, SELDOM_SECONDS),
    ],
)
def test_looks_come_as_often_as_keeps_them_short(pause, took, expected):
    assert next_pause(pause, took=took) == pytest.approx(expected)


def test_looks_take_no_more_than_their_share_of_the_time():
    assert next_pause(OFTEN_SECONDS, took=5e-4) == pytest.approx(5e-4 / MOST_OF_TIME)
    assert next_pause(OFTEN_SECONDS, took=1.0) == SELDOM_SECONDS


async def test_garbage_that_is_new_is_freed_soon(calm, autojump_clock):
    ring = weakref.ref(Ring())
    assert ring() is not None
    await trio.sleep(2 * SELDOM_SECONDS)
    assert ring() is None


async def test_what_was_looked_at_once_is_looked_at_no_more(calm, autojump_clock):
    ring = Ring()
    await trio.sleep(2 * SELDOM_SECONDS)
    frozen = gc.get_freeze_count()
    gone = weakref.ref(ring)
    del ring
    await trio.sleep(2 * COUNT_SECONDS)
    assert gone() is not None
    assert len(gc.get_objects()) < frozen / 10


async def test_when_too_much_has_gathered_all_is_looked_at(nursery, autojump_clock):
    with calm_collector():
        nursery.start_soon(look_often, 1_000)
        ring = Ring()
        await trio.sleep(2 * SELDOM_SECONDS)
        gone = weakref.ref(ring)
        del ring
        await trio.sleep(2 * COUNT_SECONDS)
        assert gone() is None


async def test_what_ends_is_freed_though_it_is_frozen(calm, autojump_clock):
    class Connection:
        pass

    connection = Connection()
    await trio.sleep(2 * SELDOM_SECONDS)
    gone = weakref.ref(connection)
    del connection
    assert gone() is None
