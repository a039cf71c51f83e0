"""A chat server on `websockets` and its `broadcast`: server.py PORT [uvloop].

On asyncio's own loop, as its documentation begins; or on uvloop.
"""

import asyncio
import json
import logging
import sys
import time

from websockets.asyncio.server import ServerConnection, broadcast, serve


class Room:
    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0
        self.members: set[ServerConnection] = set()

    def publish(self, sender: ServerConnection, user: str, content: str) -> None:
        self.offset += 1
        message = {
            "type": "MESSAGE",
            "room": self.name,
            "offset": self.offset,
            "user": user,
            "content": content,
            "timestamp": int(time.time() * 1000),
        }
        broadcast(self.members - {sender}, json.dumps(message))


rooms: dict[str, Room] = {}


async def chat(websocket: ServerConnection) -> None:
    asked = json.loads(await websocket.recv())
    user = asked["user"]
    room = rooms.setdefault(asked["room"], Room(asked["room"]))
    room.members.add(websocket)
    try:
        await websocket.send(json.dumps({"type": "JOINED", "room": room.name}))
        async for text in websocket:
            room.publish(websocket, user, json.loads(text)["content"])
    finally:
        room.members.discard(websocket)


async def echo(websocket: ServerConnection) -> None:
    async for text in websocket:
        await websocket.send(text)


async def route(websocket: ServerConnection) -> None:
    await (echo if websocket.request.path == "/echo" else chat)(websocket)


async def main(port: int) -> None:
    async with serve(route, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.disable()
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.run(main(int(sys.argv[1])))
    else:
        asyncio.run(main(int(sys.argv[1])))
