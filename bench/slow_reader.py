"""What one member that reads nothing does to the latency of the 98 others.

    python bench/slow_reader.py [--rounds 3] [--readers 98] [--seconds 30]

A node on one core, its clients on another. In each round a room is measured twice, first
with 98 members that read and then with another one whose receive buffer is 2 KiB and who reads
nothing. An author says 8 KiB ten times a second; the latency of a copy counts from when it was
said. The figure is the ratio of the two 99th percentiles, and must stay below 2.
"""

import argparse
import contextlib
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio
from one_node import running_node, token

from greenroom.client import ClientClosed, Message, Target, open_client

RATE = 10
CONTENT_BYTES = 8 * 1024
TINY_BYTES = 2 * 1024


@attrs.define
class Deaf(trio.abc.Stream):
    """A stream that reads nothing any more once it was told so."""

    stream: trio.SocketStream
    deaf: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.deaf:
            await trio.sleep_forever()
        return bytes(await self.stream.receive_some(max_bytes))

    async def send_all(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def listen(url: str, user: str, room: str, latencies: list[float], *, task_status) -> None:
    async with open_client(url, token=token(user)) as client, client.join(room) as joined:
        task_status.started()
        async for item in joined:
            assert isinstance(item, Message), item
            latencies.append(time.perf_counter() - float(item.content.split()[0]))


@asynccontextmanager
async def deaf_member(url: str, room: str) -> AsyncIterator[None]:
    """A member that reads nothing once it is in the room, and does not come back."""
    streams: list[Deaf] = []

    async def connect(target: Target) -> trio.abc.Stream:
        if streams:
            raise OSError("it does not come back")
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY_BYTES)
        await sock.connect((target.host, target.port))
        streams.append(Deaf(trio.SocketStream(sock)))
        return streams[0]

    with contextlib.suppress(ClientClosed):
        async with (
            open_client(url, token=token("deaf"), connector=connect) as client,
            client.join(room),
        ):
            streams[0].deaf = True
            yield


async def measure(url: str, room: str, readers: int, seconds: float, *, deaf: bool) -> float:
    """The 99th percentile of the readers' latencies, in milliseconds."""
    latencies: list[float] = []
    padding = "x" * CONTENT_BYTES
    async with AsyncExitStack() as stack:
        listening = await stack.enter_async_context(trio.open_nursery())
        for number in range(readers):
            await listening.start(listen, url, f"u{number}", room, latencies)
        if deaf:
            await stack.enter_async_context(deaf_member(url, room))
        author = await stack.enter_async_context(open_client(url, token=token("author")))
        said = await stack.enter_async_context(author.join(room))
        start, count = trio.current_time() + 1, int(seconds * RATE)
        async with trio.open_nursery() as speaking:
            for number in range(count):
                await trio.sleep_until(start + number / RATE)
                speaking.start_soon(said.publish, f"{time.perf_counter()} {padding}")
        with trio.fail_after(30):
            while len(latencies) < count * readers:  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.05)
        listening.cancel_scope.cancel()
    return statistics.quantiles(latencies, n=100)[98] * 1000


async def compare(rounds: int, readers: int, seconds: float) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("needs two cores: one for the node, one for its clients")
    ratios: list[float] = []
    print("round   p99, all read   p99, one reads nothing   ratio")
    for number in range(1, rounds + 1):
        with running_node(cores[0]) as (_, port):
            url = f"ws://127.0.0.1:{port}/ws"
            os.sched_setaffinity(0, {cores[1]})
            before = await measure(url, "calm", readers, seconds, deaf=False)
            after = await measure(url, "disturbed", readers, seconds, deaf=True)
            os.sched_setaffinity(0, cores)
        ratios.append(after / before)
        print(f"{number:5}   {before:10.1f} ms   {after:19.1f} ms   {after / before:5.2f}")
    print(f"median of the ratios: {statistics.median(ratios):.2f} (must stay below 2)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", type=int, default=98)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    options = parser.parse_args()
    trio.run(compare, options.rounds, options.readers, options.seconds)
