"""What a tree does while it ends, and what it then holds on to."""

import gc
import weakref

import pytest
import trio
from support.garbage import nothing_left_to_the_collector
from support.slow_to_stop import slow_to_stop

from greenroom.supervisor import (
    Backoff,
    ChildSpec,
    Hooks,
    Restart,
    RestartLimit,
    StartFailed,
    SupervisorSpec,
    open_supervisor,
    serve_supervisor,
)
from greenroom.supervisor.testing import Probe, settle

PLENTY = RestartLimit(max_restarts=10_000, max_seconds=1)


async def stopping_its_root(inbox, *, task_status):
    await inbox.supervisor.stop()


async def interrupted(inbox, *, task_status):
    task_status.started()
    await trio.sleep(1)
    raise KeyboardInterrupt


async def test_a_tree_stopped_while_it_starts_has_not_started(autojump_clock):
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match="'root' did not start")):
        async with open_supervisor([ChildSpec(id="a", start=stopping_its_root)]):
            raise AssertionError("the block must not run")


async def test_serving_a_tree_that_is_stopped_while_it_starts_returns(autojump_clock):
    await serve_supervisor(SupervisorSpec(children=[ChildSpec(id="a", start=stopping_its_root)]))


@pytest.mark.parametrize("dynamic", [False, True])
async def test_nothing_is_restarted_after_an_interrupt_while_others_use_their_grace(
    autojump_clock, dynamic
):
    """The backoff of 3 s would end at 3, the clean-up of `slow` at 5; the interrupt comes at 1."""
    probe = Probe()
    spec = probe.spec(backoff=Backoff(initial_seconds=3, jitter=0))
    static = () if dynamic else (spec,)
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_supervisor(
            [
                SupervisorSpec(id="n", children=static, dynamic=dynamic),
                ChildSpec(id="slow", start=slow_to_stop, args=(4,)),
                ChildSpec(id="k", start=interrupted),
            ]
        ) as sup:
            if dynamic:
                await sup.supervisor("n").start_child(spec)
            await settle()
            probe.crash()
            await trio.sleep_forever()
    assert len(probe.started_at) == 1


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_an_interrupt_in_a_start_is_no_crash(autojump_clock, depth):
    reports = []

    async def interrupted_start(inbox, *, task_status):
        raise KeyboardInterrupt

    spec = ChildSpec(id="c", start=interrupted_start)
    for _ in range(depth):
        spec = SupervisorSpec(id="n", children=[spec])
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_supervisor([spec], hooks=Hooks(crashed=reports.append)):
            raise AssertionError("the block must not run")
    assert reports == []


async def test_a_crash_leaves_no_cycle_for_the_collector(autojump_clock):
    class Big:
        pass

    refs = []

    async def crashes(inbox, *, task_status):
        big = Big()
        refs.append(weakref.ref(big))
        task_status.started()
        await inbox.receive()
        raise RuntimeError

    async with open_supervisor([ChildSpec(id="a", start=crashes)], limit=PLENTY) as sup:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await sup.ref("a").tell("crash")
                await settle()
            assert sum(ref() is not None for ref in refs) == 1
        finally:
            gc.enable()


async def test_a_child_does_not_keep_the_dead_incarnation_that_started_it(autojump_clock):
    inboxes = []
    started = Probe()

    async def starter(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            inboxes.append(weakref.ref(inbox._incarnation.scope))
            await inbox.supervisor.supervisor("d").start_child(started.spec())
        await inbox.receive()
        raise RuntimeError

    specs = [SupervisorSpec(id="d", dynamic=True), ChildSpec(id="s", start=starter)]
    async with open_supervisor(specs) as sup:
        await settle()
        await sup.ref("s").tell("crash")
        await settle()
        gc.collect()
        assert inboxes[0]() is None
        assert started.stopped_at == []


async def ends(inbox, *, task_status):
    task_status.started()
    await inbox.receive()


async def crashes(inbox, *, task_status):
    task_status.started()
    await inbox.receive()
    raise RuntimeError


@pytest.mark.parametrize("start", [ends, crashes])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_child_that_is_gone_leaves_nothing_to_the_collector(autojump_clock, start, stopped):
    """With timers, watchers, an ask that it owes, and messages that it never handled."""

    async def once(sup):
        spec = ChildSpec(id="c", start=start, restart=Restart.TEMPORARY)
        ref = await sup.supervisor("d").start_child(spec)
        watcher = await sup.supervisor("d").start_child(ChildSpec(id="w", start=watching))
        await watcher.tell(ref)
        await settle()
        if stopped:
            await sup.supervisor("d").terminate_child("c")
        else:
            await ref.tell("end")
        await ref.tell("too late")
        await sup.supervisor("d").terminate_child("w")
        await settle()

    async def watching(inbox, *, task_status):
        task_status.started()
        inbox.watch(await inbox.receive())
        inbox.send_interval(1, "tick")
        async for _ in inbox:
            pass

    async with open_supervisor([SupervisorSpec(id="d", dynamic=True)]) as sup:
        await once(sup)
        with nothing_left_to_the_collector():
            await once(sup)


async def test_a_ref_is_one_object_while_somebody_has_it_or_its_actor_lives(autojump_clock):
    downs = []

    async def watching(inbox, *, task_status):
        task_status.started()
        inbox.watch(await inbox.receive())
        downs.append(await inbox.receive())

    gone = ChildSpec(id="gone", start=ends, restart=Restart.TEMPORARY)
    async with open_supervisor([gone, ChildSpec(id="w", start=watching)]) as sup:
        known = weakref.ref(sup.ref("gone"))
        assert sup.ref("gone") is known()
        ref = sup.ref("gone")
        await ref.tell("end")
        await settle()
        await sup.ref("w").tell(ref)
        await settle()
        assert downs[0].ref is ref
        del ref
        downs.clear()
        assert known() is None
