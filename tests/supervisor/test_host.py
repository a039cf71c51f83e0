"""The block around a tree: how it opens, what its end raises, and Ctrl-C at every point of both."""

import itertools
import signal
import sys

import pytest
import trio
import trio.testing
from support.slow_to_stop import slow_to_stop

from greenroom.supervisor import ChildSpec, StartFailed, _host, _supervisor, open_supervisor

SLOW = ChildSpec(id="slow", start=slow_to_stop, args=(3,))


async def test_what_the_block_raised_outlives_a_cancel_that_comes_while_the_children_stop(
    autojump_clock,
):
    """As in a nursery: the block fails at 0, the deadline passes at 1, clean-up wanted 3 s."""
    with pytest.RaisesGroup(ValueError), trio.move_on_after(1):
        async with open_supervisor([SLOW]):
            raise ValueError
    assert trio.current_time() == 1


async def test_the_error_of_a_start_outlives_a_cancel_that_comes_while_the_children_stop(
    autojump_clock,
):
    async def fails(inbox, *, task_status):
        raise ValueError

    with pytest.RaisesGroup(StartFailed), trio.move_on_after(1):
        async with open_supervisor([SLOW, ChildSpec(id="b", start=fails)]):
            raise AssertionError("the block must not run")


class InterruptAtLine:
    """Ctrl-C at the n-th line that runs in the modules which open and close a tree."""

    FILES = (_host.__file__, _supervisor.__file__)

    def __init__(self, n):
        self.left = n
        self.fired_at = None

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _enter_frame(self, frame, event, argument):
        return self._line if frame.f_code.co_filename in self.FILES else None

    def _line(self, frame, event, argument):
        if event == "line" and self.fired_at is None:
            self.left -= 1
            if self.left == 0:
                self.fired_at = f"{frame.f_code.co_name}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self._line


def run_interrupted(n):
    """Open and close a tree with Ctrl-C at its n-th line; return that line and what went wrong."""
    wrong = []
    running = set()

    async def child(inbox, *, task_status):
        running.add("child")
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            running.clear()

    async def rescue(tree):
        await trio.sleep(1000)  # under the autojump clock: nothing else will happen any more
        wrong.append("nobody told the tree to stop")
        tree.request_stop()

    async def main():
        make_tree = _supervisor.Tree

        def noting(*args, **settings):
            tree = make_tree(*args, **settings)
            trio.lowlevel.spawn_system_task(rescue, tree)
            return tree

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_supervisor, "Tree", noting)
            async with open_supervisor([ChildSpec(id="a", start=child)]):
                await trio.lowlevel.checkpoint()

    with InterruptAtLine(n) as interrupt:
        try:
            trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        except KeyboardInterrupt:
            pass
        except BaseExceptionGroup as group:
            interrupts, rest = group.split(KeyboardInterrupt)
            if interrupts is None or rest is not None:
                wrong.append(repr(group))
        else:
            if interrupt.fired_at is not None:
                wrong.append("the interrupt was lost")
    if running:
        wrong.append("a child was left running")
    return interrupt.fired_at, wrong


def test_ctrl_c_at_any_line_of_opening_and_closing_ends_the_tree_and_goes_on():
    wrong = {}
    for n in itertools.count(1):
        line, problems = run_interrupted(n)
        if line is None:
            break
        if problems:
            wrong[line] = problems
    assert n > 20  # it did run through both
    assert wrong == {}
