"""How others hear of what happens."""

import gc

import pytest
import trio

from greenroom.client._status import BACKLOG, Broadcast


async def test_slow_subscription_loses_the_oldest():
    broadcast = Broadcast()
    subscription = broadcast.subscribe()
    for value in range(BACKLOG + 10):
        broadcast.tell(value)
    assert await anext(subscription) == 10


async def test_iteration_ends_after_what_was_told():
    broadcast = Broadcast()
    subscription = broadcast.subscribe()
    broadcast.tell(1)
    broadcast.end()
    assert [value async for value in subscription] == [1]


async def test_subscription_after_the_end_is_over_at_once():
    broadcast = Broadcast()
    broadcast.end()
    with pytest.raises(StopAsyncIteration):
        await anext(broadcast.subscribe())


async def test_cancelled_wait_loses_nothing(autojump_clock):
    broadcast = Broadcast()
    subscription = broadcast.subscribe()
    with trio.move_on_after(1):
        await anext(subscription)
    broadcast.tell("kept")
    assert await anext(subscription) == "kept"


def test_forgotten_subscription_is_dropped():
    broadcast = Broadcast()
    broadcast.subscribe()
    gc.collect()
    assert not broadcast._subscriptions
