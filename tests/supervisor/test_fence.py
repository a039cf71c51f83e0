"""What may come out of a child, what the supervisor does with it, and who hears of it."""

import gc
import signal
import weakref

import pytest
import trio
import trio.testing

from greenroom.supervisor import (
    Actor,
    ActorStopped,
    ChildSpec,
    Exit,
    Hooks,
    InboxFull,
    IncarnationEnded,
    Phase,
    Restart,
    RestartLimit,
    StartFailed,
    SupervisorSpec,
    SupervisorStopped,
    handles,
    open_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle

PLENTY = RestartLimit(max_restarts=10_000, max_seconds=1)


def raising(make_error):
    async def child(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        raise make_error()

    return child


def logged(log, name):
    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            log.append(name)

    return ChildSpec(id=name, start=child)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_interrupts_end_the_tree_in_order_and_go_on(autojump_clock, error):
    log = []
    bad = ChildSpec(id="bad", start=raising(error))
    with pytest.RaisesGroup(error):
        async with open_supervisor([logged(log, "a"), logged(log, "b"), bad]) as sup:
            await sup.ref("bad").tell("go")
            try:
                await trio.sleep_forever()
            finally:
                log.append("body")
    assert log == ["body", "b", "a"]


async def test_interrupts_are_never_restarted(autojump_clock):
    lives = []

    async def child(inbox, *, task_status):
        lives.append(inbox.incarnation)
        task_status.started()
        await inbox.receive()
        raise SystemExit(3)

    with pytest.RaisesGroup(SystemExit):
        async with open_supervisor([ChildSpec(id="a", start=child)]) as sup:
            await sup.ref("a").tell("go")
            await trio.sleep_forever()
    assert lives == [1]


async def test_a_mixed_group_is_split_into_crash_and_interrupt(autojump_clock):
    crashes = []

    def mixed():
        return BaseExceptionGroup("mixed", [ProbeCrash(), KeyboardInterrupt()])

    hooks = Hooks(crashed=crashes.append)
    with pytest.RaisesGroup(pytest.RaisesGroup(KeyboardInterrupt)):
        async with open_supervisor([ChildSpec(id="a", start=raising(mixed))], hooks=hooks) as sup:
            await sup.ref("a").tell("go")
            await trio.sleep_forever()
    [report] = crashes
    assert "ProbeCrash" in report.format()
    assert "KeyboardInterrupt" not in report.format()


async def test_a_group_of_exceptions_is_a_crash_like_any_other(autojump_clock):
    def group():
        return ExceptionGroup("two", [ProbeCrash(), ValueError()])

    async with open_supervisor([ChildSpec(id="a", start=raising(group))]) as sup:
        await sup.ref("a").tell("go")
        await settle()
        assert sup.snapshot().children[0].incarnation == 2


async def test_a_foreign_cancelled_ends_the_tree_and_is_not_a_crash(autojump_clock):
    crashes = []
    with trio.CancelScope() as foreign:
        foreign.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as exc:
            cancelled = exc

    ended = trio.Event()
    with pytest.raises(BaseException) as info:  # noqa: PT011
        async with open_supervisor(
            [ChildSpec(id="a", start=raising(lambda: cancelled))],
            hooks=Hooks(crashed=crashes.append),
        ) as sup:
            await sup.ref("a").tell("go")
            try:
                await trio.sleep_forever()
            finally:
                ended.set()
    assert ended.is_set()
    assert crashes == []
    assert isinstance(info.value, trio.Cancelled) or info.group_contains(trio.Cancelled)


async def test_an_error_in_clean_up_is_reported_and_the_stop_goes_on(autojump_clock):
    crashes, log = [], []

    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise ProbeCrash

    specs = [logged(log, "a"), ChildSpec(id="b", start=child)]
    async with open_supervisor(specs, hooks=Hooks(crashed=crashes.append)):
        pass
    assert log == ["a"]
    assert [(r.path, r.phase) for r in crashes] == [("root/b", Phase.STOPPING)]


async def test_a_cancel_scope_of_the_child_s_own_is_its_own_business(autojump_clock):
    probe = Probe()

    async def child(inbox, *, task_status):
        task_status.started()
        with trio.move_on_after(1):
            await trio.sleep_forever()
        await trio.sleep_forever()

    async with open_supervisor([ChildSpec(id="a", start=child), probe.spec()]) as sup:
        await trio.sleep(5)
        assert sup.snapshot().children[0].incarnation == 1


async def test_crash_reports_hold_no_live_references(autojump_clock):
    class Precious:
        pass

    refs, reports = [], []

    async def child(inbox, *, task_status):
        precious = Precious()
        refs.append(weakref.ref(precious))
        task_status.started()
        await inbox.receive()
        raise ProbeCrash(repr(precious))

    spec = ChildSpec(id="a", start=child, restart=Restart.TEMPORARY)
    async with open_supervisor([spec], hooks=Hooks(crashed=reports.append)) as sup:
        await sup.ref("a").tell("go")
        await settle()
        gc.collect()
        assert refs[0]() is None
        assert "in child" in reports[0].format()
        assert reports[0].summary.startswith("tests") or "ProbeCrash" in reports[0].summary


async def test_a_hook_that_raises_harms_nobody(autojump_clock):
    probe = Probe()

    def bad(_):
        raise ValueError

    async with open_supervisor([probe.spec()], hooks=Hooks(started=bad, crashed=bad)):
        await settle()
        probe.crash()
        await settle()
        assert len(probe.started_at) == 2


async def test_hooks_hear_each_life_s_events_in_order(autojump_clock):
    events = []
    hooks = Hooks(
        started=lambda e: events.append(("started", e.incarnation)),
        restarted=lambda e: events.append(("restarted", e.incarnation)),
        crashed=lambda r: events.append(("crashed", r.incarnation)),
        stopped=lambda e: events.append(("stopped", e.incarnation)),
    )
    probe = Probe()
    async with open_supervisor([probe.spec()], hooks=hooks):
        await settle()
        probe.crash()
        await settle()
    assert events == [
        ("started", 1),
        ("crashed", 1),
        ("started", 2),
        ("restarted", 2),
        ("stopped", 2),
    ]


async def test_ctrl_c_in_a_child_ends_the_tree_in_order(autojump_clock):
    log = []

    async def child(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_supervisor(
            [logged(log, "a"), logged(log, "b"), ChildSpec(id="c", start=child)]
        ) as sup:
            await sup.ref("c").tell("go")
            await trio.sleep_forever()
    assert log == ["b", "a"]


def test_a_hook_is_protected_from_ctrl_c():
    """The supervisor's bookkeeping runs to its end; the interrupt is delivered afterwards."""
    seen = []

    def interrupting(event):
        signal.raise_signal(signal.SIGINT)
        seen.append(event.incarnation)

    async def main():
        probe = Probe()
        async with open_supervisor([probe.spec()], hooks=Hooks(started=interrupting)):
            await trio.sleep_forever()

    with pytest.RaisesGroup(KeyboardInterrupt):
        trio.run(main)
    assert seen == [1]


def test_a_second_ctrl_c_ends_the_graces_at_once():
    ended = []

    async def slow_to_stop(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                try:
                    await trio.sleep(1000)
                finally:
                    ended.append((inbox.ref.id, trio.current_time()))

    @trio.lowlevel.enable_ki_protection  # so that both reach the main task, as from a terminal
    async def interrupt():
        for _ in range(2):
            await trio.sleep(5)
            signal.raise_signal(signal.SIGINT)

    async def main():
        async with trio.open_nursery() as nursery:
            with trio.CancelScope(shield=True):
                nursery.start_soon(interrupt)
                specs = [ChildSpec(id=i, start=slow_to_stop, shutdown_seconds=2000) for i in "ab"]
                async with open_supervisor(specs):
                    await trio.sleep_forever()

    clock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.raises(BaseExceptionGroup) as info:
        trio.run(main, clock=clock)
    assert info.group_contains(KeyboardInterrupt)
    start = ended[0][1] - 10
    assert ended == [("b", start + 10), ("a", start + 10)]


async def test_host_cancel_reaches_a_restart_in_flight(autojump_clock):
    log = []

    async def slow_second_start(inbox, *, task_status):
        if inbox.incarnation == 2:
            try:
                await trio.sleep(100)
            finally:
                log.append("start cut short")
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    with trio.move_on_after(3):
        async with open_supervisor(
            [logged(log, "a"), ChildSpec(id="b", start=slow_second_start)]
        ) as sup:
            await sup.ref("b").tell("crash")
            await trio.sleep_forever()
    assert log == ["start cut short", "a"]
    assert trio.current_time() == 3


async def test_start_child_during_shutdown_is_refused(autojump_clock):
    errors = []

    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                try:
                    await inbox.supervisor.start_child(Probe().spec("late"))
                except SupervisorStopped as exc:
                    errors.append(exc)

    async with open_supervisor([ChildSpec(id="a", start=child)]):
        pass
    assert len(errors) == 1


async def test_an_ask_in_clean_up_to_a_sibling_already_stopped_ends(autojump_clock):
    errors = []

    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                try:
                    await inbox.supervisor.ref("b").ask(object())
                except ActorStopped as exc:
                    errors.append(exc.actor)

    async with open_supervisor([ChildSpec(id="a", start=child), Probe().spec("b")]):
        pass
    assert errors == ["root/b"]


async def test_a_cancelled_start_child_leaves_nothing_behind(autojump_clock):
    ended = []

    async def slow(inbox, *, task_status):
        try:
            await trio.sleep(100)
        finally:
            ended.append(trio.current_time())

    for dynamic in (False, True):
        async with open_supervisor([SupervisorSpec(id="s", dynamic=dynamic)]) as sup:
            inner = sup.supervisor("s")
            with trio.move_on_after(2):
                await inner.start_child(ChildSpec(id="slow", start=slow))
            assert inner.which_children() == ()
    assert len(ended) == 2


@pytest.mark.parametrize("dynamic", [False, True])
async def test_a_failed_start_child_raises_the_child_s_error_and_leaves_nothing(
    autojump_clock, dynamic
):
    async def broken(inbox, *, task_status):
        raise ProbeCrash("no")

    async with open_supervisor([SupervisorSpec(id="s", dynamic=dynamic)]) as sup:
        inner = sup.supervisor("s")
        with pytest.raises(StartFailed) as info:
            await inner.start_child(ChildSpec(id="a", start=broken))
        assert isinstance(info.value.__cause__, ProbeCrash)
        assert inner.which_children() == ()
        assert inner.snapshot().recent_restarts == 0


async def test_thousands_of_crashes_leak_no_task(autojump_clock):
    async def crashes(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    spec = ChildSpec(id="a", start=crashes)
    async with open_supervisor([spec], limit=PLENTY) as sup:
        await settle()
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(3000):
            await sup.ref("a").tell("go")
        await settle()
        assert sup.snapshot().children[0].incarnation == 3001
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_stuck_former_life_cannot_take_its_successor_s_messages(autojump_clock):
    stolen, got = [], []

    async def zombie(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            with trio.CancelScope(shield=True):
                await inbox.receive()
                await trio.sleep(50)
                try:
                    stolen.append(await inbox.receive())
                except IncarnationEnded:
                    stolen.append("refused")
        else:
            await trio.sleep(100)
            async for message in inbox:
                got.append(message)  # noqa: PERF401

    spec = ChildSpec(id="z", start=zombie, shutdown_seconds=1)
    async with open_supervisor([spec]) as sup:
        await sup.ref("z").tell("hello")
        await settle()
        await sup.terminate_child("z")
        await sup.restart_child("z")
        for i in range(3):
            await sup.ref("z").tell(i)
        await trio.sleep(200)
    assert (stolen, got) == (["refused"], [0, 1, 2])


async def test_asking_a_supervisor_ends_at_once(autojump_clock):
    async with open_supervisor([SupervisorSpec(id="s")]) as sup:
        with pytest.raises(InboxFull):
            await sup.ref("s").ask(object())


async def test_clean_up_after_a_crash_is_bounded_too(autojump_clock):
    class SlowToGo(Actor):
        @handles(str)
        def crash(self, message):
            raise ProbeCrash

        async def stopping(self, exit_):
            await trio.sleep(1000)

    spec = ChildSpec(id="a", start=SlowToGo, shutdown_seconds=4)
    async with open_supervisor([spec]) as sup:
        await sup.ref("a").tell("crash")
        await trio.sleep(5)
        assert sup.snapshot().children[0].incarnation == 2


async def test_each_asker_gets_an_error_of_its_own(autojump_clock):
    errors = []

    async def asks(ref):
        try:
            await ref.ask(object())
        except ActorStopped as exc:
            errors.append(exc)

    async def never(inbox, *, task_status):
        task_status.started()
        await trio.sleep_forever()

    async with (
        open_supervisor([ChildSpec(id="a", start=never)]) as sup,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(asks, sup.ref("a"))
        await settle()
        await sup.terminate_child("a")
    assert len({id(e) for e in errors}) == 3


async def test_an_actor_may_drain_its_inbox_in_its_grace(autojump_clock):
    drained = []

    async def careful(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with inbox.grace():
                while True:
                    try:
                        drained.append(inbox.receive_nowait())
                    except trio.WouldBlock:
                        break

    async with open_supervisor([ChildSpec(id="a", start=careful)]) as sup:
        for i in range(3):
            await sup.ref("a").tell(i)
    assert drained == [0, 1, 2]


# --- what comes out while the host is cancelled: the cancel always goes on, and nothing is lost


@pytest.mark.parametrize(
    ("make_error", "raised", "reported"),
    [
        (lambda: ProbeCrash(), None, 1),
        (lambda: ExceptionGroup("two", [ProbeCrash(), ValueError()]), None, 1),
        (lambda: KeyboardInterrupt(), KeyboardInterrupt, 0),
        (lambda: BaseExceptionGroup("mixed", [ProbeCrash(), SystemExit()]), SystemExit, 1),
    ],
)
async def test_errors_in_clean_up_under_a_host_cancel(autojump_clock, make_error, raised, reported):
    crashes, log = [], []

    async def child(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise make_error()

    specs = [logged(log, "a"), ChildSpec(id="b", start=child), logged(log, "c")]
    caught = None
    with trio.CancelScope() as scope:
        try:
            async with open_supervisor(specs, hooks=Hooks(crashed=crashes.append)):
                scope.cancel()
                await trio.sleep_forever()
        except BaseExceptionGroup as group:
            interrupts, _ = group.split((KeyboardInterrupt, SystemExit))
            caught = interrupts
            if interrupts is None:
                raise
    assert log == ["c", "a"]
    assert len(crashes) == reported
    assert (caught is not None) == (raised is not None)
    if raised is None:
        assert scope.cancelled_caught
    else:
        assert caught.split(raised)[1] is None


async def test_a_child_s_nursery_that_mixes_its_cancel_with_a_crash_is_a_crash(autojump_clock):
    """One helper raises, Trio cancels the other: only the error comes out."""
    crashes = []

    async def child(inbox, *, task_status):
        async def fails():
            await inbox.receive()
            raise ProbeCrash

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fails)
            task_status.started()

    async with open_supervisor(
        [ChildSpec(id="a", start=child)], hooks=Hooks(crashed=crashes.append)
    ) as sup:
        await sup.ref("a").tell("go")
        await settle()
        assert sup.snapshot().children[0].incarnation == 2
    assert len(crashes) == 1


async def test_a_child_that_swallows_its_cancel_and_returns_counts_as_stopped(autojump_clock):
    events = []

    async def child(inbox, *, task_status):
        task_status.started()
        try:  # noqa: SIM105  what a careless child does
            await trio.sleep_forever()
        except trio.Cancelled:
            pass

    async with open_supervisor(
        [ChildSpec(id="a", start=child)], hooks=Hooks(stopped=lambda e: events.append(e.exit))
    ) as sup:
        await sup.terminate_child("a")
    assert events == [Exit.STOPPED]


async def test_a_former_life_stuck_in_receive_makes_way(autojump_clock):
    ended, got = [], []

    async def zombie(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            try:
                with trio.CancelScope(shield=True):
                    await inbox.receive()
            finally:
                ended.append(trio.current_time())
        async for message in inbox:
            got.append(message)  # noqa: PERF401

    spec = ChildSpec(id="z", start=zombie, shutdown_seconds=1)
    async with open_supervisor([spec]) as sup:
        await settle()
        await sup.terminate_child("z")
        await sup.restart_child("z")
        await sup.ref("z").tell("for the second life")
        await settle()
        assert got == ["for the second life"]
        assert len(ended) == 1
        assert sup.snapshot().children[0].incarnation == 2


async def test_an_actor_costs_one_task_and_no_monitor_beside_it(autojump_clock):
    async with open_supervisor([SupervisorSpec(id="pool", dynamic=True)]) as sup:
        pool = sup.supervisor("pool")
        before = trio.lowlevel.current_statistics().tasks_living
        for i in range(50):
            await pool.start_child(Probe().spec(str(i)))
        assert trio.lowlevel.current_statistics().tasks_living == before + 50


def test_ctrl_c_in_the_body_stops_the_children_in_order_and_goes_on():
    log = []

    async def main():
        async with open_supervisor([logged(log, "a"), logged(log, "b")]):
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.RaisesGroup(KeyboardInterrupt):
        trio.run(main)
    assert log == ["b", "a"]


async def test_a_tree_inside_an_actor_ends_in_order_with_it(autojump_clock):
    log = []

    async def host(inbox, *, task_status):
        async with open_supervisor([logged(log, "x"), logged(log, "y")], id="inner") as inner:
            task_status.started(inner)
            await inbox.receive()

    specs = [logged(log, "a"), ChildSpec(id="host", start=host), logged(log, "b")]
    async with open_supervisor(specs):
        await settle()
    assert log == ["b", "y", "x", "a"]
