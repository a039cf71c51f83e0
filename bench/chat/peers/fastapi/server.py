"""A chat server on FastAPI and uvicorn, after FastAPI's own ConnectionManager: server.py PORT."""

import json
import sys
import time

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


class ConnectionManager:
    def __init__(self) -> None:
        self.rooms: dict[str, dict[WebSocket, None]] = {}
        self.offsets: dict[str, int] = {}

    def join(self, room: str, websocket: WebSocket) -> None:
        self.rooms.setdefault(room, {})[websocket] = None

    def leave(self, room: str, websocket: WebSocket) -> None:
        self.rooms[room].pop(websocket, None)

    async def publish(self, room: str, sender: WebSocket, user: str, content: str) -> None:
        offset = self.offsets[room] = self.offsets.get(room, 0) + 1
        message = {
            "type": "MESSAGE",
            "room": room,
            "offset": offset,
            "user": user,
            "content": content,
            "timestamp": int(time.time() * 1000),
        }
        text = json.dumps(message)
        for member in list(self.rooms[room]):
            if member is not sender:
                await member.send_text(text)


manager = ConnectionManager()


@app.websocket("/ws")
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    asked = await websocket.receive_json()
    room, user = asked["room"], asked["user"]
    manager.join(room, websocket)
    try:
        await websocket.send_json({"type": "JOINED", "room": room})
        while True:
            asked = await websocket.receive_json()
            await manager.publish(room, websocket, user, asked["content"])
    except WebSocketDisconnect:
        pass
    finally:
        manager.leave(room, websocket)


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        log_level="critical",
        access_log=False,
        ws_per_message_deflate=False,
    )
