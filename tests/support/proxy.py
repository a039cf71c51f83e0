"""A TCP proxy in the test's own event loop, to make a server slow, deaf, or go away."""

from contextlib import asynccontextmanager, suppress

import trio


class Proxy:
    """Passes bytes between a node and a server, as long as the test lets it."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.port = 0
        self.delay_seconds = 0.0
        """Before anything the client says is passed on."""
        self.swallow_answer_to = b""
        """The connection that says this is cut when the server's next answer comes: what was said
        has happened, and its client never hears of it. Once."""
        self._open = True
        self._flowing = trio.Event()
        self._flowing.set()
        self._connections: set[trio.CancelScope] = set()

    async def serve(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._pass_on, listeners)

    def go_away(self) -> None:
        """Cut what is open and take nothing new, until `come_back`."""
        self._open = False
        for scope in list(self._connections):
            scope.cancel()

    def come_back(self) -> None:
        self._open = True

    def stall(self) -> None:
        """Take everything and pass nothing on, as a network that swallows packets."""
        self._flowing = trio.Event()

    def flow(self) -> None:
        self._flowing.set()

    async def _pass_on(self, client: trio.SocketStream) -> None:
        if not self._open:
            await trio.aclose_forcefully(client)
            return
        server = await trio.open_tcp_stream(self._host, self._port)
        scope = trio.CancelScope()
        self._connections.add(scope)
        doomed = trio.Event()

        async def upstream() -> None:
            async for chunk in client:
                await self._flowing.wait()
                if self.delay_seconds:
                    await trio.sleep(self.delay_seconds)
                if self.swallow_answer_to and self.swallow_answer_to in chunk:
                    self.swallow_answer_to = b""
                    doomed.set()
                await server.send_all(chunk)
            scope.cancel()

        async def downstream() -> None:
            async for chunk in server:
                await self._flowing.wait()
                if doomed.is_set():
                    break
                await client.send_all(chunk)
            scope.cancel()

        # Whichever end breaks first: the other is closed too.
        with suppress(BaseExceptionGroup), scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(upstream)
                nursery.start_soon(downstream)
        self._connections.discard(scope)
        for stream in (client, server):
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_proxy(host: str, port: int):
    """A proxy to a server, on a port of its own."""
    proxy = Proxy(host, port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()
