"""The block around a tree: how it opens, what its end raises, and Ctrl-C at every point of both."""

import pytest
import trio

from greenroom.supervisor import ChildSpec, StartFailed, open_supervisor


def slow_to_stop(seconds):
    """A child whose clean-up takes that long."""

    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                await trio.sleep(seconds)

    return ChildSpec(id="slow", start=child)


async def test_what_the_block_raised_outlives_a_cancel_that_comes_while_the_children_stop(
    autojump_clock,
):
    """As in a nursery: the block fails at 0, the deadline passes at 1, clean-up wanted 3 s."""
    with pytest.RaisesGroup(ValueError), trio.move_on_after(1):
        async with open_supervisor([slow_to_stop(3)]):
            raise ValueError
    assert trio.current_time() == 1


async def test_the_error_of_a_start_outlives_a_cancel_that_comes_while_the_children_stop(
    autojump_clock,
):
    async def fails(inbox, *, task_status):
        raise ValueError

    with pytest.RaisesGroup(StartFailed), trio.move_on_after(1):
        async with open_supervisor([slow_to_stop(3), ChildSpec(id="b", start=fails)]):
            raise AssertionError("the block must not run")
