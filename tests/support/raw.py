"""Attackers on real sockets: bytes out, bytes in, and enough WebSocket to get as far as they must.

No client library of ours or of others stands between a test and the wire, and nothing here retries
or repairs anything: what the node does with a socket, the attacker sees.
"""

import json
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import attrs
import trio
from support.wire import frame, request

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
RECEIVE_BYTES = 64 * 1024
Message = dict[str, Any]  # Any: JSON


def command(**fields: object) -> bytes:
    """One command as a frame."""
    return frame(TEXT, json.dumps(fields).encode())


def addresses(network: int) -> Iterator[str]:
    """Addresses of 127.0.0.0/8 that nobody else uses, so that no attack spends another's budget."""
    for number in count(1):
        yield f"127.{network}.{number >> 8}.{number & 255}"


@attrs.define(eq=False)
class RawClient:
    """One socket to the node, and what came in over it that nobody has taken yet."""

    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    received: bytearray = attrs.field(factory=bytearray)
    pushes: list[Message] = attrs.field(factory=list)
    """Messages that came while an answer was waited for."""
    ended: bool = False
    """The node has closed or cut the connection."""
    heard_code: int | None = None
    """Of the node's close frame."""
    last_id: int = 0

    # Bytes.

    async def send(self, data: bytes) -> bool:
        """Send all of it; False where the node has cut the connection."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended = True
            return False
        return True

    async def receive(self, most: int = RECEIVE_BYTES) -> bool:
        """Wait for more bytes; False at the end."""
        try:
            data = await self.stream.receive_some(most)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self.received += data
        self.ended = not data
        return not self.ended

    async def rest(self) -> bytes:
        """Everything until the node ends its side."""
        while await self.receive():
            pass
        return bytes(self.received)

    async def flood(self, data: bytes, *, times: int) -> int:
        """Send `data` up to so many times; how many bytes went before the node cut it."""
        for number in range(times):
            if not await self.send(data):
                return number * len(data)
        return times * len(data)

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        transport = self.transport
        transport.socket.setsockopt(
            trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.socket.close()

    async def aclose(self) -> None:
        with suppress(trio.BrokenResourceError):
            await trio.aclose_forcefully(self.stream)

    @property
    def transport(self) -> trio.SocketStream:
        stream = self.stream
        return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream

    # HTTP.

    async def answer(self) -> str:
        """The head of an HTTP answer, "" where there is none."""
        while b"\r\n\r\n" not in self.received:
            if not await self.receive():
                break
        head, found, rest = bytes(self.received).partition(b"\r\n\r\n")
        if not found:
            return ""
        self.received[:] = rest
        return head.decode("latin-1")

    async def status(self) -> int | None:
        """The status of an HTTP answer; None: cut without one."""
        head = await self.answer()
        return int(head.split()[1]) if head else None

    async def upgrade(self, **headers: bytes) -> None:
        """Shake hands; fails where the node refuses."""
        await self.send(request(**headers))
        head = await self.answer()
        assert head.startswith("HTTP/1.1 101"), head or "cut"

    # WebSocket.

    async def next_frame(self) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload; None at the end."""
        while (found := self._cut_frame()) is None:
            if not await self.receive():
                return None
        if found[0] == CLOSE and len(found[1]) >= 2:
            (self.heard_code,) = struct.unpack("!H", found[1][:2])
        return found

    def _cut_frame(self) -> tuple[int, bytes] | None:
        data = self.received
        if len(data) < 2:
            return None
        size, head = data[1] & 0x7F, 2
        if size >= 126:
            extra = 2 if size == 126 else 8
            size, head = int.from_bytes(data[2 : 2 + extra], "big"), 2 + extra
        if len(data) < head + size:
            return None
        found = data[0] & 0xF, bytes(data[head : head + size])
        del data[: head + size]
        return found

    async def next_message(self) -> Message | None:
        """The next message; None at the end."""
        while (found := await self.next_frame()) is not None:
            if found[0] == TEXT:
                return json.loads(found[1])
        return None

    async def next(self) -> Message:
        """The next message; fails where the node ends the connection instead."""
        message = await self.next_message()
        assert message is not None, f"cut with {self.heard_code}"
        return message

    async def ask_away(self, **fields: object) -> bool:
        """Send a command and wait for nothing; False where the node has cut the connection."""
        self.last_id += 1
        return await self.send(command(id=self.last_id, **fields))

    async def ask(self, **fields: object) -> Message:
        """Send a command and return its answer."""
        await self.ask_away(**fields)
        while True:
            message = await self.next()
            if message.get("id") == self.last_id:
                return message
            self.pushes.append(message)

    async def push(self, kind: str) -> Message:
        """The next push of a kind; the others are left out."""
        while True:
            message = self.pushes.pop(0) if self.pushes else await self.next()
            if message["type"] == kind:
                return message

    async def sign_in(self, token: str, *rooms: str) -> None:
        """From nothing to a member of `rooms`."""
        await self.upgrade()
        welcome = await self.ask(type="AUTH", token=token)
        assert welcome["type"] == "AUTH_OK", welcome
        for room in rooms:
            joined = await self.ask(type="JOIN", room=room)
            assert joined["type"] == "JOIN_OK", joined

    async def close_code(self) -> int | None:
        """Read to the end; the code of the node's close frame, None where there was none."""
        while await self.next_frame() is not None:
            pass
        return self.heard_code


async def connect(
    port: int,
    *,
    source: str = "127.0.0.1",
    receive_bytes: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> RawClient:
    """Open a socket from an address of our choice, perhaps with a tiny receive buffer."""
    sock = trio.socket.socket()
    try:
        if receive_bytes is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_bytes)
        await sock.bind((source, 0))
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    stream = trio.SocketStream(sock)
    if tls is None:
        return RawClient(stream)
    return RawClient(trio.SSLStream(stream, tls, server_hostname="127.0.0.1"))
