"""Administration, dynamic supervisors: each wrong use its own error."""

import math

import pytest
import trio
from support.slow_to_stop import slow_to_stop

from greenroom.supervisor import (
    AlreadyPresent,
    AlreadyStarted,
    AutoShutdown,
    Backoff,
    ChildCounts,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    ChildState,
    Ignore,
    NoSuchChild,
    NotASupervisor,
    NotForDynamic,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    SpecError,
    StartFailed,
    Strategy,
    SupervisorBusy,
    SupervisorSpec,
    SupervisorStopped,
    TooManyChildren,
    check_specs,
    open_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle

SLOWLY = Backoff(initial_seconds=100, jitter=0)
POOL = SupervisorSpec(id="pool", dynamic=True)


async def test_start_child_returns_the_ref_once_started_was_reported(autojump_clock):
    async def slow(inbox, *, task_status):
        await trio.sleep(2)
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor() as sup:
        ref = await sup.start_child(ChildSpec(id="a", start=slow))
        assert trio.current_time() == 2
        assert ref is sup.ref("a")
        assert ref.path == "root/a"


async def test_the_value_given_to_started_comes_back(autojump_clock):
    async def child(inbox, *, task_status):
        task_status.started({"port": 8000})
        await trio.sleep_forever()

    async with open_supervisor() as sup:
        _, value = await sup.start_child_with_value(ChildSpec(id="a", start=child))
        assert value == {"port": 8000}


async def test_starting_a_running_id_is_already_started(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        with pytest.raises(AlreadyStarted) as info:
            await sup.start_child(Probe().spec("a"))
        assert (info.value.supervisor, info.value.child) == ("root", "a")


async def test_starting_a_stopped_id_is_already_present(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        await sup.terminate_child("a")
        with pytest.raises(AlreadyPresent):
            await sup.start_child(Probe().spec("a"))


async def test_a_terminated_child_stays_listed_and_can_be_restarted_under_the_same_ref(
    autojump_clock,
):
    probe = Probe()
    async with open_supervisor([probe.spec("a")]) as sup:
        ref = sup.ref("a")
        await sup.terminate_child("a")
        assert sup.which_children()[0].state is ChildState.STOPPED
        assert await sup.restart_child("a") is ref
        await ref.tell("again")
        assert await probe.next() == "again"


async def test_terminating_a_stopped_child_is_no_error(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        await sup.terminate_child("a")
        await sup.terminate_child("a")


async def test_terminate_stops_a_permanent_child_for_good(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a")]) as sup:
        await sup.terminate_child("a")
        await trio.sleep(10)
    assert len(probe.started_at) == 1


async def test_a_terminated_temporary_child_is_forgotten(autojump_clock):
    async with open_supervisor([Probe().spec("a", restart=Restart.TEMPORARY)]) as sup:
        await sup.terminate_child("a")
        assert sup.which_children() == ()


async def test_restart_and_delete_of_a_running_child_are_refused(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        with pytest.raises(ChildRunning):
            await sup.restart_child("a")
        with pytest.raises(ChildRunning):
            await sup.delete_child("a")


async def test_restart_and_delete_of_a_restarting_child_are_refused(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a", backoff=SLOWLY)]) as sup:
        await settle()
        probe.crash()
        await settle()
        with pytest.raises(ChildRestarting):
            await sup.restart_child("a")
        with pytest.raises(ChildRestarting):
            await sup.delete_child("a")


async def test_a_deleted_child_is_gone_and_its_id_free(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        await sup.terminate_child("a")
        await sup.delete_child("a")
        assert sup.find("a") is None
        await sup.start_child(Probe().spec("a"))


async def test_unknown_ids_are_no_such_child(autojump_clock):
    async with open_supervisor() as sup:
        for call in (sup.terminate_child, sup.restart_child, sup.delete_child):
            with pytest.raises(NoSuchChild):
                await call("nobody")
        for look in (sup.ref, sup.get_spec, sup.supervisor):
            with pytest.raises(LookupError):
                look("nobody")
        assert sup.find("nobody") is None


async def test_a_failed_restart_by_hand_leaves_the_child_stopped(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a")]) as sup:
        await sup.terminate_child("a")
        probe.fail_starts = 1
        with pytest.raises(StartFailed):
            await sup.restart_child("a")
        assert sup.which_children()[0].state is ChildState.STOPPED
        await sup.restart_child("a")


async def test_an_actor_is_not_a_supervisor(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        with pytest.raises(NotASupervisor):
            sup.supervisor("a")


async def test_count_and_which_children_tell_specs_active_and_kinds(autojump_clock):
    async with open_supervisor([Probe().spec("a"), POOL, Probe().spec("b")]) as sup:
        await sup.terminate_child("b")
        assert sup.count_children() == ChildCounts(specs=3, active=2, supervisors=1, workers=2)
        assert [c.id for c in sup.which_children()] == ["a", "pool", "b"]
        assert [c.is_supervisor for c in sup.which_children()] == [False, True, False]
        assert sup.get_spec("pool") is POOL


async def test_children_added_later_stop_first(autojump_clock):
    a, b = Probe(), Probe()
    order = []
    async with open_supervisor([a.spec("a")]) as sup:
        await sup.start_child(b.spec("b"))
        order = [c.id for c in sup.which_children()]
    assert order == ["a", "b"]
    assert b.stopped_at <= a.stopped_at


async def test_children_added_later_do_not_come_back_with_their_supervisor(autojump_clock):
    a, b = Probe(), Probe()
    inner = SupervisorSpec(id="s", children=[a.spec("a")], limit=RestartLimit(max_restarts=0))
    async with open_supervisor([inner]) as sup:
        await sup.supervisor("s").start_child(b.spec("b"))
        a.crash()
        await settle()
        assert [c.id for c in sup.supervisor("s").which_children()] == ["a"]
        assert (len(a.started_at), len(b.started_at)) == (2, 1)


async def test_a_child_may_not_call_the_supervisor_that_waits_for_its_start(autojump_clock):
    async def eager(inbox, *, task_status):
        await inbox.supervisor.start_child(Probe().spec("other"))
        task_status.started()

    async with open_supervisor() as sup:
        with pytest.raises(StartFailed) as info:
            await sup.start_child(ChildSpec(id="a", start=eager))
        assert isinstance(info.value.__cause__, SupervisorBusy)


async def test_a_child_may_terminate_itself(autojump_clock):
    async def tired(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        await inbox.supervisor.terminate_child("a")

    async with open_supervisor([ChildSpec(id="a", start=tired)]) as sup:
        await sup.ref("a").tell("go")
        await settle()
        assert sup.which_children()[0].state is ChildState.STOPPED


async def test_a_supervisor_between_two_lives_refuses(autojump_clock):
    a = Probe()
    inner = SupervisorSpec(
        id="s", children=[a.spec("a")], limit=RestartLimit(max_restarts=0), backoff=SLOWLY
    )
    async with open_supervisor([inner]) as sup:
        await settle()
        a.crash()
        await settle()
        with pytest.raises(SupervisorStopped):
            await sup.supervisor("s").start_child(Probe().spec("b"))
        assert sup.supervisor("s").ref("a").path == "root/s/a"


async def test_terminating_a_child_in_a_group_s_backoff_lets_the_others_start(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a", backoff=SLOWLY), b.spec("b")]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        await settle()
        a.crash()
        await settle()
        assert sup.count_children().active == 0
        await sup.terminate_child("a")
        assert (len(a.started_at), len(b.started_at)) == (1, 2)


async def crash_while_a_sibling_is_terminated(sup, probe, sibling):
    """Terminate the sibling, and let the probe crash in the two seconds of its grace."""

    async def crash():
        await trio.sleep(1)
        probe.crash()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        await sup.terminate_child(sibling)
    await settle()


GROUPS = [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_crash_during_a_sibling_s_termination_costs_budget(autojump_clock, strategy):
    """OTP: its exit waits in the supervisor's mailbox, and is then a restart like any other."""
    b = Probe()
    specs = [ChildSpec(id="a", start=slow_to_stop, args=(2,)), b.spec("b")]
    none = RestartLimit(max_restarts=0)
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor(specs, strategy=strategy, limit=none) as sup:
            await crash_while_a_sibling_is_terminated(sup, b, "a")
            await trio.sleep(10)


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_crash_during_a_sibling_s_termination_restarts_the_group(autojump_clock, strategy):
    b, c = Probe(), Probe()
    specs = [ChildSpec(id="a", start=slow_to_stop, args=(2,)), b.spec("b"), c.spec("c")]
    async with open_supervisor(specs, strategy=strategy) as sup:
        await crash_while_a_sibling_is_terminated(sup, b, "a")
        assert (len(b.started_at), len(c.started_at)) == (2, 2)


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_crash_during_a_sibling_s_termination_waits_for_its_backoff(
    autojump_clock, strategy
):
    b = Probe()
    specs = [ChildSpec(id="a", start=slow_to_stop, args=(2,)), b.spec("b", backoff=SLOWLY)]
    async with open_supervisor(specs, strategy=strategy) as sup:
        await crash_while_a_sibling_is_terminated(sup, b, "a")
        assert len(b.started_at) == 1
        await trio.sleep(101)
        assert len(b.started_at) == 2


async def test_those_that_waited_start_though_one_outside_their_group_is_to_be_restarted(
    autojump_clock,
):
    """The last child's restart, under rest_for_one, would bring back none of those before it."""
    a, b, last = Probe(), Probe(), Probe()
    specs = [a.spec("a", backoff=SLOWLY), b.spec("b")]
    async with open_supervisor(specs, strategy=Strategy.REST_FOR_ONE) as sup:
        await settle()
        a.crash()
        await settle()
        await sup.start_child(last.spec("last", backoff=SLOWLY))
        last.crash()
        await settle()
        await sup.terminate_child("a")
        assert (len(b.started_at), len(last.started_at)) == (2, 1)


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_group_s_restart_covers_a_crash_of_one_that_it_brings_back(
    autojump_clock, strategy
):
    """Both crash at once and the first has a backoff: the second one's exit is not a restart too.

    OTP: supervisor.erl, shutdown/1 takes the exit of a child it terminates out of the mailbox.
    """
    a, b = Probe(), Probe()
    specs = [a.spec("a", backoff=SLOWLY), b.spec("b")]
    async with open_supervisor(specs, strategy=strategy) as sup:
        await settle()
        await crash_while_busy(sup, a, b)
        assert (len(a.started_at), len(b.started_at)) == (1, 1)
        assert sup.snapshot().recent_restarts == 1


async def crash_while_busy(sup, *probes):
    """Let the probes crash in their order while the supervisor waits for a start."""

    async def slow_to_start(inbox, *, task_status):
        for probe in probes:
            probe.crash()
            await trio.sleep(1)
        task_status.started()

    await sup.start_child(ChildSpec(id="slow", start=slow_to_start, restart=Restart.TEMPORARY))
    await settle()


async def test_a_call_that_waits_when_the_stop_begins_is_refused_before_the_stop_is_done(
    autojump_clock,
):
    """A child in its grace may be the one that waits for it: the stop must not wait for that."""
    refused_at = []

    async def calls(inbox, *, task_status):
        task_status.started()
        await trio.sleep(1)
        with inbox.grace(), pytest.raises(SupervisorStopped):
            await inbox.supervisor.terminate_child("b")
        refused_at.append(trio.current_time())

    async def never_starts(inbox, *, task_status):
        await trio.sleep_forever()

    specs = [Probe().spec("b"), ChildSpec(id="a", start=calls, shutdown_seconds=1000)]
    async with open_supervisor(specs) as sup, trio.open_nursery() as nursery:

        async def keep_busy():
            with pytest.raises(SupervisorStopped):
                await sup.start_child(ChildSpec(id="slow", start=never_starts))

        nursery.start_soon(keep_busy)
        await trio.sleep(2)
        await sup.stop()
    assert refused_at == [2]


# --- dynamic


async def test_a_dynamic_child_that_ends_for_good_is_forgotten(autojump_clock):
    probe = Probe()
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(probe.spec("a", restart=Restart.TRANSIENT))
        probe.finish()
        await settle()
        assert pool.which_children() == ()
        await pool.start_child(Probe().spec("a"))


async def test_a_dynamic_child_is_restarted_and_keeps_its_ref(autojump_clock):
    probe = Probe()
    async with open_supervisor([POOL]) as sup:
        ref = await sup.supervisor("pool").start_child(probe.spec("a"))
        probe.crash()
        await ref.tell("hello")
        assert await probe.next() == "hello"
        assert len(probe.started_at) == 2


async def test_dynamic_children_start_concurrently(autojump_clock):
    async def slow(inbox, *, task_status):
        await trio.sleep(3)
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor([POOL]) as sup:
        async with trio.open_nursery() as nursery:
            for i in range(10):
                spec = ChildSpec(id=str(i), start=slow)
                nursery.start_soon(sup.supervisor("pool").start_child, spec)
        assert trio.current_time() == 3


async def test_dynamic_children_stop_concurrently_in_one_grace(autojump_clock):
    async with open_supervisor([POOL]) as sup:
        for i in range(20):
            spec = ChildSpec(id=str(i), start=slow_to_stop, args=(4,))
            await sup.supervisor("pool").start_child(spec)
    assert trio.current_time() == 4


async def test_a_dynamic_supervisor_refuses_restart_and_delete_by_hand(autojump_clock):
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(Probe().spec("a"))
        for call in (pool.restart_child, pool.delete_child):
            with pytest.raises(NotForDynamic):
                await call("a")


async def test_max_children_counts_those_being_restarted(autojump_clock):
    probe = Probe()
    pool = SupervisorSpec(id="pool", dynamic=True, max_children=1)
    async with open_supervisor([pool]) as sup:
        handle = sup.supervisor("pool")
        await handle.start_child(probe.spec("a", backoff=SLOWLY))
        probe.crash()
        await settle()
        with pytest.raises(TooManyChildren) as info:
            await handle.start_child(Probe().spec("b"))
        assert info.value.max_children == 1
        await handle.terminate_child("a")
        await handle.start_child(Probe().spec("b"))


async def test_a_dynamic_supervisor_gives_up_when_its_limit_is_exceeded(autojump_clock):
    probes = [Probe() for _ in range(4)]
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor([POOL], limit=RestartLimit(max_restarts=0)) as sup:
            for i, probe in enumerate(probes):
                await sup.supervisor("pool").start_child(probe.spec(str(i)))
            for probe in probes:
                probe.crash()
            await trio.sleep_forever()


async def test_dynamic_failed_restarts_cost_budget(autojump_clock):
    probe = Probe()
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor([POOL], limit=RestartLimit(max_restarts=0)) as sup:
            await sup.supervisor("pool").start_child(probe.spec("a"))
            probe.fail_starts = 100
            probe.crash()
            await trio.sleep_forever()
    assert probe.fail_starts == 97


async def test_a_dynamic_child_that_ignores_is_forgotten(autojump_clock):
    async def ignores(inbox, *, task_status):
        raise Ignore

    async with open_supervisor([POOL]) as sup:
        await sup.supervisor("pool").start_child(ChildSpec(id="a", start=ignores))
        assert sup.supervisor("pool").which_children() == ()


async def test_dynamic_children_are_lost_with_their_supervisor_s_restart(autojump_clock):
    crash_all, extra = Probe(), Probe()
    async with open_supervisor([crash_all.spec("c"), POOL], strategy=Strategy.ONE_FOR_ALL) as sup:
        await sup.supervisor("pool").start_child(extra.spec("x"))
        crash_all.crash()
        await settle()
        assert sup.supervisor("pool").which_children() == ()
        assert len(extra.stopped_at) == 1


async def test_a_whole_subtree_can_be_started_and_stopped(autojump_clock):
    probe = Probe()
    async with open_supervisor() as sup:
        spec = SupervisorSpec(id="sub", children=[probe.spec("p")])
        sub = await sup.start_supervisor(spec)
        assert sub.ref("p").path == "root/sub/p"
        await sub.stop()
        assert len(probe.stopped_at) == 1


# --- specs


def test_check_specs_is_pure_and_says_what_is_wrong():
    probe = Probe()
    assert check_specs([probe.spec("a"), probe.spec("b")]) == ()
    [duplicate] = check_specs([probe.spec("a"), probe.spec("a")])
    assert "'a'" in duplicate
    permanent = probe.spec("a", significant=True)
    assert len(check_specs([permanent])) == 2
    transient = probe.spec("a", significant=True, restart=Restart.TRANSIENT)
    assert check_specs([transient], auto_shutdown=AutoShutdown.ANY) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: RestartLimit(max_restarts=-1),
        lambda: RestartLimit(max_seconds=0),
        lambda: RestartLimit(max_seconds=math.nan),
        lambda: Backoff(initial_seconds=0),
        lambda: Backoff(initial_seconds=1, jitter=2),
        lambda: Probe().spec(""),
        lambda: Probe().spec(inbox_capacity=0),
        lambda: Probe().spec(shutdown_seconds=-1),
        lambda: SupervisorSpec(children=[Probe().spec("a"), Probe().spec("a")]),
        lambda: SupervisorSpec(dynamic=True, children=[Probe().spec("a")]),
        lambda: SupervisorSpec(dynamic=True, strategy=Strategy.ONE_FOR_ALL),
        lambda: SupervisorSpec(max_children=3),
        lambda: SupervisorSpec(dynamic=True, max_children=-1),
        lambda: SupervisorSpec(strategy="one_for_all"),
        lambda: SupervisorSpec(dynamic=True, strategy="one_for_all"),
        lambda: SupervisorSpec(limit=3),
        lambda: SupervisorSpec(children=[Probe().spec("a", restart="transient")]),
    ],
)
def test_contradictions_are_refused_where_they_are_made(make):
    with pytest.raises(SpecError):
        make()


async def test_start_child_refuses_a_significant_child_the_supervisor_cannot_heed(autojump_clock):
    async with open_supervisor() as sup:
        with pytest.raises(SpecError):
            await sup.start_child(Probe().spec("a", significant=True, restart=Restart.TRANSIENT))


async def test_a_crash_right_after_start_still_returns_the_ref(autojump_clock):
    async def brief(inbox, *, task_status):
        task_status.started()
        raise ProbeCrash

    async with open_supervisor() as sup:
        ref = await sup.start_child(ChildSpec(id="a", start=brief, restart=Restart.TEMPORARY))
        assert ref.id == "a"
