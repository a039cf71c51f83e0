"""A scripted node over in-memory streams: real WebSocket frames, no sockets, no real time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from greenroom.client import Client, Target, open_client
from greenroom.protocol import (
    JSON_CODEC,
    Ack,
    Answer,
    Auth,
    AuthOk,
    Command,
    Heartbeat,
    Join,
    JoinOk,
    Leave,
    Limits,
    Message,
    Publish,
)

URL = "ws://node.test/ws"
EPOCH = "e1"


class Peer:
    """The node's end of one connection, in the hands of a test's script."""

    def __init__(self, ws: WebSocketConnection, stream: trio.abc.Stream, number: int) -> None:
        self.ws, self.stream, self.number = ws, stream, number
        self.heartbeats: list[Heartbeat] = []
        self.answer_heartbeats = True

    async def receive(self) -> Command:
        """The next command that is no HEARTBEAT; those are answered in passing."""
        while True:
            command = JSON_CODEC.decode_command(await self.ws.get_message())
            if not isinstance(command, Heartbeat):
                return command
            self.heartbeats.append(command)
            if self.answer_heartbeats and command.echo is None:
                await self.send(Heartbeat(timestamp=0, echo=command.timestamp))

    async def expect(self, kind):
        command = await self.receive()
        assert isinstance(command, kind), command
        return command

    async def send(self, *answers: Answer) -> None:
        for answer in answers:
            await self.ws.send_message(JSON_CODEC.encode(answer).decode())

    async def accept_auth(self, **changes) -> Auth:
        auth = await self.expect(Auth)
        fields = {
            "connection": f"c{self.number}",
            "session": "s",
            "node": "n",
            "user": "ann",
            "expires": 0,
            "heartbeat_ms": 25_000,
            "limits": Limits(),
        }
        await self.send(AuthOk(id=auth.id, **(fields | changes)))
        return auth

    async def accept_join(self, offset=0, *, messages=(), recovered=False, epoch=EPOCH) -> Join:
        join = await self.expect(Join)
        await self.send(join_ok(join, offset, messages, recovered, epoch))
        return join

    async def welcome(self, offset=0) -> Join:
        """AUTH and one JOIN."""
        await self.accept_auth()
        return await self.accept_join(offset)

    async def idle(self) -> None:
        """Answer heartbeats until the client goes."""
        while True:
            await self.expect(Leave)

    async def drop(self) -> None:
        """The network is gone: no CLOSE, just the end."""
        await trio.aclose_forcefully(self.stream)
        await trio.sleep_forever()


def join_ok(join: Join, offset, messages=(), recovered=False, epoch=EPOCH) -> JoinOk:
    return JoinOk(
        id=join.id,
        room=join.room,
        epoch=epoch,
        offset=offset,
        recovered=recovered,
        messages=tuple(messages),
        members=1,
    )


def message(offset: int, *, epoch=EPOCH, room="lobby", content=None) -> Message:
    return Message(
        room=room,
        epoch=epoch,
        offset=offset,
        message_id=offset,
        user="bob",
        content=content or f"m{offset}",
        timestamp=offset,
    )


def ack(publish: Publish, offset: int, *, duplicate=False) -> Ack:
    return Ack(
        id=publish.id,
        room=publish.room,
        message_id=offset,
        epoch=EPOCH,
        offset=offset,
        timestamp=offset,
        status=0,
        duplicate=duplicate,
    )


Script = Callable[[Peer], Awaitable[object]]


class FakeNode:
    """Serves the n-th connection with the n-th script; those after the last one are refused."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.connected_at: list[float] = []
        self.nursery: trio.Nursery

    async def connect(self, target: Target) -> trio.abc.Stream:
        number = len(self.connected_at)
        self.connected_at.append(trio.current_time())
        if number >= len(self.scripts):
            raise ConnectionRefusedError("nobody listens")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs, number)
        return ours

    async def serve(self, stream: trio.abc.Stream, number: int) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            ws = await request.accept(subprotocol=request.proposed_subprotocols[0])
            try:
                await self.scripts[number](Peer(ws, stream, number))
            except* ConnectionClosed:
                pass
            await ws.aclose()
            nursery.cancel_scope.cancel()


class Fixed(Random):
    """Full jitter at its ceiling, so that waits are round numbers."""

    def uniform(self, a: float, b: float) -> float:
        return b


@asynccontextmanager
async def connected(node: FakeNode, *, token="t", **options) -> AsyncIterator[Client]:
    # Mock seconds: a test that waits for what never comes fails at once instead of hanging.
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            node.nursery = nursery
            async with open_client(
                URL, token=token, random=Fixed(), **({"connector": node.connect} | options)
            ) as client:
                yield client
            nursery.cancel_scope.cancel()


def raw(node: FakeNode, answer: bytes | None):
    """A connector to a peer that answers the upgrade with `answer`; None: never."""

    async def serve(stream):
        await stream.receive_some()
        if answer is None:
            await trio.sleep_forever()
        await stream.send_all(answer)
        if answer:
            await trio.sleep_forever()
        await stream.send_eof()

    async def connect(target):
        node.connected_at.append(trio.current_time())
        ours, theirs = trio.testing.memory_stream_pair()
        node.nursery.start_soon(serve, theirs)
        return ours

    return connect
