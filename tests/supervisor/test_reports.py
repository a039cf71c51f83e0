"""Reporting never gets in the way of what it reports."""

import logging
import sys

import pytest
import trio

from greenroom.supervisor import ChildSpec, Hooks, Restart, open_supervisor
from greenroom.supervisor.testing import Probe, settle


@pytest.fixture
def broken_logging():
    """A filter that raises, as a user's may; the log lines themselves are wanted."""

    def broken(record):
        raise ZeroDivisionError

    logger = logging.getLogger("greenroom.supervisor")
    logger.setLevel(logging.DEBUG)  # the fixture of conftest.py puts it back
    logger.addFilter(broken)
    yield
    logger.removeFilter(broken)


async def test_a_logging_filter_that_raises_costs_the_sibling_nothing(
    autojump_clock, broken_logging
):
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a"), b.spec("b")]):
        await settle()
        a.crash()
        await settle()
        assert (len(a.started_at), b.stopped_at) == (2, [])


async def test_a_logging_filter_that_raises_holds_up_no_stop(autojump_clock, broken_logging):
    async def stubborn(inbox, *, task_status):
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    elder = Probe()
    spec = ChildSpec(id="s", start=stubborn, shutdown_seconds=1)
    async with open_supervisor([elder.spec(), spec]):
        await settle()
    assert elder.stopped_at == [2]  # the grace, and a second for what does not end with it


async def test_logging_and_a_hook_that_both_raise_change_nothing(autojump_clock, broken_logging):
    def fails(report):
        raise ZeroDivisionError

    a = Probe()
    async with open_supervisor([a.spec("a")], hooks=Hooks(crashed=fails)):
        await settle()
        a.crash()
        await settle()
        assert len(a.started_at) == 2


async def test_a_restart_predicate_and_logging_that_both_raise_mean_a_crash(
    autojump_clock, broken_logging
):
    def fails(error):
        raise ZeroDivisionError

    a = Probe()
    async with open_supervisor([a.spec("a", restart_if=fails, restart=Restart.TRANSIENT)]):
        await settle()
        a.crash()
        await settle()
        assert len(a.started_at) == 2


async def test_an_exit_asked_for_in_a_hook_ends_the_tree_in_order(autojump_clock):
    def leaves(report):
        sys.exit(3)

    a, b = Probe(), Probe()
    with pytest.RaisesGroup(SystemExit):
        async with open_supervisor([a.spec("a"), b.spec("b")], hooks=Hooks(crashed=leaves)):
            await settle()
            b.crash()
            await trio.sleep_forever()
    assert len(b.started_at) == 1


async def test_a_crash_that_cannot_be_described_is_still_a_crash(autojump_clock):
    class Indescribable(Exception):
        @property
        def __notes__(self):
            raise ZeroDivisionError

    reports = []
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a"), b.spec("b")], hooks=Hooks(crashed=reports.append)):
        await settle()
        a.crash(Indescribable())
        await settle()
        assert (len(a.started_at), b.stopped_at) == (2, [])
    # Python 3.13 describes even this one, without its notes.
    assert "Indescribable" in reports[0].summary
