"""What ends is freed when it ends, and not by the garbage collector.

At each of its looks everybody stands still, the longer the more there is; so there should be little
to look for. Whoever adds a reference from a part back to its whole fails here: let go of one of the
two at the end, as `Host.dissolve` does.
"""

import gc

import pytest
from support.counting import play
from support.garbage import nothing_left_to_the_collector
from support.wire import frame, request

from greenroom.actors.connection.connection import Host
from greenroom.actors.connection.dialogue import Dialogue
from greenroom.actors.room.room import Floor
from greenroom.protocol import CloseCode

EPHEMERAL = "ephemeral:x"
DURABLE = "x"
ENOUGH_SECONDS = 60  # for sessions, empty rooms and timers


async def no_request(scene):
    await scene.stage.raw()


async def another_request(scene):
    client, _ = await scene.stage.raw()
    client.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
    await scene.settle()
    assert client.take().startswith(b"HTTP/1.1 400")


async def unknown_subprotocol(scene):
    client, _ = await scene.stage.raw()
    client.send_bytes(request(Sec_WebSocket_Protocol=b"chat"))
    await scene.settle()
    assert client.take().startswith(b"HTTP/1.1 400")


async def no_auth(scene):
    await scene.connect()


async def auth_overdue(scene):
    await scene.connect()
    await scene.pass_time(20)


async def bad_token(scene):
    client = await scene.connect()
    client.send(type="AUTH", token="a.b.c")
    await scene.settle()
    assert b'"ERROR"' in client.take()


async def member(scene):
    await scene.member("ann", EPHEMERAL)


async def durable_member(scene):
    client = await scene.member("ann", DURABLE)
    client.send(type="PUBLISH", room=DURABLE, content="hi")
    client.send(type="HISTORY", room=DURABLE, limit=10)
    client.send(type="PRESENCE", room=DURABLE)
    await scene.settle()
    assert client.take().count(b'"id"') == 3


async def member_who_left(scene):
    client = await scene.member("ann", EPHEMERAL)
    client.send(type="LEAVE", room=EPHEMERAL)
    await scene.settle()


async def goodbye(scene):
    client = await scene.member("ann", EPHEMERAL)
    client.send_bytes(frame(8, (1000).to_bytes(2, "big")))


async def violation(scene):
    client = await scene.member("ann", EPHEMERAL)
    client.send_bytes(b"\xff" * 14)


async def fragments(scene):
    client = await scene.member("ann", EPHEMERAL)
    client.send_bytes(frame(1, b"half", fin=False))


async def silence(scene):
    await scene.member("ann", EPHEMERAL)
    await scene.pass_time(60)


async def slow_reader(scene):
    client = await scene.member("ann", EPHEMERAL)
    for _ in range(40):
        for _ in range(10):
            client.send(type="PUBLISH", room=EPHEMERAL, content="x" * 4000, echo=True)
        await scene.settle()
    await scene.pass_time(20)


async def kicked(scene):
    await scene.member("ann", EPHEMERAL)
    assert scene.stage.services.roll.end(CloseCode.KICKED, user="ann") == 1


async def replaced(scene):
    client = await scene.connect()
    client.send(type="AUTH", token=scene.stage.token("ann"))
    await scene.settle()
    (session,) = await scene.stage.sessions_of("ann")
    client = await scene.connect()
    client.send(type="AUTH", token=scene.stage.token("ann"), session=session.id)
    await scene.settle()


async def token_expires(scene):
    client = await scene.connect()
    client.send(type="AUTH", token=scene.stage.token("ann", lifetime_seconds=5))
    await scene.settle()
    await scene.pass_time(10)


async def connection_crash(scene):
    client = await scene.member("ann", EPHEMERAL)
    client.send(type="TYPING", room="crash")


async def room_crash(scene):
    client = await scene.member("ann", EPHEMERAL)
    other = await scene.member("bob", EPHEMERAL)
    client.send(type="PRESENCE", room=EPHEMERAL)
    await scene.pass_time(10)
    other.send(type="PUBLISH", room=EPHEMERAL, content="hi")
    await scene.settle()
    assert b'"MESSAGE"' in client.take()


ENDS = [
    no_request,
    another_request,
    unknown_subprotocol,
    no_auth,
    auth_overdue,
    bad_token,
    member,
    durable_member,
    member_who_left,
    goodbye,
    violation,
    fragments,
    silence,
    slow_reader,
    kicked,
    replaced,
    token_expires,
    connection_crash,
    room_crash,
]


@pytest.fixture
def bugs(monkeypatch):
    """A connection that crashes at TYPING, a room that crashes at PRESENCE for the first time."""

    def hear(self, frame, ticket, *, hear=Dialogue.hear):
        command = hear(self, frame, ticket)
        if command is not None and getattr(command, "room", None) == "crash":
            raise RuntimeError("a bug in a connection")
        return command

    async def handle(self, envelope, *, handle=Floor._handle):
        if type(envelope.message).__name__ == "WhoIsIn" and self._incarnation == 1:
            raise RuntimeError("a bug in a room")
        await handle(self, envelope)

    monkeypatch.setattr(Dialogue, "hear", hear)
    return lambda: monkeypatch.setattr(Floor, "_handle", handle)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_connection_that_ends_leaves_nothing_to_the_collector(end, bugs):
    """Nor does its session that lapses, nor the room that it leaves empty."""
    if end is room_crash:
        bugs()

    async def once(scene):
        await end(scene)
        await scene.settle()
        while scene.clients:
            scene.clients.pop().close()
        await scene.pass_time(ENOUGH_SECONDS, step=5.0)
        assert (scene.stage.connections(), scene.stage.rooms()) == (0, [])

    async def script(scene):
        await once(scene)
        with nothing_left_to_the_collector():
            await once(scene)
            await once(scene)
        kept = sum(type(each) is Host for each in gc.get_objects())
        assert kept <= 1  # readiness still has in hand whom it called last

    play(script)


def test_a_publish_leaves_nothing_to_the_collector():
    async def once(scene, client):
        for room in (EPHEMERAL, DURABLE):
            client.send(type="PUBLISH", room=room, content="hi")
            client.send(type="TYPING", room=room)
        client.send(type="PUBLISH", room="where it is not", content="hi")
        client.send(type="nonsense")
        client.send(type="HISTORY", room=EPHEMERAL, since={"epoch": 1})
        await scene.settle()
        assert client.take().count(b'"ACK"') == 2

    async def script(scene):
        client, other = [await scene.member(name, EPHEMERAL) for name in ("ann", "bob")]
        for each in (client, other):
            each.send(type="JOIN", room=DURABLE)
        await scene.pass_time(2)
        await once(scene, client)
        with nothing_left_to_the_collector():
            for _ in range(3):
                await once(scene, client)

    play(script)
