"""What OTP's and Elixir's own test suites assert of their supervisors, and the other files do not.

`docs/explanation/otp-claims.md` lists all of those claims beside the test of each.
"""

import gc
import math
import sys
import weakref

import pytest
import trio

from greenroom.supervisor import (
    AlreadyPresent,
    AlreadyStarted,
    AutoShutdown,
    Backoff,
    ChildCounts,
    ChildSpec,
    ChildState,
    Down,
    DownReason,
    Ignore,
    NameTaken,
    NoSuchChild,
    Request,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    StartFailed,
    Strategy,
    SupervisorSpec,
    open_supervisor,
    partitioned,
    serve_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle

PLENTY = RestartLimit(max_restarts=1000, max_seconds=1)
SLOWLY = Backoff(initial_seconds=100, jitter=0)
POOL = SupervisorSpec(id="pool", dynamic=True, limit=PLENTY)


class Arguments:
    """Something a weak reference can point at."""


class Get(Request[int]):
    pass


async def ignoring(inbox, *, task_status):
    raise Ignore


async def idle(inbox, *, task_status):
    task_status.started()
    await trio.sleep_forever()


# --- specs


def test_specs_have_the_defaults_of_otp_and_elixir():
    child = Probe().spec("a")
    assert (child.restart, child.shutdown_seconds, child.significant) == (
        Restart.PERMANENT,
        5,
        False,
    )
    spec = SupervisorSpec()
    assert (spec.restart, spec.shutdown_seconds) == (Restart.PERMANENT, math.inf)
    assert (spec.strategy, spec.auto_shutdown) == (Strategy.ONE_FOR_ONE, AutoShutdown.NEVER)
    assert spec.limit == RestartLimit(max_restarts=3, max_seconds=5)


async def test_get_spec_returns_what_was_given(autojump_clock):
    static, dynamic = Probe().spec("a"), Probe().spec("b", shutdown_seconds=7)
    async with open_supervisor([static, POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(dynamic)
        assert sup.get_spec("a") is static
        assert sup.get_spec("pool") is POOL
        assert pool.get_spec("b") is dynamic
        with pytest.raises(NoSuchChild):
            pool.get_spec("a")


# --- ignore


async def test_start_child_that_ignores_is_listed_without_a_life(autojump_clock):
    async with open_supervisor() as sup:
        await sup.start_child(ChildSpec(id="a", start=ignoring))
        await sup.start_child(Probe().spec("b"))
        states = [(c.id, c.state) for c in sup.which_children()]
        assert states == [("a", ChildState.STOPPED), ("b", ChildState.RUNNING)]
        assert sup.count_children() == ChildCounts(specs=2, active=1, supervisors=0, workers=2)


async def test_start_child_that_ignores_and_is_temporary_is_not_listed(autojump_clock):
    async with open_supervisor() as sup:
        await sup.start_child(ChildSpec(id="a", start=ignoring, restart=Restart.TEMPORARY))
        assert sup.which_children() == ()


# --- what is kept of a child that ended


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(
    ("restart", "crashes", "error"),
    [
        (Restart.PERMANENT, True, AlreadyStarted),
        (Restart.PERMANENT, False, AlreadyStarted),
        (Restart.TRANSIENT, True, AlreadyStarted),
        (Restart.TRANSIENT, False, AlreadyPresent),
        (Restart.TEMPORARY, True, None),
        (Restart.TEMPORARY, False, None),
    ],
)
async def test_only_a_temporary_child_s_id_is_free_after_its_end(
    autojump_clock, strategy, restart, crashes, error
):
    probe = Probe()
    spec = probe.spec("a", restart=restart)
    async with open_supervisor(strategy=strategy) as sup:
        await sup.start_child(spec)
        if crashes:
            probe.crash()
        else:
            probe.finish()
        await settle()
        if error is None:
            await sup.start_child(spec)
        else:
            with pytest.raises(error):
                await sup.start_child(spec)


@pytest.mark.parametrize("dynamic", [False, True])
async def test_a_temporary_child_s_arguments_are_let_go_when_it_ends(autojump_clock, dynamic):
    async def child(inbox, arguments, *, task_status):
        task_status.started()
        await trio.sleep(1)

    async def start(sup):
        arguments = Arguments()
        await sup.start_child(
            ChildSpec(id="a", start=child, args=(arguments,), restart=Restart.TEMPORARY)
        )
        return weakref.ref(arguments)

    async with open_supervisor([SupervisorSpec(id="s", dynamic=dynamic)]) as sup:
        arguments = await start(sup.supervisor("s"))
        assert arguments() is not None
        await trio.sleep(2)
        gc.collect()
        assert arguments() is None


# --- the limit


@pytest.mark.parametrize("strategy", Strategy)
async def test_the_third_crash_is_too_much_for_a_limit_of_two(autojump_clock, strategy):
    first, second = Probe(), Probe()
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor(
            [first.spec("a"), second.spec("b")],
            strategy=strategy,
            limit=RestartLimit(max_restarts=2, max_seconds=3600),
        ):
            for probe in (first, second, first):
                await settle()
                probe.crash()
            await trio.sleep_forever()


async def test_crashes_further_apart_than_the_window_never_exceed_the_limit(autojump_clock):
    probe = Probe()
    limit = RestartLimit(max_restarts=1, max_seconds=1)
    async with open_supervisor([probe.spec("a")], limit=limit):
        for _ in range(10):
            await trio.sleep(2.1)
            probe.crash()
        await settle()
        assert len(probe.started_at) == 11


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_start_that_fails_at_every_restart_ends_the_supervisor_and_the_siblings(
    autojump_clock, strategy
):
    first, second = Probe(), Probe()
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with open_supervisor(
            [first.spec("a"), second.spec("b")],
            strategy=strategy,
            limit=RestartLimit(max_restarts=4, max_seconds=3600),
        ):
            await settle()
            first.fail_starts = 1000
            first.crash()
            await trio.sleep_forever()
    assert first.fail_starts == 996
    assert len(second.stopped_at) == len(second.started_at)


# --- trees


async def test_a_temporary_nested_supervisor_that_gave_up_is_forgotten(autojump_clock):
    probe = Probe()
    spec = SupervisorSpec(
        id="s",
        children=[probe.spec("a")],
        limit=RestartLimit(max_restarts=0),
        restart=Restart.TEMPORARY,
    )
    async with open_supervisor([spec]) as sup:
        await settle()
        probe.crash()
        await settle()
        assert sup.which_children() == ()


async def test_a_permanent_nested_supervisor_that_shut_itself_down_is_restarted(autojump_clock):
    probe = Probe()
    spec = SupervisorSpec(
        id="s",
        children=[probe.spec("a", significant=True, restart=Restart.TRANSIENT)],
        auto_shutdown=AutoShutdown.ANY,
    )
    async with open_supervisor([spec]):
        await settle()
        probe.finish()
        await settle()
        assert len(probe.started_at) == 2


async def test_a_group_restart_of_supervisors_brings_back_what_is_in_their_specs(autojump_clock):
    """Stopped by hand or not; what was added by hand is gone, in static ones too."""
    a, b, added = Probe(), Probe(), Probe()
    specs = [
        SupervisorSpec(id="first", children=[a.spec("a"), b.spec("b")]),
        SupervisorSpec(id="second", limit=RestartLimit(max_restarts=0)),
        SupervisorSpec(id="third", restart=Restart.TRANSIENT),
    ]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        await sup.terminate_child("third")
        assert sup.count_children() == ChildCounts(specs=3, active=2, supervisors=3, workers=0)
        await sup.supervisor("second").start_child(added.spec("added"))
        added.crash()
        await settle()
        assert sup.count_children() == ChildCounts(specs=3, active=3, supervisors=3, workers=0)
        assert [c.id for c in sup.supervisor("first").which_children()] == ["a", "b"]
        assert sup.supervisor("second").which_children() == ()
        assert (len(a.started_at), len(b.started_at), len(added.started_at)) == (2, 2, 1)


async def test_a_child_may_stop_its_own_tree(autojump_clock):
    async def child(inbox, *, task_status):
        task_status.started()
        await inbox.supervisor.stop()

    async with trio.open_nursery() as nursery:
        spec = SupervisorSpec(children=[ChildSpec(id="a", start=child)])
        await nursery.start(serve_supervisor, spec)
    assert trio.current_time() < 1


# --- counting, and many children


async def test_a_child_that_waits_for_its_restart_counts_as_spec_and_not_as_active(
    autojump_clock,
):
    probe = Probe()
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(probe.spec("a", backoff=SLOWLY))
        await pool.start_child(Probe().spec("b"))
        probe.crash()
        await settle()
        assert pool.count_children() == ChildCounts(specs=2, active=1, supervisors=0, workers=2)
        await trio.sleep(101)
        assert pool.count_children() == ChildCounts(specs=2, active=2, supervisors=0, workers=2)


async def test_a_thousand_dynamic_children_are_counted_and_then_gone(autojump_clock):
    async def brief(inbox, *, task_status):
        task_status.started()
        await trio.sleep(1)

    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        for number in range(1000):
            await pool.start_child(
                ChildSpec(id=str(number), start=brief, restart=Restart.TEMPORARY)
            )
        assert pool.count_children().active == len(pool.which_children()) == 1000
        await trio.sleep(2)
        assert pool.count_children() == ChildCounts(specs=0, active=0, supervisors=0, workers=0)


async def test_a_thousand_nested_supervisors_are_counted_as_supervisors(autojump_clock):
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        for number in range(1000):
            await pool.start_supervisor(SupervisorSpec(id=str(number)))
        counts = ChildCounts(specs=1000, active=1000, supervisors=1000, workers=0)
        assert pool.count_children() == counts


class CountingId(str):
    """An id that counts how often it is compared with another one."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other):
        CountingId.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("dynamic", [False, True])
async def test_starting_and_stopping_twenty_times_the_children_takes_twenty_times_the_steps(
    autojump_clock, dynamic
):
    """Function calls and comparisons of ids; a list searched for each child would make it 400."""

    async def steps(children):
        specs = [ChildSpec(id=CountingId(n), start=idle) for n in range(children)]
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += 1

        CountingId.compared = 0
        async with open_supervisor([SupervisorSpec(id="s", dynamic=dynamic)]) as sup:
            inner = sup.supervisor("s")
            sys.setprofile(count)
            for spec in specs:
                await inner.start_child(spec)
            for spec in specs:
                await inner.terminate_child(spec.id)
            sys.setprofile(None)
        return calls + CountingId.compared

    few, many = await steps(50), await steps(1000)
    assert 19 * few < many < 22 * few


# --- a restart loop


async def test_calls_get_their_turn_between_two_attempts_to_restart(autojump_clock):
    """A start that takes 2 s and fails, again and again, without any backoff."""
    lives = []
    broken = False

    async def child(inbox, *, task_status):
        lives.append(trio.current_time())
        if broken:
            await trio.sleep(2)
            raise ProbeCrash
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    async with open_supervisor([ChildSpec(id="a", start=child)], limit=PLENTY) as sup:
        broken = True
        await sup.ref("a").tell("crash")
        await trio.sleep(5)
        await sup.terminate_child("a")
        assert trio.current_time() <= 6
        attempts = len(lives)
        await trio.sleep(20)
        assert len(lives) == attempts
        broken = False
        await sup.restart_child("a")
        assert sup.count_children().active == 1


async def test_a_tree_stops_in_the_middle_of_a_restart_loop(autojump_clock):
    broken = False

    async def child(inbox, *, task_status):
        if broken:
            await trio.sleep(2)
            raise ProbeCrash
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    async with open_supervisor([ChildSpec(id="a", start=child)], limit=PLENTY) as sup:
        broken = True
        await sup.ref("a").tell("crash")
        await trio.sleep(5)
    assert trio.current_time() == 5


# --- significant children


@pytest.mark.parametrize("auto_shutdown", AutoShutdown)
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
@pytest.mark.parametrize("crashes", [False, True])
async def test_the_end_of_a_child_that_is_not_significant_shuts_nothing_down(
    autojump_clock, auto_shutdown, restart, crashes
):
    probe = Probe()
    async with open_supervisor([probe.spec("a", restart=restart)], auto_shutdown=auto_shutdown):
        await settle()
        if crashes:
            probe.crash()
        else:
            probe.finish()
        await trio.sleep(10)
    assert trio.current_time() == 10


@pytest.mark.parametrize("crashes", [False, True])
async def test_any_end_of_a_temporary_significant_child_shuts_its_supervisor_down(
    autojump_clock, crashes
):
    probe, bystander = Probe(), Probe()
    specs = [bystander.spec("b"), probe.spec("a", restart=Restart.TEMPORARY, significant=True)]
    async with open_supervisor(specs, auto_shutdown=AutoShutdown.ANY):
        await settle()
        if crashes:
            probe.crash()
        else:
            probe.finish()
        await trio.sleep_forever()
    assert len(bystander.stopped_at) == 1


@pytest.mark.parametrize("significant", [True, False])
async def test_an_auto_shutdown_goes_up_where_the_supervisor_itself_is_significant(
    autojump_clock, significant
):
    probe = Probe()
    inner = SupervisorSpec(
        id="inner",
        children=[probe.spec("a", restart=Restart.TRANSIENT, significant=True)],
        auto_shutdown=AutoShutdown.ANY,
        restart=Restart.TRANSIENT,
        significant=significant,
    )
    async with open_supervisor([inner], auto_shutdown=AutoShutdown.ANY) as sup:
        await settle()
        probe.finish()
        await trio.sleep(10)
        assert sup.count_children().active == 0
    assert trio.current_time() == (0 if significant else 10)


@pytest.mark.parametrize(("auto_shutdown", "ends"), [(AutoShutdown.ANY, 1), (AutoShutdown.ALL, 2)])
async def test_a_dynamic_supervisor_heeds_its_significant_children(
    autojump_clock, auto_shutdown, ends
):
    """OTP refuses the combination, since there all dynamic children share one spec."""
    probes = [Probe(), Probe()]
    spec = SupervisorSpec(
        id="job", dynamic=True, auto_shutdown=auto_shutdown, restart=Restart.TEMPORARY
    )
    async with open_supervisor([spec]) as sup:
        job = sup.supervisor("job")
        for number, probe in enumerate(probes):
            await job.start_child(
                probe.spec(str(number), restart=Restart.TEMPORARY, significant=True)
            )
        for number, probe in enumerate(probes[:ends], start=1):
            assert sup.find("job") is not None, number
            probe.finish()
            await settle()
        assert sup.find("job") is None


# --- dynamic supervisors


async def test_a_dynamic_child_s_restart_that_fails_is_tried_again(autojump_clock):
    probe = Probe()
    spec = SupervisorSpec(id="pool", dynamic=True, limit=RestartLimit(max_restarts=2))
    async with open_supervisor([spec]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(probe.spec("a"))
        probe.fail_starts = 1
        probe.crash()
        await settle()
        assert pool.count_children().active == 1
        assert len(probe.started_at) == 2


async def test_terminating_a_dynamic_child_that_waits_for_its_restart_is_immediate_and_final(
    autojump_clock,
):
    probe = Probe()
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(probe.spec("a", backoff=SLOWLY))
        probe.crash()
        await settle()
        await pool.terminate_child("a")
        assert trio.current_time() == 0
        assert pool.which_children() == ()
        await trio.sleep(1000)
        assert len(probe.started_at) == 1


async def test_a_dynamic_child_can_be_terminated_once(autojump_clock):
    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        await pool.start_child(Probe().spec("a"))
        await pool.terminate_child("a")
        with pytest.raises(NoSuchChild):
            await pool.terminate_child("a")


async def test_dynamic_children_of_different_graces_stop_each_in_its_own(autojump_clock):
    ended = {}

    async def child(inbox, name, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            try:
                with inbox.grace():
                    await trio.sleep(10)
            finally:
                ended[name] = trio.current_time()

    async with open_supervisor([POOL]) as sup:
        pool = sup.supervisor("pool")
        for name, seconds in [("killed", 0), ("cut short", 3), ("awaited", math.inf)]:
            await pool.start_child(
                ChildSpec(id=name, start=child, args=(name,), shutdown_seconds=seconds)
            )
    assert ended == {"killed": 0, "cut short": 3, "awaited": 10}


async def test_a_child_s_crash_does_not_hurt_the_one_that_started_it(autojump_clock):
    """Elixir's `Task.Supervisor.async_nolink`: the starter hears of it, and lives on."""
    probe, downs = Probe(), []

    async def starter(inbox, pool, *, task_status):
        task_status.started()
        inbox.watch(await pool.start_child(probe.spec("task", restart=Restart.TEMPORARY)))
        downs.append(await inbox.receive())
        await inbox.receive()

    async with open_supervisor([POOL]) as sup:
        spec = ChildSpec(id="starter", start=starter, args=(sup.supervisor("pool"),))
        await sup.start_child(spec)
        await settle()
        probe.crash()
        await settle()
        [down] = downs
        assert isinstance(down, Down)
        assert (down.reason, down.will_restart) == (DownReason.CRASHED, False)
        assert sup.snapshot().find("root/starter").incarnation == 1


async def test_a_crash_after_the_asker_left_reaches_nobody(autojump_clock):
    async def slow(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        await trio.sleep(5)
        raise ProbeCrash

    async with open_supervisor([ChildSpec(id="a", start=slow)]) as sup:
        with trio.move_on_after(1):
            await sup.ref("a").ask(Get())
        await trio.sleep(10)
    assert trio.current_time() == 11


# --- partitions


async def test_partitions_are_counted_by_kind(autojump_clock):
    specs = [
        partitioned("workers", Probe().spec(), partitions=4),
        partitioned("supervisors", SupervisorSpec(dynamic=True), partitions=3),
    ]
    async with open_supervisor(specs) as sup:
        workers = ChildCounts(specs=4, active=4, supervisors=0, workers=4)
        assert sup.supervisor("workers").count_children() == workers
        supervisors = ChildCounts(specs=3, active=3, supervisors=3, workers=0)
        assert sup.supervisor("supervisors").count_children() == supervisors


async def test_a_crashed_partition_comes_back_alone_under_its_key(autojump_clock):
    lives = {}

    async def child(inbox, *, task_status):
        lives[inbox.ref.id] = inbox.incarnation
        task_status.started()
        async for _ in inbox:
            raise ProbeCrash

    spec = partitioned("pool", ChildSpec(id="p", start=child), partitions=3)
    async with open_supervisor([spec]) as sup:
        pool = sup.supervisor("pool")
        ref = pool.ref(pool.partition(1))
        await ref.tell("crash")
        await settle()
        assert lives == {"0": 1, "1": 2, "2": 1}
        assert pool.ref(pool.partition(1)) is ref


# --- names and groups


def registering(id, name, **settings):
    """A child that registers before it reports started, and crashes at a message."""

    async def child(inbox, *, task_status):
        inbox.register(name)
        inbox.join("group")
        task_status.started()
        async for _ in inbox:
            raise ProbeCrash

    return ChildSpec(id=id, start=child, **settings)


async def test_the_next_incarnation_can_take_its_name_again(autojump_clock):
    async with open_supervisor([registering("a", "desk")]) as sup:
        ref = sup.whereis("desk")
        await ref.tell("crash")
        await settle()
        assert sup.whereis("desk") is ref
        assert sup.members("group") == (ref,)


async def test_a_name_below_a_supervisor_that_is_restarted_comes_back_with_it(autojump_clock):
    spec = SupervisorSpec(
        id="middle", children=[registering("a", "desk")], limit=RestartLimit(max_restarts=0)
    )
    async with open_supervisor([spec], strategy=Strategy.ONE_FOR_ALL) as sup:
        ref = sup.whereis("desk")
        await ref.tell("crash")
        await settle()
        assert sup.supervisor("middle").count_children().active == 1
        assert sup.whereis("desk") is ref


async def test_a_crashed_owner_s_name_and_group_are_free_before_its_restart(autojump_clock):
    async with open_supervisor([registering("a", "desk", backoff=SLOWLY)]) as sup:
        await sup.ref("a").tell("crash")
        await settle()
        assert sup.whereis("desk") is None
        assert sup.members("group") == ()
        await sup.start_child(registering("b", "desk"))
        assert sup.whereis("desk") is sup.ref("b")


async def test_a_start_that_finds_its_name_taken_fails_and_leaves_the_owner_alone(autojump_clock):
    async with open_supervisor([registering("a", "desk")]) as sup:
        with pytest.raises(StartFailed) as info:
            await sup.start_child(registering("b", "desk"))
        assert isinstance(info.value.__cause__, NameTaken)
        assert info.value.__cause__.owner == "root/a"
        assert sup.whereis("desk") is sup.ref("a")
        assert sup.members("group") == (sup.ref("a"),)


async def test_giving_back_a_name_one_does_not_hold_changes_nothing(autojump_clock):
    first, second = Probe(), Probe()
    async with open_supervisor([first.spec("a"), second.spec("b")]) as sup:
        await settle()
        first.inbox.register("desk")
        second.inbox.unregister("desk")
        second.inbox.unregister("no such name")
        second.inbox.leave("no such group")
        assert sup.whereis("desk") is sup.ref("a")
        first.inbox.unregister("desk")
        assert sup.whereis("desk") is None


async def test_one_actor_may_hold_several_names_and_be_in_several_groups(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a")]) as sup:
        await settle()
        for key in ("x", "y"):
            probe.inbox.register(key)
            probe.inbox.join(key)
        probe.inbox.register("x")  # again: nothing changes
        probe.inbox.join("y")
        ref = sup.ref("a")
        assert (sup.whereis("x"), sup.whereis("y")) == (ref, ref)
        assert (sup.members("x"), sup.members("y")) == ((ref,), (ref,))
