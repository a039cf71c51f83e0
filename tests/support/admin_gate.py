"""The operators' gate on a real port, before a cast in memory."""

import json
from contextlib import asynccontextmanager

import attrs
import trio
from support.http_answer import Answer
from support.patience import PATIENCE_SECONDS

from greenroom.node.admin.actor import AdminGate, admin_specs
from greenroom.node.admin.keys import AdminKeyList
from greenroom.node.door.listener import open_listeners
from greenroom.node.identity.revoking import Revoker

OPS = "0123456789abcdef0123456789abcdef-ops"
READER = "fedcba9876543210fedcba9876543210-reader"
KEYS = AdminKeyList().from_text(f"ops={OPS} reader:read={READER}")


@attrs.define
class Gate:
    port: int
    draining: bool = False
    store_error: Exception | None = None

    async def ping_store(self):
        await trio.lowlevel.checkpoint()
        if self.store_error is not None:
            raise self.store_error

    async def exchange(self, raw):
        with trio.fail_after(PATIENCE_SECONDS):
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                await stream.send_all(raw)
                received = bytearray()
                async for chunk in stream:
                    received += chunk
        return Answer(bytes(received))

    async def ask(self, method, path, payload=None, *, key=OPS, **headers):
        body = b"" if payload is None else json.dumps(payload).encode()
        given = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        if payload is not None:
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
        top = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        return await self.exchange(top.encode() + body)

    async def get(self, path, **more):
        answer = await self.ask("GET", f"/v1/{path}", **more)
        assert answer.status == 200, answer.body
        return answer.json

    async def post(self, path, **payload):
        return await self.ask("POST", f"/v1/{path}", payload)


@asynccontextmanager
async def open_gate(stage):
    """The gate of a stage's cast."""
    listeners = await open_listeners("127.0.0.1", 0)
    gate = Gate(listeners[0].socket.getsockname()[1])
    specs = admin_specs(
        AdminGate(
            listeners=listeners,
            tls=None,
            keys=KEYS,
            services=stage.services,
            revoker=Revoker(stage.services),
            draining=lambda: gate.draining,
            ping_store=gate.ping_store,
        )
    )
    for spec in specs:
        await stage.sup.start_child(spec)
    try:
        yield gate
        await stage.sup.terminate_child("operators")
    finally:
        for listener in listeners:
            listener.socket.close()
