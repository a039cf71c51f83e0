"""One member of a hundred reads nothing, over real sockets: it is cut off, nobody else notices.

What the slow reader's p99 does to the others is a measurement: `bench/slow_reader.py`.
"""

import re
import socket
from collections import Counter
from collections.abc import Callable

import attrs
import pytest
import trio
from support.cast_stage import Client, Stage, open_stage, until
from support.unlimited import NO_LIMITS
from trio_websocket import ConnectionClosed, wrap_client_stream

from greenroom.actors.connection.connection import connection_spec
from greenroom.actors.connection.messages import Opening
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.room.audience import Audience

pytestmark = [pytest.mark.socket, pytest.mark.slow]

ROOM = "lobby"
CONTENT = "x" * 32_000
TINY_BYTES = 2_048
SEND_BYTES = 32 * 1024
LATE_SECONDS = 5.0  # of a loop that a hundred clients share with the node
OFFSET = re.compile(rb'"offset":(\d+)')


async def connect(stage: Stage, *, receive_bytes: int | None = None) -> trio.SocketStream:
    """A socket whose other end is a connection of the stage."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    sock = trio.socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await sock.connect(listener.socket.getsockname())
    theirs = await listener.accept()
    await listener.aclose()
    if receive_bytes is not None:  # else the kernel keeps megabytes, which trickle for a minute
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    opening = Opening(received=b"", peer="test", handshake_until=trio.current_time() + 30)
    await stage.cast.connections.start_child(connection_spec(theirs, opening, stage.cast))
    return trio.SocketStream(sock)


class Lazy(trio.abc.Stream):
    """A stream that reads nothing while it is told so."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._may_read = trio.Event()
        self._may_read.set()

    def stop_reading(self) -> None:
        self._may_read = trio.Event()

    def read_on(self) -> None:
        """At full speed: what the kernel has would take a minute through a tiny window."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        self._may_read.set()

    async def receive_some(self, max_bytes=None):
        await self._may_read.wait()
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data):
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self):
        await self._stream.aclose()


async def sign_in(stage: Stage, nursery: trio.Nursery, stream: trio.abc.Stream, user: str):
    ws = await wrap_client_stream(nursery, stream, "test", "/ws", max_message_size=2**20)
    client = Client(ws, stream, user)
    welcome = await client.ask("AUTH", token=stage.token(user))
    assert welcome["type"] == "AUTH_OK", welcome
    return client


async def listen(stage: Stage, user: str, heard: Counter[str], *, task_status) -> None:
    """A member that reads as fast as it can: everything, in order, nothing missing."""
    async with await connect(stage) as stream, trio.open_nursery() as nursery:
        client = await sign_in(stage, nursery, stream, user)
        await client.joined(ROOM)
        task_status.started()
        while True:
            frame = (await client.ws.get_message()).encode()
            if b'"MESSAGE"' in frame[:40]:
                heard[user] += 1
                assert int(OFFSET.search(frame)[1]) == heard[user]


@attrs.define
class Watch:
    """When the slow reader's first byte began to wait, when it was cut off, and how much waited."""

    waiting_since: float | None = None
    cut_off_at: float | None = None
    most_bytes: int = 0

    async def watch(self, outbox: Outbox) -> None:
        while not outbox.sealed:
            self.most_bytes = max(self.most_bytes, outbox.waiting_bytes)
            if outbox.waiting_bytes and self.waiting_since is None:
                self.waiting_since = trio.current_time()
            await trio.sleep(0.005)
        self.cut_off_at = trio.current_time()


@pytest.fixture
def outbox_of(monkeypatch) -> Callable[[str], Outbox]:
    """The outboxes of those who are let into a room, by user."""
    outboxes = {}
    admit = Audience.admit

    def noted(self, request, outcome):
        outboxes[request.member.user] = request.member.outbox
        admit(self, request, outcome)

    monkeypatch.setattr(Audience, "admit", noted)
    return outboxes.__getitem__


@pytest.mark.timeout(300)
async def test_a_slow_reader_is_cut_off_in_time_and_the_others_miss_nothing(size, outbox_of):
    """4004 within `outbox_seconds` of the first byte that waits, or beyond `outbox_bytes`."""
    limits = {
        "outbox_seconds": size.of(1, 8),
        "outbox_bytes": size.of(256 * 1024, 1024 * 1024),
        "close_seconds": 60.0,  # the close frame waits for its reader, on a busy machine too
        "rates": NO_LIMITS,
    }
    watch, heard = Watch(), Counter[str]()
    async with (
        open_stage(**limits) as stage,
        await connect(stage, receive_bytes=TINY_BYTES) as socket_stream,
        trio.open_nursery() as nursery,
    ):
        author = await stage.member("author", ROOM)
        stream = Lazy(socket_stream)
        slow = await sign_in(stage, nursery, stream, "slow")
        joined = await slow.joined(ROOM)
        stream.stop_reading()
        for number in range(98):
            await nursery.start(listen, stage, f"u{number}", heard)
        nursery.start_soon(watch.watch, outbox_of("slow"))
        said = 0
        while watch.cut_off_at is None or said % 10:  # and a few more when it is gone
            said = (await author.publish(ROOM, CONTENT))["offset"]
            assert said < 1000
            await trio.sleep(0.01)
        assert watch.cut_off_at - watch.waiting_since < limits["outbox_seconds"] + LATE_SECONDS
        assert watch.most_bytes <= limits["outbox_bytes"] + 2 * len(CONTENT)
        # Now it reads: what the kernel had, without a hole, and why there is no more.
        stream.read_on()
        got = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                got.append((await slow.next("MESSAGE"))["offset"])
        assert closed.value.reason.code == 4004
        assert got == list(range(1, len(got) + 1))
        assert len(got) < said
        await until(lambda: len(heard) == 98 and set(heard.values()) == {said})

        async with await connect(stage) as stream:
            back = await sign_in(stage, nursery, stream, "slow")
            since = {"epoch": joined["epoch"], "offset": len(got)}
            again = await back.joined(ROOM, since=since)
            got += [message["offset"] for message in again["messages"]]
            if not again["recovered"]:
                gap = await back.next("GAP")
                assert (gap["from"], gap["to"], gap["reason"]) == (len(got) + 1, said, "too_many")
                while len(got) < said:
                    since = {"epoch": joined["epoch"], "offset": len(got)}
                    page = await back.ask("HISTORY", room=ROOM, since=since, limit=100)
                    got += [message["offset"] for message in page["messages"]]
            assert got == list(range(1, said + 1))
        nursery.cancel_scope.cancel()
        await author.stream.aclose()
