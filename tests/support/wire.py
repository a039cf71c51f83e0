"""Raw bytes for attacks on a stage, and clients that must not notice them."""

import base64
import os
import struct

import trio
from support.cast_stage import until

MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if masked else 0
    if len(payload) <= 125:
        head += bytes([bit | len(payload)])
    elif len(payload) <= 0xFFFF:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def frame_head(size: int) -> bytes:
    """The beginning of a masked text frame that claims `size` bytes."""
    return bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + MASK


def request(line: bytes = b"GET /ws HTTP/1.1", **headers: bytes | list[bytes] | None) -> bytes:
    """A handshake; a header that is None is left out, one that is a list comes more than once."""
    fields: dict[bytes, bytes | list[bytes] | None] = {
        b"Host": b"localhost",
        b"Upgrade": b"websocket",
        b"Connection": b"Upgrade",
        b"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)),
        b"Sec-WebSocket-Version": b"13",
        **{name.replace("_", "-").encode(): value for name, value in headers.items()},
    }
    lines = [
        name + b": " + one
        for name, value in fields.items()
        if value is not None
        for one in (value if isinstance(value, list) else [value])
    ]
    return b"\r\n".join([line, *lines, b"", b""])


async def read_all(stream) -> bytes:
    """Everything until the node ends its side; then ours ends too, as a well-behaved client's."""
    data = b""
    while chunk := await stream.receive_some():
        data += chunk
    await stream.aclose()
    return data


async def flood(stream, data: bytes) -> int:
    """Send for ever; how much went before the node cut it off."""
    sent = 0
    try:
        while True:
            await stream.send_all(data)
            sent += len(data)
            await trio.sleep(0.01)
    except trio.BrokenResourceError:
        return sent


async def upgraded(stage):
    """A raw stream after the handshake."""
    stream, _ = await stage.raw(request())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some()
    assert head.startswith(b"HTTP/1.1 101")
    return stream


def close_code_in(data: bytes) -> int | None:
    """The code of the close frame that ends `data`."""
    for size in range(2, 126):
        end = data[-size - 2 :]
        if len(end) == size + 2 and end[0] == 0x88 and end[1] == size:
            return int.from_bytes(end[2:4], "big")
    return None


class Bystanders:
    """Two clients that chat; `check` shows that nothing has happened to them."""

    def __init__(self, stage) -> None:
        self.stage = stage

    async def __aenter__(self):
        self.ann = await self.stage.member("ann", "lobby")
        self.bob = await self.stage.member("bob", "lobby")
        return self

    async def __aexit__(self, *error) -> None:
        if error[0] is None:
            assert (await self.ann.publish("lobby", "still here"))["type"] == "ACK"
            assert (await self.bob.next("MESSAGE"))["content"] == "still here"
            await until(lambda: self.stage.connections() == 2)
