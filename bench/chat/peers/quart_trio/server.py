"""A chat server on quart-trio and Hypercorn, after the chat of Quart's tutorial: server.py PORT.

Each connection has a queue and a task that sends what is in it.
"""

import json
import math
import sys
import time

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import websocket
from quart_trio import QuartTrio

app = QuartTrio(__name__)


class Broker:
    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0
        self.members: set[trio.MemorySendChannel[str]] = set()

    def publish(self, sender: trio.MemorySendChannel[str], user: str, content: str) -> None:
        self.offset += 1
        message = {
            "type": "MESSAGE",
            "room": self.name,
            "offset": self.offset,
            "user": user,
            "content": content,
            "timestamp": int(time.time() * 1000),
        }
        text = json.dumps(message)
        for member in self.members:
            if member is not sender:
                member.send_nowait(text)


brokers: dict[str, Broker] = {}


async def send_all(queue: trio.MemoryReceiveChannel[str]) -> None:
    async for text in queue:
        await websocket.send(text)


@app.websocket("/ws")
async def chat() -> None:
    asked = await websocket.receive_json()
    user = asked["user"]
    broker = brokers.setdefault(asked["room"], Broker(asked["room"]))
    send, receive = trio.open_memory_channel[str](math.inf)
    broker.members.add(send)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, receive)
            send.send_nowait(json.dumps({"type": "JOINED", "room": broker.name}))
            while True:
                asked = await websocket.receive_json()
                broker.publish(send, user, asked["content"])
    finally:
        broker.members.discard(send)


@app.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.errorlog = None
    trio.run(serve, app, config)
