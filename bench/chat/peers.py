"""Who is compared: how each server is built, started and talked to, and what it takes part in.

A peer is left out of a session where its figure would tell nothing new, to keep a run short.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
from goals import DURABLE, OURS
from loads import MOST_CONNECTIONS
from workshop import PEERS, Workshop

SECRET = "only-for-a-benchmark-on-loopback-0123456789"
EVERY = ("small", "room-100", "room-1000", "slow", "rooms-100", "rooms-500", "room-5000")
ONE_CORE_GO = {"GOMAXPROCS": "1"}
PRODUCTION = {"NODE_ENV": "production"}
RATES = {
    "GREENROOM_CONNECT_RATE": "1M/s burst 10M",
    "GREENROOM_REQUEST_RATE": "1M/s burst 10M",
    "GREENROOM_PUBLISH_RATE": "1M/s burst 10M",
    "GREENROOM_PUBLISH_BYTES_RATE": "10000M/s burst 100000M",
    "GREENROOM_JOIN_RATE": "1M/s burst 10M",
    "GREENROOM_HISTORY_RATE": "1M/s burst 10M",
    "GREENROOM_FRAME_RATE": "1M/s burst 10M",
    "GREENROOM_ROOM_EGRESS_RATE": "100000M/s burst 1000000M",
}
"""More than one core reaches: the generator is one address, and says as much as it can. All is
counted all the same, for connection, user, address and room, so its cost is in the figures."""


@attrs.frozen
class Start:
    """How to start a server on a port."""

    command: tuple[str, ...]
    environ: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Peer:
    """One column of the table."""

    name: str
    title: str
    make: Callable[[Workshop, int, Path], Start]
    """Build it and say how it starts, given a port and an empty directory of its own."""
    dialect: str = "plain"
    sessions: tuple[str, ...] = EVERY
    room_prefix: str = "ephemeral:"
    """As long for everybody, so that messages differ in what the server adds alone."""
    keys: bool = False
    """Whether a publish carries an idempotency key: as clients do where messages are kept."""

    optional: bool = False
    """Measured only when it is named."""

    def takes_part(self, session: str) -> bool:
        return session in self.sessions


def _greenroom(shop: Workshop, port: int, data: Path) -> Start:
    command = (str(shop.our_python()), "-m", "greenroom.node", "serve", "--production")
    return Start(
        (*command, "--port", str(port), "--data", str(data / "data")),
        {
            "GREENROOM_JWT_SECRET": SECRET,
            **RATES,
            "GREENROOM_MAX_CONNECTIONS": str(2 * MOST_CONNECTIONS),
            "GREENROOM_MAX_CONNECTIONS_PER_ADDRESS": str(2 * MOST_CONNECTIONS),
        },
    )


def _floor(shop: Workshop, port: int, data: Path) -> Start:
    return Start((str(shop.floor()), str(port)))


def _gin(way: str) -> Callable[[Workshop, int, Path], Start]:
    return lambda shop, port, data: Start((str(shop.gin()), str(port), way), ONE_CORE_GO)


def _node(folder: str) -> Callable[[Workshop, int, Path], Start]:
    def make(shop: Workshop, port: int, data: Path) -> Start:
        node, script = shop.node(folder)
        return Start((node, str(script), str(port)), PRODUCTION)

    return make


def _python(folder: str, *more: str) -> Callable[[Workshop, int, Path], Start]:
    script = str(PEERS / folder / "server.py")
    return lambda shop, port, data: Start((str(shop.peers_python()), script, str(port), *more))


def _cowboy(shop: Workshop, port: int, data: Path) -> Start:
    erl, libraries, code = shop.cowboy()
    command = (erl, "-noshell", "-noinput", "+S", "1:1", "+sbwt", "none", "-pa", str(code))
    return Start((*command, "-run", "chat_server", "main", str(port)), {"ERL_LIBS": str(libraries)})


PEERS_IN_ORDER = (
    Peer(
        OURS,
        "Greenroom",
        _greenroom,
        dialect="greenroom",
    ),
    Peer(
        DURABLE,
        "Greenroom, durable room",
        _greenroom,
        dialect="greenroom",
        sessions=("small", "room-100"),
        room_prefix="permanent:",
        keys=True,
    ),
    Peer("gin-write", "Gin + gorilla, write each", _gin("write")),
    Peer(
        "gin-prepared",
        "Gin + gorilla, PreparedMessage",
        _gin("prepared"),
        sessions=("room-100", "room-1000"),
    ),
    Peer(
        "gin-pump",
        "Gin + gorilla, coalescing pump",
        _gin("pump"),
        sessions=("room-100", "room-1000", "slow", "rooms-100", "room-5000"),
    ),
    Peer("ws", "ws", _node("ws")),
    Peer(
        "socketio",
        "Socket.IO",
        _node("socketio"),
        dialect="socketio",
        sessions=("small", "room-100", "room-1000", "rooms-100", "rooms-500"),
    ),
    Peer(
        "cowboy",
        "cowboy",
        _cowboy,
        sessions=("small", "room-100", "room-1000", "rooms-100", "rooms-500", "room-5000"),
    ),
    Peer(
        "websockets",
        "Python websockets",
        _python("websockets"),
        sessions=("small", "room-100", "room-1000", "rooms-100", "rooms-500"),
    ),
    Peer(
        "websockets-uvloop",
        "Python websockets on uvloop",
        _python("websockets", "uvloop"),
        optional=True,
        sessions=("small", "room-100", "rooms-100"),
    ),
    Peer(
        "python-socketio",
        "python-socketio",
        _python("python_socketio"),
        dialect="socketio",
        sessions=("small", "room-100", "rooms-100"),
    ),
    Peer(
        "fastapi",
        "FastAPI on uvicorn",
        _python("fastapi"),
        sessions=("small", "rooms-100"),
    ),
    Peer(
        "quart-trio",
        "quart-trio on Hypercorn",
        _python("quart_trio"),
        sessions=("small", "rooms-100"),
    ),
    Peer(
        "floor",
        "floor (C, epoll)",
        _floor,
        sessions=("small", "room-100", "room-1000", "rooms-100", "room-5000"),
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS_IN_ORDER}
