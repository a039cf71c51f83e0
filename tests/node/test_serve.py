"""A whole node: page, guests, chat and history through the real cast, and an orderly end."""

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from greenroom.node.serve import serve
from greenroom.node.settings import Settings

pytestmark = pytest.mark.socket


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


async def test_two_guests_chat(tmp_path):
    async with running(tmp_path) as node, node.sign_in("ann") as ann, node.sign_in("bob") as bob:
        ack = await ann.ask(type="PUBLISH", room="lobby", key="k1", content="hello bob")
        assert (ack["type"], ack["offset"], ack["duplicate"]) == ("ACK", 1, False)
        message = await bob.push("MESSAGE")
        assert (message["user"], message["content"], message["offset"]) == ("ann", "hello bob", 1)


async def test_history_survives_a_restart(tmp_path):
    for expected in ([], ["one"]):
        async with running(tmp_path) as node, node.sign_in("ann") as ann:
            history = await ann.ask(type="HISTORY", room="lobby", limit=10)
            assert [message["content"] for message in history["messages"]] == expected
            ack = await ann.ask(type="PUBLISH", room="lobby", key="k1", content="one")
            assert ack["offset"] == 1
            assert ack["duplicate"] is bool(expected)


async def test_a_token_of_another_node_is_refused(tmp_path):
    async with running(tmp_path / "a") as one:
        _status, body = await one.http("POST", "/api/guest", {"name": "ann"})
    async with running(tmp_path / "b") as other, other.connect() as client:
        answer = await client.ask(type="AUTH", token=json.loads(body)["token"])
        assert (answer["type"], answer["code"]) == ("ERROR", 101)
        with pytest.raises(ConnectionClosed) as caught:
            await client.next()
        assert caught.value.reason.code == 4500


async def test_the_page_and_readiness_are_served_beside_the_sockets(tmp_path):
    async with running(tmp_path) as node:
        assert (await node.http("GET", "/readyz"))[0] == 200
        assert (await node.http("GET", "/nothing"))[0] == 404


async def test_one_more_than_the_limit_is_503(tmp_path):
    async with running(tmp_path, max_connections=1) as node, node.sign_in("ann"):
        handshake = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        status, body = await node.http("GET", "/ws", **handshake)
        assert (status, body) == (503, b"This node has no free place.\n")


async def test_draining_tells_the_clients_and_frees_everything(tmp_path):
    """DRAIN, then 4001; afterwards neither port nor directory is taken."""
    async with running(tmp_path) as node, node.sign_in("ann") as ann:
        node.stop()
        assert (await ann.push("DRAIN"))["spread_ms"] > 0
        with pytest.raises(ConnectionClosed) as caught:
            await ann.next()
        assert caught.value.reason.code == 4001
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", node.port)
    async with running(tmp_path):
        pass


@pytest.mark.kill
def test_the_process_says_its_url_and_ends_with_0_on_sigterm(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom.node", "serve", "--port", "0", "--data", tmp_path / "d"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        lines = []
        for text in process.stderr:
            lines.append(json.loads(text))
            if lines[-1]["event"] == "listening":
                break
        assert lines[-1]["url"].startswith("http://127.0.0.1:")
        assert any("development node" in line["event"] for line in lines)
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(text)["event"] for text in process.stderr]
    assert process.returncode == 0
    assert rest == ["draining", "stopped"]
