"""A real HTTP server that receives webhooks, and misbehaves on demand."""

import json
from contextlib import asynccontextmanager

import attrs
import h11
import trio


@attrs.define(eq=False)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@attrs.define(eq=False)
class HttpReceiver:
    """Answers each request as `behave(received)` says; by default 204."""

    port: int = 0
    received: list[Received] = attrs.field(factory=list)
    connections: int = 0
    open_connections: int = 0
    behave: object = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def events(self, room="*", kind="*"):
        """Every event received, in order, doubles included."""
        return [
            event
            for received in self.received
            for event in received.json["events"]
            if room in ("*", received.json["room"]) and kind in ("*", event["type"])
        ]

    async def serve(self, stream):
        self.connections += 1
        self.open_connections += 1
        try:
            async with stream:
                await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self.open_connections -= 1

    async def _converse(self, stream):
        connection = h11.Connection(h11.SERVER)
        while True:
            request, body = None, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            headers = {name.decode(): value.decode() for name, value in request.headers}
            received = Received(headers, body)
            self.received.append(received)
            answer = answers() if self.behave is None else self.behave(received)
            if not await answer(stream, connection):
                return
            connection.start_next_cycle()


def answers(status=204, body=b"", **headers):
    """Answer properly."""

    async def answer(stream, connection):
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if status != 204:
            fields.append(("content-length", str(len(body))))
        data = connection.send(h11.Response(status_code=status, headers=fields))
        data += connection.send(h11.Data(data=body)) if body else b""
        await stream.send_all(data + connection.send(h11.EndOfMessage()))
        return True

    return answer


def says(data, *, then_wait=False):
    """Send some bytes, and close or stall."""

    async def answer(stream, _connection):
        if data:
            await stream.send_all(data)
        if then_wait:
            await stream.receive_some(1)  # until the other side gives up
        return False

    return answer


@asynccontextmanager
async def http_receiver(*, ssl_context=None):
    receiver = HttpReceiver()
    async with trio.open_nursery() as nursery:
        if ssl_context is None:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        else:
            listeners = await trio.open_ssl_over_tcp_listeners(0, ssl_context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, receiver.serve, listeners)
        plain = getattr(listeners[0], "transport_listener", listeners[0])
        receiver.port = plain.socket.getsockname()[1]
        yield receiver
        nursery.cancel_scope.cancel()
