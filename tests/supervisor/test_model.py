"""Random trees and random events against a naive model of OTP's rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.supervisor import (
    ChildRunning,
    ChildSpec,
    NoSuchChild,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    StartFailed,
    Strategy,
    SupervisorSpec,
    SupervisorStopped,
    open_supervisor,
)

PERIOD = 5


class Boom(Exception):
    pass


# --- the model: plain lists, no cleverness. OTP: the documentation of supervisor(3).


@dataclass
class Leaf:
    id: str
    restart: Restart
    alive: bool = False
    lives: int = 0
    fails: int = 0

    def start(self):
        """Whether it started."""
        if self.fails:
            self.fails -= 1
            return False
        self.alive = True
        self.lives += 1
        return True

    def stop(self):
        self.alive = False


@dataclass
class Sup:
    id: str
    restart: Restart
    strategy: Strategy
    intensity: int
    static: list
    children: list = field(default_factory=list)
    alive: bool = False
    restarts: list = field(default_factory=list)

    def start(self):
        self.alive, self.restarts, self.children = True, [], list(self.static)
        for child in self.children:
            if not child.start():
                self.stop()
                return False
        return True

    def stop(self):
        for child in reversed(self.children):
            if child.alive:
                child.stop()
        self.children = list(self.static)
        self.alive = False

    def find(self, id):
        return next((c for c in self.children if c.id == id), None)


class Model:
    def __init__(self, root):
        self.root = root
        self.ended = False
        root.start()

    def leaves(self):
        """All (path, supervisors from the root down, leaf) now listed."""

        def walk(sup, above):
            for child in sup.children:
                if isinstance(child, Leaf):
                    yield [*above, sup], child
                else:
                    yield from walk(child, [*above, sup])

        return list(walk(self.root, []))

    def exit(self, above, child, *, crashed, now):
        """`child`, under the supervisors `above`, has ended by itself."""
        sup = above[-1]
        child.alive = False
        if child.restart is Restart.TEMPORARY:
            sup.children.remove(child)
            return
        if child.restart is Restart.TRANSIENT and not crashed:
            return
        failed = child
        while failed is not None:  # each try costs one unit, and begins at the one that failed
            sup.restarts = [t for t in sup.restarts if t >= now - PERIOD] + [now]
            if len(sup.restarts) > sup.intensity:
                sup.stop()
                if len(above) == 1:
                    self.ended = True
                else:  # it exits with reason shutdown
                    self.exit(above[:-1], sup, crashed=False, now=now)
                return
            failed = self.restart_group(sup, failed)

    def restart_group(self, sup, child):
        """Stop and start a child's group; the first one that did not start, if any."""
        index = sup.children.index(child)
        group = {
            Strategy.ONE_FOR_ONE: [child],
            Strategy.ONE_FOR_ALL: list(sup.children),
            Strategy.REST_FOR_ONE: sup.children[index:],
        }[sup.strategy]
        for other in reversed(list(group)):
            if other.alive:
                other.stop()
                if other.restart is Restart.TEMPORARY:
                    sup.children.remove(other)
                    group.remove(other)
        for other in group:
            if not other.start():
                return other
        return None


# --- the real thing


class World:
    def __init__(self, shape):
        self.scopes = {}  # {leaf id: (cancel scope, what to do)}
        self.orders = {}
        self.lives = {}
        self.fails = {}  # {leaf id: how many of its next starts fail}
        self.ended = []  # leaf ids, in the order their lives ended
        self.spec = self.to_spec(shape)

    def leaf(self, id, restart):
        async def live(inbox, *, task_status):
            if self.fails.get(id):
                self.fails[id] -= 1
                raise Boom
            self.lives[id] = self.lives.get(id, 0) + 1
            with trio.CancelScope() as scope:
                self.scopes[id] = scope
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    del self.scopes[id]
                    self.ended.append(id)
            if self.orders.pop(id) == "crash":
                raise Boom

        return ChildSpec(id=id, start=live, restart=restart)

    def to_spec(self, sup):
        return SupervisorSpec(
            id=sup.id,
            strategy=sup.strategy,
            restart=sup.restart,
            limit=RestartLimit(max_restarts=sup.intensity, max_seconds=PERIOD),
            children=[
                self.leaf(c.id, c.restart) if isinstance(c, Leaf) else self.to_spec(c)
                for c in sup.static
            ],
        )

    def order(self, id, what):
        self.orders[id] = what
        self.scopes[id].cancel()


def handle_of(root, path):
    for id in path[1:]:
        root = root.supervisor(id)
    return root


def compare(model, world, root):
    for above, leaf in model.leaves():
        path = [s.id for s in above]
        assert (leaf.id in world.scopes) == leaf.alive, (path, leaf)
        assert world.lives.get(leaf.id, 0) == leaf.lives, (path, leaf)
    listed = {leaf.id for _, leaf in model.leaves()}
    assert set(world.scopes) <= listed
    for above, _ in model.leaves():
        for depth in range(1, len(above) + 1):
            sup = above[depth - 1]
            handle = handle_of(root, [s.id for s in above[:depth]])
            assert [c.id for c in handle.which_children()] == [c.id for c in sup.children]


async def administer(model, world, root, above, leaf, what, counter):
    handle = handle_of(root, [s.id for s in above])
    sup = above[-1]
    if not sup.alive:
        try:
            await handle.terminate_child(leaf.id)
        except (SupervisorStopped, NoSuchChild):
            return
        raise AssertionError("a supervisor that does not run took a request")
    if what == "terminate":
        await handle.terminate_child(leaf.id)
        leaf.stop()
        if leaf.restart is Restart.TEMPORARY:
            sup.children.remove(leaf)
    elif what == "restart":
        try:
            await handle.restart_child(leaf.id)
        except ChildRunning:
            assert leaf.alive
        except StartFailed:
            assert not leaf.alive
            assert not leaf.start()
        else:
            assert not leaf.alive
            assert leaf.start()
    elif what == "delete":
        try:
            await handle.delete_child(leaf.id)
        except ChildRunning:
            assert leaf.alive
        else:
            assert not leaf.alive
            sup.children.remove(leaf)
    else:
        new = Leaf(f"added{counter}", leaf.restart)
        await handle.start_child(world.leaf(new.id, new.restart))
        new.start()
        sup.children.append(new)


async def drive(shape, events, cancels, clock):
    model, world = Model(shape), World(shape)
    host = trio.CancelScope()
    try:
        with host:
            await run(model, world, events, host if cancels else None, clock)
    except* RestartLimitExceeded:
        assert model.ended
    assert world.scopes == {}
    if not model.ended:
        alive = [leaf.id for _, leaf in model.leaves() if leaf.alive]
        assert world.ended == alive[::-1]
        assert host.cancelled_caught == cancels


async def run(model, world, events, host, clock):
    async with open_supervisor(
        world.spec.children,
        strategy=world.spec.strategy,
        limit=world.spec.limit,
        id=world.spec.id,
    ) as root:
        compare(model, world, root)
        for counter, (what, pick, seconds) in enumerate(events):
            clock.jump(seconds)
            leaves = model.leaves()
            if not leaves:
                break
            above, leaf = leaves[pick % len(leaves)]
            if what == "next start fails":
                leaf.fails += 1
                world.fails[leaf.id] = world.fails.get(leaf.id, 0) + 1
            elif what in ("crash", "finish"):
                if not leaf.alive:
                    continue
                model.exit(above, leaf, crashed=what == "crash", now=trio.current_time())
                world.order(leaf.id, what)
                with trio.CancelScope(shield=True):
                    await trio.testing.wait_all_tasks_blocked()
            else:
                await administer(model, world, root, above, leaf, what, counter)
                await trio.testing.wait_all_tasks_blocked()
            await trio.lowlevel.checkpoint()  # the tree's end shows here
            assert not model.ended
            compare(model, world, root)
        world.ended.clear()
        if host is not None:
            host.cancel()
            await trio.sleep_forever()


ids = iter(range(10**9))


@st.composite
def trees(draw, depth=0):
    def child():
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            return draw(trees(depth=depth + 1))
        return Leaf(f"leaf{next(ids)}", draw(st.sampled_from(Restart)))

    return Sup(
        id=f"sup{next(ids)}",
        restart=draw(st.sampled_from(Restart)),
        strategy=draw(st.sampled_from(Strategy)),
        intensity=draw(st.integers(0, 3)),
        static=[child() for _ in range(draw(st.integers(1, 4)))],
    )


events = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("crash", "crash", "crash", "finish", "next start fails"),
                *("terminate", "restart", "delete", "start"),
            ]
        ),
        st.integers(0, 8),
        st.sampled_from([0, 0, 0, 0, 1, 2.5, 5]),
    ),
    max_size=40,
)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(shape=trees(), events=events, cancels=st.booleans())
def test_random_trees_behave_as_the_naive_model_of_otp_says(shape, events, cancels):
    clock = trio.testing.MockClock()
    trio.run(drive, shape, events, cancels, clock, clock=clock)
