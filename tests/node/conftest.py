"""A listener on a free port, with fakes for what stands behind it."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio
from support.databases import new_database
from support.quiet_inbox import QuietInbox

from greenroom.node.door.listener import open_listeners, serve_listener
from greenroom.node.door.peek import Policy
from greenroom.node.door.visit import Arrival, Door
from greenroom.node.http.app import WebServices, make_app
from greenroom.node.http.assets import Asset
from greenroom.node.http.server import WebSide
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.logs import configure_logs
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.storage import Pool
from greenroom.node.storage.engine import migrate_database


@pytest.fixture(scope="session")
def server_database() -> Iterator[Callable[[str], DatabaseUrl]]:
    """One database for all tests on a server, which takes longer to make than a test runs."""
    with ExitStack() as stack:
        urls: dict[str, DatabaseUrl] = {}

        def url_of(kind: str) -> DatabaseUrl:
            if kind not in urls:
                url = urls[kind] = stack.enter_context(new_database(kind))
                migrate_database(url, Path(), Pool(), epoch="e1")
            return urls[kind]

        yield url_of


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Without this structlog prints tracebacks with every local variable, for minutes."""
    configure_logs(log_format="json", level="error", stream=sys.stderr)


@attrs.define
class World:
    """What the node behind the door does, for a test to look at and to change."""

    draining: bool = False
    store_error: Exception | None = None
    refusal: object = None
    admit_error: Exception | None = None
    before_greeting: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    arrivals: list[Arrival] = attrs.field(factory=list)

    async def ping_store(self):
        await trio.lowlevel.checkpoint()
        if self.store_error is not None:
            raise self.store_error

    async def admit(self, stream, arrival):
        """Stand in for the connection actor: greet, and give the stream away."""
        self.arrivals.append(arrival)
        if self.admit_error is not None:
            raise self.admit_error
        if self.refusal is not None:
            return self.refusal
        await self.before_greeting()
        await stream.send_all(b"WELCOME " + str(len(arrival.received)).encode())
        await stream.aclose()
        return None


@attrs.frozen
class Node:
    port: int
    world: World
    door: Door
    nursery: trio.Nursery

    async def connect(self, source: str = "127.0.0.1") -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port, local_address=source)

    async def exchange(self, data: bytes) -> bytes:
        """Send `data` on a fresh connection and return everything until it ends.

        The kernel resets one that is closed before all of `data` was read: that is an end too.
        """
        async with await self.connect() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(data)
            return await read_all(stream)

    def tasks(self) -> int:
        """Tasks of the listener: one for each accepting socket, and those of the connections."""
        return sum(1 for _ in descendants(self.nursery))


def descendants(nursery):
    for task in nursery.child_tasks:
        yield task
        for child in task.child_nurseries:
            yield from descendants(child)


async def read_all(stream) -> bytes:
    received = bytearray()
    with suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(65536):
            received += data
    return bytes(received)


ASSETS = {
    "/": Asset(b"<!doctype html>hello", "text/html; charset=utf-8", '"one"'),
    "/app.js": Asset(b"1", "text/javascript; charset=utf-8", '"two"'),
}


@pytest.fixture
def open_node() -> Callable[..., object]:
    @asynccontextmanager
    async def opened(
        *,
        tls=None,
        handshake_seconds=60.0,  # which no test waits for
        guests=True,
        development=True,
        origins=(),
        issue_guest_token=lambda user: IssuedToken(token=f"token-of-{user}", user=user, expires=1),
        app=None,
        **door_options,
    ) -> AsyncIterator[Node]:
        world = World()
        services = WebServices(
            assets=ASSETS,
            draining=lambda: world.draining,
            ping_store=world.ping_store,
            issue_guest_token=issue_guest_token if guests else None,
            development=development,
            origins=origins,
        )
        listeners = await open_listeners("127.0.0.1", 0)
        door = Door(
            listeners=listeners,
            tls=tls,
            policy=lambda: Policy(tls=tls is not None, draining=world.draining),
            web=WebSide(app or make_app(services)),
            handshake_seconds=handshake_seconds,
            **door_options,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(
                lambda task_status: serve_listener(
                    QuietInbox(), door, world.admit, task_status=task_status
                )
            )
            yield Node(listeners[0].socket.getsockname()[1], world, door, nursery)
            nursery.cancel_scope.cancel()
        for listener in listeners:
            listener.socket.close()

    return opened


@pytest.fixture
async def node(open_node) -> AsyncIterator[Node]:
    async with open_node() as opened:
        yield opened
