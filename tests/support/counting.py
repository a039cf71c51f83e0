"""Counts what a node does for a fixed script, so that a figure is the same on every machine.

A node of the cast serves clients on socket pairs: real sockets, so the node takes the same path as
in production, and no network, so nothing depends on time. The clock stands still unless the script
moves it, the scheduler is seeded, and the script is one task that waits until the node has nothing
left to do before it goes on. What is counted happens in the node's tasks alone:

- *calls* of Python functions, whoever wrote them: the nearest thing to instructions that is the
  same everywhere, and what an interpreter's time goes into;
- *steps*: how often the scheduler ran one of the tasks;
- *sends* and *receives*: system calls on sockets.
"""

import gc
import json
import posix
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio
import trio.testing
from support.cast_stage import Stage, open_stage
from support.wire import frame, request

from greenroom.protocol import JSON_CODEC
from greenroom.supervisor.testing import seeded_scheduler

SYSTEM_CALLS = {
    **dict.fromkeys(("send", "sendmsg", "write", "writev"), "sends"),
    **dict.fromkeys(("recv", "recv_into", "recvmsg", "read", "readv"), "receives"),
}


@attrs.define
class Work:
    """What the node did."""

    calls: int = 0
    steps: int = 0
    sends: int = 0
    receives: int = 0

    def per(self, count: int) -> "Work":
        return Work(*(value / count for value in attrs.astuple(self)))


class Meter(trio.abc.Instrument):
    """Counts while switched on; the task that made it is the script's and is left out."""

    def __init__(self) -> None:
        self.work = Work()
        self.by_task: Counter[str] = Counter()  # steps, by the task's name
        self._script = trio.lowlevel.current_task()
        self._inside = False

    def before_task_step(self, task) -> None:
        self._inside = task is not self._script
        if self._inside:
            self.work.steps += 1
            self.by_task[task.name] += 1

    def after_task_step(self, task) -> None:
        self._inside = False

    def profile(self, _frame, event, arg) -> None:
        if not self._inside:
            return
        if event == "call":
            self.work.calls += 1
        elif event == "c_call" and arg.__name__ in SYSTEM_CALLS and is_system_call(arg):
            counter = SYSTEM_CALLS[arg.__name__]
            setattr(self.work, counter, getattr(self.work, counter) + 1)


def is_system_call(function) -> bool:
    """Whether it belongs to a socket, or to `os`."""
    owner = function.__self__
    return isinstance(owner, socket.SocketType) or owner is posix


@contextmanager
def counted():
    """Count what the node does inside the block."""
    meter = Meter()
    trio.lowlevel.add_instrument(meter)
    before = sys.getprofile()
    gc.disable()  # what it finds, and what that calls, depends on what ran before
    sys.setprofile(meter.profile)
    try:
        yield meter
    finally:
        sys.setprofile(before)
        gc.enable()
        trio.lowlevel.remove_instrument(meter)


class RawClient:
    """A client that frames by hand and never waits: all its work is done outside the count."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._last_id = 0

    def send(self, **message) -> None:
        self._last_id += 1
        self._sock.sendall(frame(1, json.dumps({"id": self._last_id, **message}).encode()))

    def send_bytes(self, data: bytes) -> None:
        self._sock.sendall(data)

    def take(self) -> bytes:
        """All that has come."""
        received = bytearray()
        try:
            while data := self._sock.recv(2**20):
                received += data
        except BlockingIOError:
            pass
        return bytes(received)

    def close(self) -> None:
        self._sock.close()


@attrs.define
class Scene:
    """A stage whose clients are raw."""

    stage: Stage
    clock: trio.testing.MockClock
    clients: list[RawClient]
    """All that have connected."""

    async def connect(self, *, subprotocol: str = JSON_CODEC.subprotocol) -> RawClient:
        """A client after the handshake."""
        client, _ref = await self.stage.raw()
        client.send_bytes(request(Sec_WebSocket_Protocol=subprotocol.encode()))
        await self.settle()
        assert client.take().startswith(b"HTTP/1.1 101")
        return client

    async def member(self, user: str, room: str) -> RawClient:
        """A client after AUTH and JOIN."""
        client = await self.connect()
        await self.enter(client, user, room)
        return client

    async def enter(self, client: RawClient, user: str, room: str) -> None:
        client.send(type="AUTH", token=self.stage.token(user))
        await self.settle()
        client.send(type="JOIN", room=room)
        await self.settle()
        answers = client.take()
        assert b"AUTH_OK" in answers, answers
        assert b"JOIN_OK" in answers, answers

    async def members(self, count: int, room: str) -> list[RawClient]:
        """Members of one room, once everybody has been told of everybody."""
        clients = [await self.member(f"u{number}", room) for number in range(count)]
        await self.pass_time(1.0)
        for client in clients:
            client.take()
        return clients

    async def settle(self) -> None:
        """Until the node has nothing left to do."""
        await trio.testing.wait_all_tasks_blocked()

    async def pass_time(self, seconds: float, *, step: float = 0.25) -> None:
        """Let time go by in steps, as timers see it."""
        for _ in range(round(seconds / step)):
            self.clock.jump(step)
            await self.settle()


def play(script: Callable[[Scene], Awaitable[object]], *, seed: int = 1, **limits):
    """Run a script; what it returns is the same each time."""

    async def main():
        async with scene(clock, **limits) as opened:
            return await script(opened)

    gc.collect()
    clock = trio.testing.MockClock()
    with seeded_scheduler(seed):
        return trio.run(main, clock=clock)


@asynccontextmanager
async def scene(clock: trio.testing.MockClock, **limits):
    clients = []

    def socket_pair():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        clients.append(RawClient(ours))
        return clients[-1], stream

    # The stage takes its streams from there, by this name.
    in_memory, trio.testing.memory_stream_pair = trio.testing.memory_stream_pair, socket_pair
    try:
        async with open_stage(**limits) as stage:
            try:
                yield Scene(stage, clock, clients)
            finally:
                for client in clients:
                    client.close()
                clock.autojump_threshold = 0  # nobody counts any more: graces may pass at once
    finally:
        trio.testing.memory_stream_pair = in_memory
