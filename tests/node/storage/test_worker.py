"""The commits' thread: one call after the other, and cancellation that never leaves one behind."""

import threading

import pytest
import trio
import trio.testing

from greenroom.node.storage.worker import Worker


@pytest.fixture
async def worker():
    worker = Worker("test worker")
    yield worker
    await worker.close()


async def test_all_calls_run_in_one_thread_in_the_order_they_came(worker):
    ran = []

    async def call(number):
        await worker.run(lambda _: ran.append((number, threading.current_thread().name)))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked()
    assert ran == [(number, "test worker") for number in range(5)]


async def test_what_a_call_returns_or_raises_reaches_its_caller(worker):
    assert await worker.run(lambda _: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda _: 1 // 0)
    assert await worker.run(lambda _: 43) == 43


async def test_a_caller_that_is_cancelled_already_starts_nothing(worker):
    ran = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await worker.run(ran.append)
    assert scope.cancelled_caught
    await worker.close()
    assert not ran


async def test_a_call_that_waits_for_its_turn_never_begins_once_its_caller_is_cancelled(worker):
    go_on = threading.Event()
    ran = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, lambda _: go_on.wait(5))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_all_wait, scope, go_on)
            await worker.run(ran.append)
    assert scope.cancelled_caught
    assert not ran


@pytest.mark.parametrize("looks", [False, True])
async def test_a_call_that_has_begun_ends_where_it_looks_or_not_before_its_end(worker, looks):
    """Either way it has ended when its caller goes on."""
    begun, go_on = threading.Event(), threading.Event()
    ended = []

    def work(call):
        begun.set()
        go_on.wait(5)
        if looks:
            call.check_cancelled()
        ended.append(True)

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_once_begun, scope, begun, go_on)
            await worker.run(work)
    assert scope.cancelled_caught == looks
    assert ended == [True][: not looks]


async def cancel_once_begun(scope, begun, go_on):
    await trio.to_thread.run_sync(begun.wait, 5)
    await cancel_when_all_wait(scope, go_on)


async def cancel_when_all_wait(scope, go_on):
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    go_on.set()
