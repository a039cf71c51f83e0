"""The floor: a Trio task with a memory channel, and no supervisor anywhere."""

from time import perf_counter

import trio
from measure import CAPACITY, idle_bytes, main


async def consume(receive: trio.MemoryReceiveChannel[object]) -> int:
    count = 0
    async for _ in receive:
        count += 1
    return count


async def tell(n: int) -> float:
    send, receive = trio.open_memory_channel[object](CAPACITY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume, receive)
        begin = perf_counter()
        for number in range(n):
            await send.send(number)
        send.close()
    return perf_counter() - begin


async def answer(receive: trio.MemoryReceiveChannel[trio.MemorySendChannel[int]]) -> None:
    count = 0
    async for reply_to in receive:
        count += 1
        reply_to.send_nowait(count)


async def ask(n: int) -> float:
    send, receive = trio.open_memory_channel[trio.MemorySendChannel[int]](CAPACITY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, receive)
        begin = perf_counter()
        for _ in range(n):
            reply_to, reply = trio.open_memory_channel[int](1)
            await send.send(reply_to)
            await reply.receive()
        elapsed = perf_counter() - begin
        send.close()
    return elapsed


class Task:
    """What anybody needs to stop one task and know that it has ended."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.send, self.receive = trio.open_memory_channel[object](CAPACITY)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            task_status.started()
            await consume(self.receive)
        self.ended.set()

    async def stop(self) -> None:
        self.scope.cancel()
        await self.ended.wait()


async def spawn_stop(n: int) -> float:
    async with trio.open_nursery() as nursery:
        begin = perf_counter()
        for _ in range(n):
            task = Task()
            await nursery.start(task.run)
            await task.stop()
        return perf_counter() - begin


async def restart(n: int) -> float:
    """A loop that opens a nursery for each life, as one writes it by hand."""
    send, receive = trio.open_memory_channel[str](CAPACITY)
    alive = trio.Event()

    async def life(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        alive.set()
        async for message in receive:
            raise RuntimeError(message)

    async def lives() -> None:
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(life)
            except* RuntimeError:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lives)
        await alive.wait()
        begin = perf_counter()
        for _ in range(n):
            alive = trio.Event()
            await send.send("crash")
            await alive.wait()
        elapsed = perf_counter() - begin
        nursery.cancel_scope.cancel()
    return elapsed


async def memory(n: int) -> float:
    async with trio.open_nursery() as nursery:
        with idle_bytes(n) as measured:
            tasks = [Task() for _ in range(n)]
            for task in tasks:
                await nursery.start(task.run)
        nursery.cancel_scope.cancel()
    return measured.per_item


async def children(n: int) -> float:
    begin = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            await nursery.start(Task().run)
        nursery.cancel_scope.cancel()
    return perf_counter() - begin


if __name__ == "__main__":
    main(globals(), trio.run)
