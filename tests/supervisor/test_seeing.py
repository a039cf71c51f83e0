"""Snapshots, logging, the testing helpers, the public surface."""

import inspect
import logging

import attrs
import pytest
import trio

import greenroom.supervisor
from greenroom.supervisor import (
    Backoff,
    ChildSpec,
    ChildState,
    NoSuchChild,
    RestartLimit,
    Strategy,
    SupervisorSpec,
    open_supervisor,
    testing,
)
from greenroom.supervisor._reports import LOG_BURST, LOG_WINDOW_SECONDS, RateLimit
from greenroom.supervisor.testing import Probe, ProbeCrash, seeded_scheduler, settle

PLENTY = RestartLimit(max_restarts=10_000, max_seconds=1)


async def test_a_snapshot_tells_state_life_inbox_crash_and_await_stack(autojump_clock):
    async def sleeper_in_the_snapshot(inbox, *, task_status):
        task_status.started()
        await trio.sleep_forever()

    probe = Probe()
    specs = [
        ChildSpec(id="a", start=sleeper_in_the_snapshot),
        probe.spec("b", backoff=Backoff(initial_seconds=9)),
    ]
    async with open_supervisor(specs) as sup:
        await sup.ref("a").tell(1)
        await settle()
        probe.crash()
        await settle()
        a, b = sup.snapshot().children
    assert (a.state, a.incarnation, a.restarts, a.inbox.waiting) == (ChildState.RUNNING, 1, 0, 1)
    assert any("sleeper_in_the_snapshot" in line for line in a.await_stack)
    assert (b.state, b.await_stack) == (ChildState.RESTARTING, ())
    assert "ProbeCrash" in b.last_crash.summary


async def test_a_snapshot_counts_who_waits_for_room_in_an_inbox(autojump_clock):
    async def busy(inbox, *, task_status):
        task_status.started()
        await trio.sleep(1)
        while True:
            await inbox.receive()

    async with open_supervisor([ChildSpec(id="a", start=busy, inbox_capacity=1)]) as sup:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(sup.ref("a").tell, number)
            await settle()
            full = sup.snapshot().children[0].inbox
        await settle()
        empty = sup.snapshot().children[0].inbox
    assert (full.waiting, full.capacity, full.senders_waiting) == (1, 1, 2)
    assert (empty.waiting, empty.senders_waiting) == (0, 0)


async def test_a_snapshot_is_a_tree_that_can_be_searched(autojump_clock):
    inner = SupervisorSpec(
        id="inner", strategy=Strategy.REST_FOR_ONE, children=[Probe().spec("deep")]
    )
    async with open_supervisor([inner], id="node") as sup:
        snapshot = sup.snapshot(await_stacks=False)
        assert snapshot.find("node/inner").strategy is Strategy.REST_FOR_ONE
        assert snapshot.find("node/inner/deep").path == "node/inner/deep"
        assert snapshot.find("node/nobody") is None
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            snapshot.id = "x"


async def test_a_snapshot_of_an_ended_tree_is_still_possible(autojump_clock):
    async with open_supervisor([Probe().spec("a")]) as sup:
        pass
    [child] = sup.snapshot().children
    assert child.state is ChildState.STOPPED


async def test_a_snapshot_counts_the_restarts_inside_the_window_only(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("a")], limit=RestartLimit(max_seconds=5)) as sup:
        await settle()
        probe.crash()
        await trio.sleep(5)
        assert sup.snapshot().recent_restarts == 1
        await trio.sleep(0.1)
        assert sup.snapshot().recent_restarts == 0


async def test_refs_compare_by_identity_and_hash(autojump_clock):
    async with open_supervisor([Probe().spec("a"), Probe().spec("b")]) as sup:
        assert sup.ref("a") is sup.ref("a")
        assert len({sup.ref("a"), sup.ref("a"), sup.ref("b")}) == 2
        assert repr(sup.ref("a")) == "<Ref 'root/a'>"


async def test_crash_logs_are_rate_limited_and_say_what_was_left_out(autojump_clock, caplog):
    async def crashes(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        raise ProbeCrash

    caplog.set_level(logging.ERROR, logger="greenroom.supervisor")
    async with open_supervisor([ChildSpec(id="a", start=crashes)], limit=PLENTY) as sup:
        for _ in range(LOG_BURST + 25):
            await sup.ref("a").tell("go")
        await settle()
        assert len(caplog.records) == LOG_BURST
        await trio.sleep(LOG_WINDOW_SECONDS)
        await sup.ref("a").tell("go")
        await settle()
        assert len(caplog.records) == LOG_BURST + 2
        assert "25 crash lines were left out" in caplog.text


async def test_dead_letters_log_the_type_and_not_the_content(autojump_clock, caplog):
    caplog.set_level(logging.WARNING, logger="greenroom.supervisor")
    async with open_supervisor([Probe().spec("a")]) as sup:
        await sup.terminate_child("a")
        await sup.ref("a").tell("a secret")
    assert "root/a" in caplog.text
    assert "secret" not in caplog.text


def test_the_rate_limit_counts_what_it_left_out():
    limit = RateLimit()
    admitted = [limit.admit(0.0) for _ in range(LOG_BURST + 3)]
    assert admitted == [0] * LOG_BURST + [None] * 3
    assert limit.admit(LOG_WINDOW_SECONDS) == 3
    assert limit.admit(LOG_WINDOW_SECONDS) == 0


async def test_a_probe_can_be_asked(autojump_clock):
    from greenroom.supervisor import Request

    class Ping(Request[str]):
        pass

    probe = Probe(answer=lambda request: "pong")
    async with open_supervisor([probe.spec()]) as sup:
        assert await sup.ref("probe").ask(Ping()) == "pong"


def interleaving(seed):
    """The order in which five actors take turns under one seed."""
    order = []

    async def turn(inbox, name, *, task_status):
        task_status.started()
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            order.append(name)
        await trio.sleep_forever()

    async def main():
        specs = [ChildSpec(id=str(i), start=turn, args=(i,)) for i in range(5)]
        async with open_supervisor(specs):
            await settle()

    with seeded_scheduler(seed) as rng:
        trio.run(main)
        return order, rng.random()


def test_a_seeded_scheduler_repeats_a_run():
    assert interleaving(1) == interleaving(1)
    assert len({tuple(interleaving(seed)[0]) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    "name", [*greenroom.supervisor.__all__, *(f"testing.{n}" for n in testing.__all__)]
)
def test_every_public_name_says_what_it_is(name):
    module = testing if name.startswith("testing.") else greenroom.supervisor
    thing = getattr(module, name.removeprefix("testing."))
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        for attribute, value in vars(thing).items():
            if not attribute.startswith("_") and inspect.isfunction(value):
                assert inspect.getdoc(value), f"{name}.{attribute}"


def test_all_is_what_the_package_shows():
    shown = {
        n
        for n in vars(greenroom.supervisor)
        if not n.startswith("_") and not inspect.ismodule(getattr(greenroom.supervisor, n))
    }
    assert shown == set(greenroom.supervisor.__all__)
    assert len(greenroom.supervisor.__all__) == len(shown)


def test_the_program_in_the_package_s_docstring_runs(capsys):
    doc = inspect.getdoc(greenroom.supervisor)
    program = "\n".join(
        line.removeprefix("    ")
        for line in doc.splitlines()
        if line.startswith("    ") or not line
    )
    namespace = {}
    exec(compile(program, "docstring", "exec"), namespace)
    trio.run(namespace["main"])
    assert capsys.readouterr().out == "1\n"


async def test_an_await_stack_ends_where_the_actor_s_own_code_waits(autojump_clock):
    async def sleeper(inbox, *, task_status):
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor([ChildSpec(id="sleeper", start=sleeper)]) as sup:
        await settle()
        stack = sup.snapshot().children[0].await_stack
        assert [line.rpartition(" ")[2].rpartition(".")[2] for line in stack] == ["sleeper"]


async def test_a_crowd_is_described_child_by_child(autojump_clock):
    crowd = SupervisorSpec(id="crowd", dynamic=True)
    async with open_supervisor([crowd]) as sup:
        crowd = sup.supervisor("crowd")
        for name in ("b", "a"):
            await crowd.start_child(Probe().spec(name))
        assert crowd.child_ids() == ("b", "a")
        assert crowd.snapshot_child("a") == crowd.snapshot().children[1]
        assert crowd.snapshot_child("a", await_stacks=False).await_stack == ()
        assert sup.snapshot_child("crowd").find("root/crowd/b").id == "b"
        await crowd.terminate_child("a")
        with pytest.raises(NoSuchChild):
            crowd.snapshot_child("a")


async def test_a_snapshot_may_leave_out_the_children_of_dynamic_supervisors(autojump_clock):
    crowd = SupervisorSpec(id="crowd", dynamic=True)
    async with open_supervisor([Probe().spec("one"), crowd]) as sup:
        for name in ("a", "b"):
            await sup.supervisor("crowd").start_child(Probe().spec(name))
        one, told = sup.snapshot(dynamic_children=False).children
        assert (one.id, told.id, told.count, told.children) == ("one", "crowd", 2, ())
        assert len(sup.snapshot().children[1].children) == 2
