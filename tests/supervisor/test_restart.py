"""Restart types, strategies, the limit, backoff: OTP's supervisor rules under a mock clock."""

from random import Random

import pytest
import trio
from support.slow_to_stop import slow_to_stop

from greenroom.supervisor import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildState,
    Hooks,
    Ignore,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    Strategy,
    SupervisorSpec,
    open_supervisor,
    serve_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle

PLENTY = RestartLimit(max_restarts=1000, max_seconds=1)


def lives(*probes):
    return [len(probe.started_at) for probe in probes]


@pytest.mark.parametrize(
    ("restart", "crashes", "expected"),
    [
        (Restart.PERMANENT, True, 2),
        (Restart.PERMANENT, False, 2),
        (Restart.TRANSIENT, True, 2),
        (Restart.TRANSIENT, False, 1),
        (Restart.TEMPORARY, True, 1),
        (Restart.TEMPORARY, False, 1),
    ],
)
async def test_restart_types_decide_who_comes_back(autojump_clock, restart, crashes, expected):
    probe = Probe()
    async with open_supervisor([probe.spec(restart=restart)]):
        await settle()
        if crashes:
            probe.crash()
        else:
            probe.finish()
        await settle()
        assert lives(probe) == [expected]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, [1, 2, 1]),
        (Strategy.ONE_FOR_ALL, [2, 2, 2]),
        (Strategy.REST_FOR_ONE, [1, 2, 2]),
    ],
)
async def test_strategies_decide_who_goes_down_too(autojump_clock, strategy, expected):
    probes = [Probe() for _ in range(3)]
    specs = [p.spec(f"p{i}") for i, p in enumerate(probes)]
    async with open_supervisor(specs, strategy=strategy):
        await settle()
        probes[1].crash()
        await settle()
        assert lives(*probes) == expected


async def test_a_group_restart_stops_in_reverse_and_starts_in_order(autojump_clock):
    log = []

    def child(name):
        async def run(inbox, *, task_status):
            log.append(f"+{name}")
            task_status.started()
            try:
                if await inbox.receive() == "crash":
                    raise ProbeCrash
            finally:
                log.append(f"-{name}")

        return ChildSpec(id=name, start=run)

    specs = [child(n) for n in "abcd"]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        log.clear()
        await sup.ref("b").tell("crash")
        await settle()
        assert log == ["-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"]


async def test_a_temporary_sibling_is_stopped_by_a_group_restart_and_forgotten(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a"), b.spec("b", restart=Restart.TEMPORARY)]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        await settle()
        a.crash()
        await settle()
        assert lives(a, b) == [2, 1]
        assert sup.find("b") is None


async def test_a_sibling_stopped_by_hand_comes_back_with_its_group(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a"), b.spec("b")], strategy=Strategy.ONE_FOR_ALL) as sup:
        await sup.terminate_child("b")
        a.crash()
        await settle()
        assert lives(a, b) == [2, 2]


async def test_a_finished_transient_sibling_comes_back_with_its_group(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a"), b.spec("b", restart=Restart.TRANSIENT)]
    async with open_supervisor(specs, strategy=Strategy.REST_FOR_ONE):
        await settle()
        b.finish()
        await settle()
        a.crash()
        await settle()
        assert lives(a, b) == [2, 2]


async def test_a_temporary_crash_restarts_nobody(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a"), b.spec("b", restart=Restart.TEMPORARY)]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL):
        await settle()
        b.crash()
        await settle()
        assert lives(a, b) == [1, 1]


async def test_two_siblings_that_crash_together_cost_one_group_restart(autojump_clock):
    a, b = Probe(), Probe()
    limit = RestartLimit(max_restarts=1, max_seconds=5)
    specs = [a.spec("a"), b.spec("b")]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL, limit=limit) as sup:
        await settle()
        a.crash()
        b.crash()
        await settle()
        assert lives(a, b) == [2, 2]
        assert sup.snapshot().recent_restarts == 1


async def test_a_failing_start_in_a_group_leaves_those_before_running_and_is_tried_again(
    autojump_clock,
):
    a, b, c = Probe(), Probe(), Probe()
    specs = [a.spec("a"), b.spec("b"), c.spec("c")]
    async with open_supervisor(specs, strategy=Strategy.REST_FOR_ONE, limit=PLENTY) as sup:
        await settle()
        b.fail_starts = 2
        a.crash()
        await settle()
        # a came back once; b failed twice, and each further try took the rest from b on
        assert lives(a, b, c) == [2, 2, 2]
        assert sup.snapshot().recent_restarts == 3


async def test_a_failing_start_under_one_for_all_takes_all_down_again(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a"), b.spec("b")]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL, limit=PLENTY):
        await settle()
        b.fail_starts = 1
        a.crash()
        await settle()
        assert lives(a, b) == [3, 2]


async def test_failed_restart_attempts_cost_budget(autojump_clock):
    probe = Probe()
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor([probe.spec()]):  # 3 in 5 s
            await settle()
            probe.fail_starts = 3
            probe.crash()
            await trio.sleep_forever()
    assert lives(probe) == [1]


async def test_intensity_zero_ends_at_the_first_crash(autojump_clock):
    probe = Probe()
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor(
            [probe.spec()], limit=RestartLimit(max_restarts=0, max_seconds=1)
        ):
            await settle()
            probe.crash()
            await trio.sleep_forever()


async def crash_at(probe, *times):
    for when in times:
        await trio.sleep(when - trio.current_time())
        probe.crash()
        await settle()


async def test_a_crash_at_the_window_s_far_edge_still_counts(autojump_clock):
    probe = Probe()
    limit = RestartLimit(max_restarts=1, max_seconds=5)
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor([probe.spec()], limit=limit):
            await settle()
            await crash_at(probe, 1, 6)
            await trio.sleep_forever()


async def test_a_crash_past_the_window_does_not_count(autojump_clock):
    probe = Probe()
    limit = RestartLimit(max_restarts=1, max_seconds=5)
    async with open_supervisor([probe.spec()], limit=limit):
        await settle()
        await crash_at(probe, 1, 6.001, 11.002)
    assert lives(probe) == [4]


async def test_giving_up_stops_the_siblings_in_reverse_order_after_the_body(autojump_clock):
    log = []

    async def sibling(inbox, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            log.append(inbox.ref.id)

    probe = Probe()
    specs = [ChildSpec(id="a", start=sibling), ChildSpec(id="b", start=sibling), probe.spec("p")]
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor(specs, limit=RestartLimit(max_restarts=0)):
            await settle()
            probe.crash()
            try:
                await trio.sleep_forever()
            finally:
                log.append("body")
    assert log == ["body", "b", "a"]


async def test_a_nested_supervisor_that_gave_up_is_restarted_by_its_own(autojump_clock):
    probe = Probe()
    inner = SupervisorSpec(
        id="inner", children=[probe.spec("p")], limit=RestartLimit(max_restarts=0)
    )
    async with open_supervisor([inner]) as sup:
        ref = sup.supervisor("inner").ref("p")
        await settle()
        probe.crash()
        await settle()
        assert lives(probe) == [2]
        await ref.tell("still the same ref")
        assert await probe.next() == "still the same ref"


async def test_a_transient_nested_supervisor_that_gave_up_is_not_restarted(autojump_clock):
    """OTP: a supervisor that reaches its maximum intensity exits with reason shutdown."""
    probe = Probe()
    inner = SupervisorSpec(
        id="inner",
        children=[probe.spec("p")],
        limit=RestartLimit(max_restarts=0),
        restart=Restart.TRANSIENT,
    )
    async with open_supervisor([inner]) as sup:
        await settle()
        probe.crash()
        await settle()
        assert lives(probe) == [1]
        assert sup.snapshot().children[0].state is ChildState.STOPPED


async def test_the_error_that_ends_a_tree_shows_what_is_in_it(autojump_clock):
    """`repr` and `args` of an exception group come from the list it was made of."""
    probe = Probe()
    limit = RestartLimit(max_restarts=0)
    with pytest.raises(ExceptionGroup) as info:
        async with open_supervisor([probe.spec("a")], limit=limit):
            await settle()
            probe.crash()
            await trio.sleep_forever()
    assert "RestartLimitExceeded" in repr(info.value)


async def test_escalation_goes_through_the_levels(autojump_clock):
    probe = Probe()
    none = RestartLimit(max_restarts=0)
    spec = SupervisorSpec(
        limit=none,
        children=[
            SupervisorSpec(
                id="outer",
                limit=none,
                children=[SupervisorSpec(id="inner", limit=none, children=[probe.spec("p")])],
            )
        ],
    )
    escalated = []
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with trio.open_nursery() as nursery:
            hooks = Hooks(escalated=escalated.append)
            await nursery.start(lambda task_status: serve(spec, hooks, task_status))
            await settle()
            probe.crash()
    assert [e.supervisor for e in escalated] == ["root/outer/inner", "root/outer", "root"]


async def serve(spec, hooks, task_status):
    await serve_supervisor(spec, hooks=hooks, task_status=task_status)


async def test_backoff_grows_by_its_factor_up_to_the_cap(autojump_clock):
    probe = Probe()
    backoff = Backoff(initial_seconds=1, factor=2, max_seconds=5, jitter=0)
    async with open_supervisor([probe.spec(backoff=backoff)], limit=PLENTY):
        for _ in range(5):
            await trio.sleep(6)
            probe.crash()
        await trio.sleep(10)
    delays = [
        start - stop for stop, start in zip(probe.stopped_at, probe.started_at[1:], strict=False)
    ]
    assert delays == [1, 2, 4, 5, 5]


async def test_backoff_starts_again_after_a_long_life(autojump_clock):
    probe = Probe()
    backoff = Backoff(initial_seconds=1, jitter=0, reset_after_seconds=60)
    async with open_supervisor([probe.spec(backoff=backoff)], limit=PLENTY):
        await crash_at(probe, 1)
        await trio.sleep(70)
        probe.crash()
        await trio.sleep(70)
    delays = [b - a for a, b in zip(probe.stopped_at, probe.started_at[1:], strict=False)]
    assert delays == [1, 1]


async def test_backoff_jitter_comes_from_the_injected_random(autojump_clock):
    probe = Probe()
    backoff = Backoff(initial_seconds=10, jitter=1)
    async with open_supervisor([probe.spec(backoff=backoff)], random=Random(7)):
        await settle()
        probe.crash()
        await trio.sleep(20)
    assert probe.started_at[1] == pytest.approx(10 * (1 - Random(7).random()))


async def test_stop_during_backoff_is_immediate(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec(backoff=Backoff(initial_seconds=100, jitter=0))]):
        await settle()
        probe.crash()
        await settle()
    assert trio.current_time() == 0
    assert lives(probe) == [1]


async def test_the_supervisor_answers_while_a_child_is_in_a_restart_loop(autojump_clock):
    probe = Probe()
    backoff = Backoff(initial_seconds=1, factor=1, jitter=0)
    async with open_supervisor([probe.spec("p", backoff=backoff)], limit=PLENTY) as sup:
        await settle()
        probe.fail_starts = 1000
        probe.crash()
        await trio.sleep(10.5)
        assert sup.which_children()[0].state is ChildState.RESTARTING
        await sup.terminate_child("p")
        await sup.delete_child("p")
        assert trio.current_time() == 10.5


async def test_a_predicate_makes_expected_errors_a_normal_end(autojump_clock):
    probe = Probe()
    spec = probe.spec(
        restart=Restart.TRANSIENT, restart_if=lambda error: not isinstance(error, KeyError)
    )
    async with open_supervisor([spec]):
        await settle()
        probe.crash()
        await settle()
        assert lives(probe) == [2]
        probe.crash(KeyError("expected"))
        await settle()
        assert lives(probe) == [2]


async def raises_once(inbox, *, task_status):
    task_status.started()
    async for message in inbox:
        if inbox.incarnation == 1:
            raise KeyError
        inbox.answer(message)


async def test_what_an_expected_error_had_in_hand_is_a_dead_letter(autojump_clock):
    letters = []
    spec = ChildSpec(
        id="a", start=raises_once, restart=Restart.TRANSIENT, restart_if=lambda error: False
    )
    async with open_supervisor([spec], hooks=Hooks(dead_letter=letters.append)) as sup:
        await sup.ref("a").tell("precious")
        await settle()
    assert [letter.message for letter in letters] == ["precious"]


async def test_what_an_expected_error_had_in_hand_is_redelivered_if_the_spec_says_so(
    autojump_clock,
):
    spec = ChildSpec(id="a", start=raises_once, restart_if=lambda error: False, redeliver_at_most=1)
    async with open_supervisor([spec]) as sup:
        assert await sup.ref("a").ask("again") == "again"


async def test_a_child_s_own_budget_ends_the_supervisor_too(autojump_clock):
    probe = Probe()
    spec = probe.spec("p", limit=RestartLimit(max_restarts=1, max_seconds=10))
    with pytest.RaisesGroup(RestartLimitExceeded) as info:
        async with open_supervisor([spec], limit=PLENTY):
            await settle()
            await crash_at(probe, 1, 2)
            await trio.sleep_forever()
    assert info.value.exceptions[0].max_restarts == 1


async def test_a_child_s_own_budget_is_whole_again_after_its_supervisor_s_restart(autojump_clock):
    probe, escalated = Probe(), []
    own = RestartLimit(max_restarts=2, max_seconds=1000)
    inner = SupervisorSpec(id="inner", children=[probe.spec("p", limit=own)], limit=PLENTY)
    async with open_supervisor([inner], limit=PLENTY, hooks=Hooks(escalated=escalated.append)):
        await settle()
        await crash_at(probe, 1, 2, 3, 4, 5)
        assert len(escalated) == 1
        await crash_at(probe, 6)
        assert len(escalated) == 2


async def test_ignore_leaves_a_child_listed_but_stopped(autojump_clock):
    async def ignores(inbox, *, task_status):
        raise Ignore

    async with open_supervisor([ChildSpec(id="a", start=ignores)]) as sup:
        [info] = sup.which_children()
        assert info.state is ChildState.STOPPED
        assert sup.count_children().active == 0


async def test_ignore_forgets_a_temporary_child(autojump_clock):
    async def ignores(inbox, *, task_status):
        raise Ignore

    async with open_supervisor() as sup:
        await sup.start_child(ChildSpec(id="a", start=ignores, restart=Restart.TEMPORARY))
        assert sup.which_children() == ()


def significant(restart=Restart.TRANSIENT):
    return {"significant": True, "restart": restart}


async def test_auto_shutdown_any_ends_with_the_first_significant_child(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor(
        [a.spec("a", **significant()), b.spec("b", **significant())],
        auto_shutdown=AutoShutdown.ANY,
    ):
        await settle()
        a.finish()
        await trio.sleep_forever()
    assert lives(a, b) == [1, 1]


async def test_auto_shutdown_all_waits_for_the_last_significant_child(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor(
        [a.spec("a", **significant()), b.spec("b", **significant(Restart.TEMPORARY))],
        auto_shutdown=AutoShutdown.ALL,
    ):
        await settle()
        a.finish()
        await trio.sleep(5)
        b.crash()
        await trio.sleep_forever()
    assert trio.current_time() == 5


async def test_a_significant_child_that_is_restarted_shuts_nothing_down(autojump_clock):
    a = Probe()
    async with open_supervisor([a.spec("a", **significant())], auto_shutdown=AutoShutdown.ANY):
        await settle()
        a.crash()
        await trio.sleep(1)
        assert lives(a) == [2]


async def test_terminating_a_significant_child_by_hand_shuts_nothing_down(autojump_clock):
    a = Probe()
    async with open_supervisor(
        [a.spec("a", **significant())], auto_shutdown=AutoShutdown.ANY
    ) as sup:
        await sup.terminate_child("a")
        await trio.sleep(1)
        assert sup.count_children().specs == 1


async def test_a_sibling_s_group_restart_does_not_count_as_a_significant_end(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a"), b.spec("b", **significant(Restart.TEMPORARY))]
    async with open_supervisor(
        specs, strategy=Strategy.ONE_FOR_ALL, auto_shutdown=AutoShutdown.ANY
    ):
        await settle()
        a.crash()
        await trio.sleep(1)
        assert lives(a, b) == [2, 1]


async def test_a_restarted_supervisor_starts_with_a_full_budget(autojump_clock):
    probe = Probe()
    inner = SupervisorSpec(
        id="inner",
        children=[probe.spec("p")],
        limit=RestartLimit(max_restarts=1, max_seconds=100),
    )
    async with open_supervisor([inner], limit=PLENTY) as sup:
        await settle()
        for _ in range(3):  # the second one exceeds inner's limit, the third is within the new one
            probe.crash()
            await settle()
        assert lives(probe) == [4]
        assert sup.snapshot().children[0].incarnation == 2


async def test_a_nested_supervisor_s_finite_grace_cuts_the_graces_in_it(autojump_clock):
    inner = SupervisorSpec(
        id="inner",
        shutdown_seconds=3,
        children=[
            ChildSpec(id=i, start=slow_to_stop, args=(1000,), shutdown_seconds=2000)
            for i in ("a", "b")
        ],
    )
    async with open_supervisor([inner]):
        await settle()
    assert trio.current_time() == 3


async def test_a_nested_supervisor_restarted_with_its_group_keeps_refs_and_messages(
    autojump_clock,
):
    trigger = Probe()
    got = []

    async def reader(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            await trio.sleep_forever()
        async for message in inbox:
            got.append(message)  # noqa: PERF401

    inner = SupervisorSpec(id="inner", children=[ChildSpec(id="r", start=reader)])
    async with open_supervisor([trigger.spec("t"), inner], strategy=Strategy.ONE_FOR_ALL) as sup:
        ref = sup.supervisor("inner").ref("r")
        await ref.tell("kept")
        trigger.crash()
        await settle()
        assert got == ["kept"]
        assert sup.supervisor("inner").ref("r") is ref


async def test_a_restart_whose_start_never_reports_blocks_only_its_own_supervisor(autojump_clock):
    """As in OTP, a supervisor starts one child at a time; other supervisors go on."""

    async def slow_restart(inbox, *, task_status):
        if inbox.incarnation > 1:
            await trio.sleep(50)
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    one = SupervisorSpec(id="one", children=[ChildSpec(id="s", start=slow_restart)])
    other = Probe()
    two = SupervisorSpec(id="two", children=[other.spec("o")])
    async with open_supervisor([one, two]) as sup:
        await sup.supervisor("one").ref("s").tell("crash")
        await settle()
        other.crash()
        await settle()
        assert lives(other) == [2]
        await sup.supervisor("two").terminate_child("o")
        assert trio.current_time() == 0
        assert sup.supervisor("one").which_children()[0].state is ChildState.STARTING


async def test_a_predicate_that_raises_counts_as_a_crash(autojump_clock):
    probe = Probe()

    def broken(error):
        raise KeyError

    async with open_supervisor([probe.spec(restart_if=broken, restart=Restart.TRANSIENT)]):
        await settle()
        probe.crash()
        await settle()
        assert lives(probe) == [2]


def starts_then_ignores(log):
    async def child(inbox, *, task_status):
        log.append(inbox.incarnation)
        if inbox.incarnation > 1:
            raise Ignore
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    return child


async def test_a_restart_that_says_ignore_leaves_the_child_stopped(autojump_clock):
    log = []
    async with open_supervisor([ChildSpec(id="a", start=starts_then_ignores(log))]) as sup:
        await sup.ref("a").tell("crash")
        await trio.sleep(1)
        assert log == [1, 2]
        assert sup.which_children()[0].state is ChildState.STOPPED


async def test_a_dynamic_child_whose_restart_says_ignore_is_forgotten(autojump_clock):
    log = []
    async with open_supervisor([SupervisorSpec(id="pool", dynamic=True)]) as sup:
        pool = sup.supervisor("pool")
        ref = await pool.start_child(ChildSpec(id="a", start=starts_then_ignores(log)))
        await ref.tell("crash")
        await trio.sleep(1)
        assert log == [1, 2]
        assert pool.which_children() == ()


async def test_a_temporary_bystander_after_the_crashed_one_is_not_restarted(autojump_clock):
    before, crashing, after = Probe(), Probe(), Probe()
    specs = [
        before.spec("before", restart=Restart.TEMPORARY),
        crashing.spec("crashing"),
        after.spec("after", restart=Restart.TEMPORARY),
    ]
    async with open_supervisor(specs, strategy=Strategy.REST_FOR_ONE) as sup:
        await settle()
        crashing.crash()
        await settle()
        assert lives(before, crashing, after) == [1, 2, 1]
        assert [c.id for c in sup.which_children()] == ["before", "crashing"]


async def test_children_added_by_hand_take_part_in_group_restarts(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a")], strategy=Strategy.REST_FOR_ONE) as sup:
        await sup.start_child(b.spec("b"))
        a.crash()
        await settle()
        assert lives(a, b) == [2, 2]


async def test_a_group_waits_for_the_backoff_together(autojump_clock):
    a, b = Probe(), Probe()
    specs = [a.spec("a", backoff=Backoff(initial_seconds=3, jitter=0)), b.spec("b")]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL):
        await settle()
        a.crash()
        await trio.sleep(10)
    assert (a.started_at, b.started_at) == ([0, 3], [0, 3])
    assert b.stopped_at[0] == 0


async def test_a_crash_during_a_sibling_s_slow_stop_is_covered_by_the_same_group_restart(
    autojump_clock,
):
    """Both crash; the second while the first one's group restart waits for a slow sibling."""
    first, second = Probe(), Probe()

    specs = [first.spec("a"), second.spec("b"), ChildSpec(id="c", start=slow_to_stop, args=(2,))]
    limit = RestartLimit(max_restarts=1, max_seconds=100)
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL, limit=limit) as sup:
        await settle()
        first.crash()
        await trio.sleep(1)
        second.crash()
        await trio.sleep(5)
        assert lives(first, second) == [2, 2]
        assert sup.snapshot().recent_restarts == 1
