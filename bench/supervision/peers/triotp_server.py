"""triotp: a gen_server under its supervisor, as its documentation writes one."""

from time import perf_counter
from typing import Any

import trio
from measure import idle_bytes, main
from triotp import dynamic_supervisor, gen_server, mailbox, supervisor

NO_LIMIT = supervisor.options(max_restarts=10**9, max_seconds=1)


async def terminate(_reason: Any, _state: int) -> None:
    """Nothing to clean up."""


async def handle_call(message: Any, _caller: Any, count: int) -> tuple[Any, int]:
    return gen_server.Reply(payload=count + 1), count + 1


started = trio.Event()


async def handle_cast(message: Any, count: int) -> tuple[Any, int]:
    if message == "stop":
        return gen_server.Stop(), count
    if message == "crash":
        raise RuntimeError(message)
    return gen_server.NoReply(), count + 1


async def server(name: str, ended: trio.Event | None = None) -> None:
    """One life; says when it is ready, which triotp itself does not."""

    class Module:
        terminate = staticmethod(terminate)
        handle_call = staticmethod(handle_call)
        handle_cast = staticmethod(handle_cast)

        @staticmethod
        async def init(_: Any) -> int:
            started.set()
            return 0

    try:
        await gen_server.start(Module, name=name)
    finally:
        if ended is not None:
            ended.set()


def spec(name: str, *args: Any, restart: str = "TEMPORARY") -> supervisor.child_spec:
    how = supervisor.restart_strategy[restart]
    return supervisor.child_spec(id=name, task=server, args=[name, *args], restart=how)


async def ready() -> None:
    global started
    await started.wait()
    started = trio.Event()


async def tell(n: int) -> float:
    mailbox._init()
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.start, [spec("counter")], NO_LIMIT)
        await ready()
        begin = perf_counter()
        for number in range(n):
            await gen_server.cast("counter", number)
        await gen_server.call("counter", "done")
        elapsed = perf_counter() - begin
        nursery.cancel_scope.cancel()
    return elapsed


async def ask(n: int) -> float:
    mailbox._init()
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.start, [spec("counter")], NO_LIMIT)
        await ready()
        begin = perf_counter()
        for number in range(n):
            await gen_server.call("counter", number)
        elapsed = perf_counter() - begin
        nursery.cancel_scope.cancel()
    return elapsed


async def spawn_stop(n: int) -> float:
    mailbox._init()
    async with trio.open_nursery() as nursery:
        pool = await nursery.start(dynamic_supervisor.start, NO_LIMIT, "pool")
        begin = perf_counter()
        for number in range(n):
            ended = trio.Event()
            await dynamic_supervisor.start_child(pool, spec(f"child-{number}", ended))
            await ready()
            await gen_server.cast(f"child-{number}", "stop")
            await ended.wait()
        elapsed = perf_counter() - begin
        nursery.cancel_scope.cancel()
    return elapsed


async def restart(n: int) -> float:
    mailbox._init()
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.start, [spec("counter", restart="PERMANENT")], NO_LIMIT)
        await ready()
        begin = perf_counter()
        for _ in range(n):
            await gen_server.cast("counter", "crash")
            await ready()
        elapsed = perf_counter() - begin
        nursery.cancel_scope.cancel()
    return elapsed


async def memory(n: int) -> float:
    mailbox._init()
    async with trio.open_nursery() as nursery:
        pool = await nursery.start(dynamic_supervisor.start, NO_LIMIT, "pool")
        with idle_bytes(n) as measured:
            for number in range(n):
                await dynamic_supervisor.start_child(pool, spec(f"child-{number}"))
                await ready()
        nursery.cancel_scope.cancel()
    return measured.per_item


async def children(n: int) -> float:
    mailbox._init()
    begin = perf_counter()
    async with trio.open_nursery() as nursery:
        pool = await nursery.start(dynamic_supervisor.start, NO_LIMIT, "pool")
        for number in range(n):
            await dynamic_supervisor.start_child(pool, spec(f"child-{number}"))
            await ready()
        nursery.cancel_scope.cancel()
    return perf_counter() - begin


if __name__ == "__main__":
    main(globals(), trio.run)
