"""Greenroom: function actors under a supervisor, with the defaults anybody gets."""

from time import perf_counter

import attrs
import trio
from measure import CAPACITY, idle_bytes, main

from greenroom.supervisor import (
    ChildSpec,
    Inbox,
    Restart,
    RestartLimit,
    Supervisor,
    SupervisorSpec,
    open_supervisor,
)


@attrs.frozen
class Crash:
    """Makes the actor raise."""


@attrs.frozen
class Count:
    """Asks for how many messages have come."""


async def counter(
    inbox: Inbox[object],
    lives: list[trio.Event] | None = None,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Count what comes; `lives` holds the event to set when a life begins."""
    count = 0
    task_status.started()
    if lives is not None:
        lives[0].set()
    async for message in inbox:
        match message:
            case Count():
                inbox.reply(count)
            case Crash():
                raise RuntimeError("crash")
            case _:
                count += 1


def spec(name: str, *args: object, restart: Restart = Restart.TEMPORARY) -> ChildSpec[object]:
    return ChildSpec(id=name, start=counter, args=args, restart=restart, inbox_capacity=CAPACITY)


async def tell(n: int) -> float:
    async with open_supervisor([spec("counter")]) as supervisor:
        ref = supervisor.ref("counter")
        begin = perf_counter()
        for number in range(n):
            await ref.tell(number)
        assert await ref.ask(Count()) == n
        elapsed = perf_counter() - begin
        await supervisor.stop()
    return elapsed


async def ask(n: int) -> float:
    async with open_supervisor([spec("counter")]) as supervisor:
        ref = supervisor.ref("counter")
        begin = perf_counter()
        for _ in range(n):
            await ref.ask(Count())
        elapsed = perf_counter() - begin
        await supervisor.stop()
    return elapsed


async def pool(supervisor: Supervisor) -> Supervisor:
    return await supervisor.start_supervisor(SupervisorSpec(id="pool", dynamic=True))


async def spawn_stop(n: int) -> float:
    async with open_supervisor() as supervisor:
        children = await pool(supervisor)
        begin = perf_counter()
        for _ in range(n):
            await children.start_child(spec("child"))
            await children.terminate_child("child")
        elapsed = perf_counter() - begin
        await supervisor.stop()
    return elapsed


async def restart(n: int) -> float:
    lives = [trio.Event()]
    limit = RestartLimit(max_restarts=10**9, max_seconds=1)
    crashing = spec("counter", lives, restart=Restart.PERMANENT)
    async with open_supervisor([crashing], limit=limit) as supervisor:
        ref = supervisor.ref("counter")
        begin = perf_counter()
        for _ in range(n):
            lives[0] = trio.Event()
            await ref.tell(Crash())
            await lives[0].wait()
        elapsed = perf_counter() - begin
        await supervisor.stop()
    return elapsed


async def memory(n: int) -> float:
    async with open_supervisor() as supervisor:
        children = await pool(supervisor)
        with idle_bytes(n) as measured:
            for number in range(n):
                await children.start_child(spec(f"child-{number}"))
        await supervisor.stop()
    return measured.per_item


async def children(n: int) -> float:
    begin = perf_counter()
    async with open_supervisor() as supervisor:
        children = await pool(supervisor)
        for number in range(n):
            await children.start_child(spec(f"child-{number}"))
        await supervisor.stop()
    return perf_counter() - begin


if __name__ == "__main__":
    main(globals(), trio.run)
