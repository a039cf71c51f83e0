"""A chat server on python-socketio, as ASGI on uvicorn: server.py PORT."""

import sys
import time
from collections import Counter

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
offsets: Counter[str] = Counter()


@sio.event
async def join(sid, asked):
    await sio.save_session(sid, asked)
    await sio.enter_room(sid, asked["room"])
    return {"room": asked["room"]}


@sio.event
async def publish(sid, asked):
    session = await sio.get_session(sid)
    room = session["room"]
    offsets[room] += 1
    message = {
        "room": room,
        "offset": offsets[room],
        "user": session["user"],
        "content": asked["content"],
        "timestamp": int(time.time() * 1000),
    }
    await sio.emit("message", message, room=room, skip_sid=sid)


@sio.event
async def echo(sid, asked):
    return asked


if __name__ == "__main__":
    app = socketio.ASGIApp(sio)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False)
