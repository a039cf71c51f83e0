"""The clock of a tree: what it refuses, and that one action cannot stop it."""

import math

import pytest
import trio

from greenroom.supervisor import ChildSpec, Restart, open_supervisor
from greenroom.supervisor._timers import Clock
from greenroom.supervisor.testing import Probe, settle


def setting(action):
    """A child that calls `action(inbox)` once and notes what that raised; then it waits."""
    raised = []

    async def child(inbox, *, task_status):
        try:
            action(inbox)
        except ValueError as exc:
            raised.append(str(exc))
        task_status.started()
        await inbox.receive()
        raised.append("fired")

    return raised, ChildSpec(id="a", start=child, restart=Restart.TEMPORARY)


@pytest.mark.parametrize("seconds", [math.nan, -1, -math.inf])
async def test_send_after_refuses_what_is_no_time_to_come(autojump_clock, seconds):
    raised, spec = setting(lambda inbox: inbox.send_after(seconds, "tick"))
    async with open_supervisor([spec]):
        await trio.sleep(10)
    assert raised == [f"seconds must be 0 or more, not {seconds}"]


async def test_send_after_infinity_never_fires(autojump_clock):
    raised, spec = setting(lambda inbox: inbox.send_after(math.inf, "tick"))
    async with open_supervisor([spec]):
        await trio.sleep(80_000)
    assert raised == []


@pytest.mark.parametrize("seconds", [math.nan, -1, 0, 1e-12])
async def test_send_interval_refuses_what_does_not_advance_the_clock(autojump_clock, seconds):
    await trio.sleep(80_000)
    raised, spec = setting(lambda inbox: inbox.send_interval(seconds, "tick"))
    async with open_supervisor([spec]):
        await trio.sleep(10)
    [why] = raised
    assert "seconds" in why


async def test_an_interval_that_the_clock_has_outgrown_still_lets_others_run(autojump_clock):
    """1e-9 s is a step at 1 s and none at 1e12 s, where the clock's floats are 1e-4 s apart."""
    fired = []
    async with trio.open_nursery() as nursery:
        clock = Clock(lambda error: None)
        clock.open(nursery)
        timer = clock.call_at(1.0, lambda: fired.append("tick"), interval=1e-9)
        timer.when = 1e12
        timer.fire(1e12)
        assert timer.when > 1e12
        clock.close()
        nursery.cancel_scope.cancel()


async def test_an_action_that_raises_is_told_of_and_stops_no_other_timer(autojump_clock):
    errors, fired = [], []

    def fails():
        raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        clock = Clock(errors.append)
        clock.open(nursery)
        clock.call_at(1, fails)
        clock.call_at(2, lambda: fired.append(trio.current_time()))
        await trio.sleep(3)
        clock.close()
    assert [type(e) for e in errors] == [ZeroDivisionError]
    assert fired == [2]


async def test_a_refused_timer_leaves_the_siblings_alone(autojump_clock):
    probe = Probe()

    async def careless(inbox, *, task_status):
        task_status.started()
        inbox.send_after(math.nan, "tick")

    spec = ChildSpec(id="c", start=careless, restart=Restart.TEMPORARY)
    async with open_supervisor([probe.spec(), spec]):
        await settle()
        assert probe.stopped_at == []
