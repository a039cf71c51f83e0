"""A whole node in this process, and clients of its wire format without our client library."""

import json
import os
import signal
from contextlib import asynccontextmanager

import attrs
import trio
from trio_websocket import wrap_client_stream

from greenroom.node.serve import serve
from greenroom.node.settings.record import Settings


@attrs.define
class Client:
    """A client of the wire format, without our client library."""

    socket: object
    pushes: list = attrs.field(factory=list)
    last_id: int = 0

    async def send(self, **message):
        await self.socket.send_message(json.dumps(message))

    async def next(self):
        return json.loads(await self.socket.get_message())

    async def ask(self, **command):
        self.last_id += 1
        await self.send(id=self.last_id, **command)
        while True:
            answer = await self.next()
            if answer.get("id") == self.last_id:
                return answer
            self.pushes.append(answer)

    async def push(self, kind):
        """Return the next push of a kind, leaving out the others."""
        while True:
            message = self.pushes.pop(0) if self.pushes else await self.next()
            if message["type"] == kind:
                return message


@attrs.define
class Running:
    port: int
    stopped: bool = False

    def stop(self):
        if not self.stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        self.stopped = True

    async def http(self, method, path, payload=None, **headers):
        body = b"" if payload is None else json.dumps(payload).encode()
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **headers,
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all("\r\n".join(lines).encode() + body)
            raw = bytearray()
            async for chunk in stream:
                raw += chunk
        top, _, body = bytes(raw).partition(b"\r\n\r\n")
        return int(top.split()[1]), body

    @asynccontextmanager
    async def connect(self):
        async with (
            await trio.open_tcp_stream("127.0.0.1", self.port) as stream,
            trio.open_nursery() as nursery,
        ):
            yield Client(await wrap_client_stream(nursery, stream, "127.0.0.1", "/ws"))
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def sign_in(self, name, room="lobby"):
        _status, body = await self.http("POST", "/api/guest", {"name": name})
        async with self.connect() as client:
            welcome = await client.ask(type="AUTH", token=json.loads(body)["token"])
            assert welcome["type"] == "AUTH_OK", welcome
            joined = await client.ask(type="JOIN", room=room)
            assert joined["type"] == "JOIN_OK", joined
            yield client


@asynccontextmanager
async def running(data, **settings):
    # A node that has ended already must not let the signal reach pytest; nor may what a later test
    # starts inherit that it is ignored.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(
                lambda task_status: serve(
                    Settings(port=0, data=data, **settings), task_status=task_status
                )
            )
            node = Running(int(url.rstrip("/").rpartition(":")[2]))
            try:
                yield node
            finally:
                node.stop()
    finally:
        signal.signal(signal.SIGTERM, before)
