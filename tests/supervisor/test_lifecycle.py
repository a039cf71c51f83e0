"""Starting, stopping, and the order of both."""

import math

import pytest
import trio

from greenroom.supervisor import (
    ChildSpec,
    Hooks,
    NotStarted,
    Restart,
    StartFailed,
    Strategy,
    SupervisorSpec,
    open_supervisor,
    serve_supervisor,
)
from greenroom.supervisor.testing import Probe, settle


class Boom(Exception):
    pass


def logged(log, name, *, start_seconds=0.0, cleanup_seconds=0.0, **settings):
    """A child that notes when it starts and when it has cleaned up."""

    async def child(inbox, *, task_status):
        await trio.sleep(start_seconds)
        log.append(("start", name, trio.current_time()))
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                await trio.sleep(cleanup_seconds)
                log.append(("stop", name, trio.current_time()))

    return ChildSpec(id=name, start=child, **settings)


async def test_children_start_in_order_each_after_the_one_before_reported_started(autojump_clock):
    log = []
    specs = [logged(log, "a", start_seconds=2), logged(log, "b", start_seconds=1)]
    async with open_supervisor(specs):
        assert log == [("start", "a", 2), ("start", "b", 3)]


async def test_children_stop_in_reverse_order_one_after_another(autojump_clock):
    log = []
    specs = [logged(log, n, cleanup_seconds=1) for n in "abc"]
    async with open_supervisor(specs):
        log.clear()
    assert log == [("stop", "c", 1), ("stop", "b", 2), ("stop", "a", 3)]


async def test_children_stop_in_reverse_order_when_the_host_is_cancelled(autojump_clock):
    log = []
    specs = [logged(log, n, cleanup_seconds=1) for n in "abc"]
    with trio.move_on_after(5) as scope:
        async with open_supervisor(specs):
            log.clear()
            await trio.sleep_forever()
    assert log == [("stop", "c", 6), ("stop", "b", 7), ("stop", "a", 8)]
    assert scope.cancelled_caught


async def test_the_body_ends_before_the_children_do(autojump_clock):
    log = []
    with trio.move_on_after(1):
        async with open_supervisor([logged(log, "a")]):
            log.clear()
            try:
                await trio.sleep_forever()
            finally:
                log.append("body")
    assert log == ["body", ("stop", "a", 1)]


async def test_an_error_of_the_body_goes_on_after_the_children_have_stopped(autojump_clock):
    log = []
    with pytest.RaisesGroup(Boom):
        async with open_supervisor([logged(log, "a", cleanup_seconds=1)]):
            log.clear()
            raise Boom
    assert log == [("stop", "a", 1)]


async def test_a_nested_supervisor_stops_its_children_in_its_own_turn(autojump_clock):
    log = []
    inner = SupervisorSpec(id="inner", children=[logged(log, "b"), logged(log, "c")])
    with trio.move_on_after(1):
        async with open_supervisor([logged(log, "a"), inner, logged(log, "d")]):
            log.clear()
            await trio.sleep_forever()
    assert [name for _, name, _ in log] == ["d", "c", "b", "a"]


async def test_a_failed_static_start_stops_what_had_started_and_raises(autojump_clock):
    log = []

    async def broken(inbox, *, task_status):
        raise Boom

    with pytest.RaisesGroup(StartFailed) as info:
        async with open_supervisor(
            [logged(log, "a"), ChildSpec(id="b", start=broken), logged(log, "c")]
        ):
            raise AssertionError("the body must not run")
    assert [entry[:2] for entry in log] == [("start", "a"), ("stop", "a")]
    failed = info.value.exceptions[0]
    assert failed.actor == "root/b"
    assert isinstance(failed.__cause__, Boom)


async def test_returning_before_started_is_a_failed_start(autojump_clock):
    async def forgets(inbox, *, task_status):
        pass

    with pytest.RaisesGroup(StartFailed) as info:
        async with open_supervisor([ChildSpec(id="a", start=forgets)]):
            pass
    assert isinstance(info.value.exceptions[0].__cause__, NotStarted)


async def test_a_plain_function_is_no_actor_and_the_error_says_so(autojump_clock):
    def plain(inbox, *, task_status):
        pass

    with pytest.RaisesGroup(StartFailed) as info:
        async with open_supervisor([ChildSpec(id="a", start=plain)]):
            pass
    assert "start has to be an async function or an Actor class: <function" in str(
        info.value.exceptions[0]
    )


async def test_the_host_cancelled_during_the_start_leaves_nothing_running(autojump_clock):
    log = []
    with trio.move_on_after(1) as scope:
        async with open_supervisor([logged(log, "a"), logged(log, "b", start_seconds=math.inf)]):
            raise AssertionError("the body must not run")
    assert scope.cancelled_caught
    assert [entry[:2] for entry in log] == [("start", "a"), ("stop", "a")]


async def test_the_grace_ends_clean_up_after_shutdown_seconds(autojump_clock):
    log = []
    async with open_supervisor([logged(log, "a", cleanup_seconds=60, shutdown_seconds=5)]):
        log.clear()
    assert log == []
    assert trio.current_time() == 5


async def test_an_infinite_grace_waits_as_long_as_clean_up_takes(autojump_clock):
    log = []
    async with open_supervisor([logged(log, "a", cleanup_seconds=600, shutdown_seconds=math.inf)]):
        log.clear()
    assert log == [("stop", "a", 600)]


async def test_no_grace_means_no_clean_up(autojump_clock):
    log = []
    async with open_supervisor([logged(log, "a", cleanup_seconds=1, shutdown_seconds=0)]):
        log.clear()
    assert log == []
    assert trio.current_time() == 0


async def test_a_child_that_waits_in_receive_ends_at_once(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec(shutdown_seconds=100)]):
        await settle()
    assert probe.stopped_at == [0]


async def test_a_child_that_shields_itself_is_reported_stuck_with_its_await_stack(autojump_clock):
    reports = []
    log = []

    async def stubborn(inbox, *, task_status):
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    specs = [logged(log, "a"), ChildSpec(id="b", start=stubborn, shutdown_seconds=3)]
    async with open_supervisor(specs, hooks=Hooks(stuck=reports.append)):
        log.clear()
    [report] = reports
    assert report.path == "root/b"
    assert any("stubborn" in line for line in report.await_stack)
    [(_, _, when)] = log
    assert when < 100  # its elder sibling did not wait for it


async def test_a_child_that_gets_its_turns_late_is_not_stuck(mock_clock):
    """Thousands that end at once make a pass of the scheduler take seconds; each needs a few."""
    reports = []
    passes = 0

    async def busy() -> None:
        while True:
            mock_clock.jump(2)
            await trio.lowlevel.checkpoint()

    async def thorough(inbox, *, task_status):
        nonlocal passes
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                for passes in range(8):  # noqa: B007 - what counts is how far it came
                    await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        spec = ChildSpec(id="a", start=thorough, shutdown_seconds=0)
        async with open_supervisor([spec], hooks=Hooks(stuck=reports.append)):
            nursery.start_soon(busy)
        nursery.cancel_scope.cancel()
    assert reports == []
    assert passes == 7


async def test_a_cancel_while_the_children_stop_ends_their_graces_at_once(autojump_clock):
    log = []
    specs = [logged(log, n, cleanup_seconds=50, shutdown_seconds=60) for n in "ab"]
    with trio.move_on_after(2) as scope:
        async with open_supervisor(specs):
            log.clear()  # a normal end of the body: the stop begins at 0
    assert scope.cancelled_caught
    assert trio.current_time() == 2


async def test_stop_from_the_body_lets_the_body_go_on(autojump_clock):
    log = []
    async with open_supervisor([logged(log, "a")]) as sup:
        log.clear()
        await sup.stop()
        assert log == [("stop", "a", 0)]
        await trio.sleep(1)
    assert trio.current_time() == 1


async def test_serve_supervisor_reports_started_after_its_children(autojump_clock, nursery):
    log = []
    spec = SupervisorSpec(id="node", children=[logged(log, "a", start_seconds=3)])
    sup = await nursery.start(serve_supervisor, spec)
    assert trio.current_time() == 3
    assert sup.ref("a").path == "node/a"
    nursery.cancel_scope.cancel()


async def test_serve_supervisor_returns_once_stopped(autojump_clock, nursery):
    ended = trio.Event()

    async def serve(task_status):
        await serve_supervisor(SupervisorSpec(), task_status=task_status)
        ended.set()

    sup = await nursery.start(serve)
    await sup.stop()
    await ended.wait()


async def test_static_refs_exist_before_the_first_child_starts(autojump_clock):
    seen = []

    async def early(inbox, *, task_status):
        seen.append(inbox.supervisor.ref("late").path)
        task_status.started()
        await trio.sleep_forever()

    late = Probe()
    async with open_supervisor([ChildSpec(id="early", start=early), late.spec("late")]):
        assert seen == ["root/late"]


async def test_context_variables_of_the_starter_are_seen_by_every_incarnation(autojump_clock):
    from contextvars import ContextVar

    who = ContextVar("who", default="nobody")
    seen = []

    async def child(inbox, *, task_status):
        seen.append(who.get())
        who.set("changed by an incarnation")
        task_status.started()
        await inbox.receive()
        raise Boom

    async with open_supervisor() as sup:
        who.set("alice")
        ref = await sup.start_child(ChildSpec(id="a", start=child))
        who.set("bob")
        await ref.tell("crash")
        await settle()
    assert seen == ["alice", "alice"]


async def test_two_trees_in_one_run_share_nothing(autojump_clock):
    first, second = Probe(), Probe()
    async with (
        open_supervisor([first.spec("a")]) as one,
        open_supervisor([second.spec("a")]) as two,
    ):
        await one.ref("a").tell(1)
        await two.ref("a").tell(2)
        await settle()
    assert (first.received, second.received) == ([1], [2])


async def test_a_temporary_child_that_returned_is_forgotten(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a", restart=Restart.TEMPORARY)]) as sup:
        await settle()
        probe.finish()
        await settle()
        assert sup.find("a") is None


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_shutdown_order_does_not_depend_on_the_strategy(autojump_clock, strategy):
    log = []
    async with open_supervisor([logged(log, n) for n in "abc"], strategy=strategy):
        log.clear()
    assert [name for _, name, _ in log] == ["c", "b", "a"]


async def test_hurry_ends_the_graces_of_a_stop_under_way(autojump_clock):
    log = []
    specs = [logged(log, n, cleanup_seconds=50, shutdown_seconds=60) for n in "ab"]
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as host:
            async with open_supervisor(specs) as sup:
                sup.hurry()  # nothing is being stopped: nothing happens

                async def operator():
                    await trio.sleep(1)
                    host.cancel()
                    await trio.sleep(1)
                    sup.hurry()

                log.clear()
                nursery.start_soon(operator)
                await trio.sleep_forever()
    assert trio.current_time() == 2
    assert log == []
