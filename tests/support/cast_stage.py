"""A fake store behind the port, and a node of the cast with clients on in-memory streams."""

from __future__ import annotations

import itertools
import json
import random
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing
from trio_websocket import ConnectionClosed, wrap_client_stream

from greenroom.actors.cast import cast_of
from greenroom.actors.connection.connection import connection_spec
from greenroom.actors.connection.messages import Opening
from greenroom.actors.ports import (
    NOTHING_DISPATCHED,
    Committed,
    Head,
    KeyConflict,
    Pruned,
    StoredMessage,
    StoreUnavailable,
)
from greenroom.actors.registry import SessionsOf
from greenroom.actors.rights.access import RoomPolicies
from greenroom.actors.services import CastLimits, Services
from greenroom.actors.system import node_spec
from greenroom.protocol import JSON_CODEC, PROTOBUF_CODEC, Codec, issue_token, verify_token
from greenroom.supervisor import serve_supervisor

SECRET = "a secret of at least thirty-two bytes"
EPOCH_SECONDS = 1_800_000_000.0


async def until(condition, *, seconds: float = 60.0) -> None:
    """Wait for what nobody announces, looking every 10 ms."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


class FakeStore:
    """History in memory, with switches for trouble."""

    def __init__(self) -> None:
        self.rows: dict[str, list[StoredMessage]] = {}
        self.heads: dict[str, int] = {}
        self.epochs: dict[str, str] = {}
        self.hashes: dict[tuple[str, str, str], bytes] = {}
        self.commits: list[int] = []
        self.reads = 0
        self.away = False
        self.cannot_read = False
        self.commit_then_fail = 0
        """So many commits store their batch and then say that nobody knows."""
        self.delay_seconds = 0.0
        self.read_delay_seconds = 0.0
        self.crash_next = 0
        """So many commits raise a bug."""
        self.gate = trio.Event()
        self.gate.set()
        self._ids = itertools.count(1)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.gate.wait()
        if self.delay_seconds:
            await trio.sleep(self.delay_seconds)
        if self.away:
            raise StoreUnavailable("away")

    def _epoch(self, room: str) -> str:
        return self.epochs.setdefault(room, f"e-{room}")

    async def commit(self, batch, *, dispatched=NOTHING_DISPATCHED):
        await self._answer()
        if self.crash_next:
            self.crash_next -= 1
            raise RuntimeError("a bug in the store")
        if batch:
            self.commits.append(len(batch))
        outcomes = [self._store(message) for message in batch]
        for room, head in dispatched.items():
            self._mark(room, head)
        if self.commit_then_fail:
            self.commit_then_fail -= 1
            raise StoreUnavailable("the connection was lost")
        return outcomes

    def _next_offset(self, room):
        self.heads[room] = self.heads.get(room, 0) + 1
        return self.heads[room]

    def _store(self, new):
        rows = self.rows.setdefault(new.room, [])
        place = (new.room, new.user, new.key)
        known = self.hashes.get(place)
        if known is not None:
            if known != new.content_hash:
                return KeyConflict(new.key)
            (row,) = (row for row in rows if (row.user, row.key) == (new.user, new.key))
            return Committed(row, duplicate=True)
        self.hashes[place] = new.content_hash
        row = StoredMessage(
            message_id=next(self._ids),
            room=new.room,
            epoch=self._epoch(new.room),
            offset=self._next_offset(new.room),
            user=new.user,
            key=new.key,
            content=new.content,
            timestamp=new.timestamp,
        )
        rows.append(row)
        return Committed(row)

    def _mark(self, room, head):
        rows = self.rows.get(room, [])
        rows[:] = [
            attrs.evolve(row, status=1)
            if row.epoch == head.epoch and row.offset <= head.offset
            else row
            for row in rows
        ]

    async def undispatched(self, *, after, limit):
        await self._answer()
        rows = sorted(itertools.chain(*self.rows.values()), key=lambda row: row.message_id)
        return [row for row in rows if row.status == 0 and row.message_id > after][:limit]

    async def head(self, room):
        await self._answer()
        return Head(self._epoch(room), self.heads.get(room, 0))

    async def read(self, room, *, after=None, before=None, limit):
        await self._answer()
        if self.cannot_read:
            raise StoreUnavailable("no reading")
        if self.read_delay_seconds:
            await trio.sleep(self.read_delay_seconds)
        self.reads += 1
        rows = [
            row
            for row in self.rows.get(room, [])
            if (after is None or row.offset > after) and (before is None or row.offset < before)
        ]
        return rows[:limit] if after is not None else rows[-limit:]

    async def prune(self, expiry, *, after, limit):
        await self._answer()
        first = {}
        for room in sorted(room for room in self.rows if room > after):
            rows = self.rows[room]
            while rows and self._expired(rows[0], expiry):
                gone = rows.pop(0)
                del self.hashes[room, gone.user, gone.key]
                first[room] = gone.offset + 1
                limit -= 1
                if not limit:
                    return Pruned(first=first, after=after)
            after = room
        return Pruned(first=first, after=None)

    def _expired(self, row, expiry):
        if row.status == 0 or row.timestamp >= expiry.never_after:
            return False
        old = expiry.older_than is not None and row.timestamp < expiry.older_than
        newer = self.heads[row.room] - row.offset
        return old or (expiry.keep is not None and newer >= expiry.keep)

    async def probe(self):
        await self._answer()

    async def ping(self):
        await self._answer()


class Client:
    """A WebSocket client on an in-memory stream, speaking JSON by hand, or else Protobuf.

    In both it takes and gives what JSON would hold.
    """

    def __init__(self, ws, stream, user: str) -> None:
        self.ws = ws
        self.stream = stream
        self.user = user
        self.pushed: list[dict] = []
        self._ids = itertools.count(1)

    async def send(self, **message) -> None:
        text = json.dumps(message, ensure_ascii=False)
        if self.ws.subprotocol == PROTOBUF_CODEC.subprotocol:
            await self.ws.send_message(PROTOBUF_CODEC.encode(JSON_CODEC.decode_command(text)))
        else:
            await self.ws.send_message(text)

    async def _get(self) -> dict:
        frame = await self.ws.get_message()
        if self.ws.subprotocol == PROTOBUF_CODEC.subprotocol:
            frame = JSON_CODEC.encode(PROTOBUF_CODEC.decode_answer(frame))
        return json.loads(frame)

    async def receive(self) -> dict:
        """The next message of the node, whatever it is."""
        if self.pushed:
            return self.pushed.pop(0)
        return await self._get()

    async def ask(self, kind: str, **fields) -> dict:
        """Send a command and wait for its reply; pushes that come before it are kept."""
        number = next(self._ids)
        await self.send(type=kind, id=number, **fields)
        return await self.reply_to(number)

    async def reply_to(self, number: int) -> dict:
        while True:
            message = await self._get()
            if message.get("id") == number:
                return message
            self.pushed.append(message)

    async def next(self, kind: str) -> dict:
        """The next push of one type; others are dropped."""
        while True:
            message = await self.receive()
            if message["type"] == kind:
                return message

    async def close_code(self) -> int:
        """Read until the node closes; with what code."""
        try:
            while True:
                await self.ws.get_message()
        except ConnectionClosed as closed:
            return closed.reason.code

    async def joined(self, room: str, **fields) -> dict:
        reply = await self.ask("JOIN", room=room, **fields)
        assert reply["type"] == "JOIN_OK", reply
        return reply

    async def publish(self, room: str, content: str, **fields) -> dict:
        return await self.ask("PUBLISH", room=room, content=content, **fields)


@attrs.define
class Stage:
    """A node without listener: the cast, its store, and a way in."""

    sup: object
    cast: object
    store: FakeStore
    services: Services
    nursery: trio.Nursery
    last_streams: list = attrs.field(factory=list)
    """The node's ends of the streams, in the order in which they were opened."""

    def token(self, user: str, lifetime_seconds: float = 3600.0, rooms=None, **claims) -> str:
        return issue_token(
            user,
            secret=SECRET,
            now=self.services.now(),
            lifetime_seconds=lifetime_seconds,
            rooms=rooms,
            **claims,
        )

    async def raw(self, received: bytes = b"", **known):
        """A connection actor with the other end of its stream in our hands: (stream, ref).

        `known` is what else the node knows of it, as fields of `Opening`.
        """
        ours, theirs = trio.testing.memory_stream_pair()
        self.last_streams.append(theirs)
        until = trio.current_time() + self.services.limits.handshake_seconds
        opening = Opening(received=received, peer="test", handshake_until=until, **known)
        ref = await self.cast.connections.start_child(connection_spec(theirs, opening, self.cast))
        return ours, ref

    async def open(self, *, subprotocols=("greenroom.v1.json",), **known):
        """A client after the WebSocket handshake, before AUTH."""
        stream, _ = await self.raw(**known)
        ws = await wrap_client_stream(
            self.nursery,
            stream,
            "test",
            "/ws",
            subprotocols=subprotocols,
            max_message_size=2**20,
        )
        return Client(ws, stream, "")

    async def client(self, user: str, rooms=None, *, codec: Codec = JSON_CODEC, **known) -> Client:
        """A client after AUTH, with these rights in its token."""
        client = await self.open(subprotocols=[codec.subprotocol], **known)
        client.user = user
        reply = await client.ask("AUTH", token=self.token(user, rooms=rooms))
        assert reply["type"] == "AUTH_OK", reply
        return client

    async def member(self, user: str, room: str, *, codec: Codec = JSON_CODEC, **fields) -> Client:
        client = await self.client(user, codec=codec)
        await client.joined(room, **fields)
        return client

    async def slow_member(self, user: str, room: str):
        """A member whose stream takes nothing any more once it has joined: (client, its stream)."""
        client = await self.member(user, room)
        stream = client.stream

        async def never(*_):
            await trio.sleep_forever()

        self.last_streams[-1].send_stream.send_all_hook = never
        return client, stream

    async def sessions_of(self, user: str):
        return await self.cast.registry.ask(SessionsOf(user))

    def connections(self) -> int:
        return len(self.cast.connections.which_children())

    def rooms(self) -> list[str]:
        return [child.id for child in self.cast.rooms.which_children()]


def verify(token, now):
    return verify_token(token, secret=SECRET, now=now)


@asynccontextmanager
async def open_stage(
    store: FakeStore | None = None,
    *,
    seed: int = 0,
    hooks=None,
    receiver=None,
    gate=None,
    rooms=None,
    revocations=None,
    wall=lambda: EPOCH_SECONDS + trio.current_time(),
    office=None,
    **limits,
):
    """A running cast; everything is gone when the block ends.

    With a `receiver` (support.callback_fakes), it calls back. `wall` is its wall clock. An `office`
    verifies tokens and may look for newer keys.
    """
    store = store or FakeStore()
    services = Services(
        node="n1",
        now=wall,
        verify=verify if office is None else office.verify,
        refresh_keys=office and office.refresh,
        random=random.Random(seed),
        limits=CastLimits(**limits),
        policies=RoomPolicies() if rooms is None else RoomPolicies(rooms),
        callbacks=receiver and receiver.state,
    )
    async with trio.open_nursery() as nursery:
        callbacks = receiver and receiver.adapters
        spec = node_spec(
            services=services,
            store=store,
            gate=gate,
            revocations=revocations,
            callbacks=callbacks,
        )
        sup = await nursery.start(
            lambda task_status: serve_supervisor(spec, hooks=hooks, task_status=task_status)
        )
        async with trio.open_nursery() as clients:
            yield Stage(sup, cast_of(sup, services), store, services, clients)
            clients.cancel_scope.cancel()
        await sup.stop()
