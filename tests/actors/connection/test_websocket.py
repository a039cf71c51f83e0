"""What of trio-websocket and wsproto is private and relied on in the fence (`websocket.py`)."""

import hashlib
import inspect

from support.cast_stage import open_stage
from support.wire import request
from trio_websocket import WebSocketConnection

# The code we stand in for or call, as it was read when `_Handshake` was written. Where one differs,
# read it again, mend `_Handshake` if need be, and write the new number here.
READ = {
    "_reader_task": "69826f541cb0",
    "_accept": "f25c53f60888",
    "_reject": "aab4ba7d4c7c",
    "_send": "2c6048dd9c0d",
}


def test_trio_websocket_is_the_one_that_was_read():
    """If this fails, a new trio-websocket has changed what `connection/websocket.py` relies on."""
    now = {
        name: hashlib.sha256(
            inspect.getsource(getattr(WebSocketConnection, name)).encode()
        ).hexdigest()[:12]
        for name in READ
    }
    changed = sorted(name for name in READ if now[name] != READ[name])
    assert not changed, f"read trio-websocket's {changed} again, then note {now} in READ"


async def test_no_extension_is_agreed_on(autojump_clock):
    """Compressed, 64 KiB on the wire could be 64 MiB in memory."""
    offers = [
        b"permessage-deflate",
        b"permessage-deflate; client_max_window_bits, x-webkit-deflate",
    ]
    async with open_stage() as stage:
        for offer in offers:
            stream, _ = await stage.raw(request(Sec_WebSocket_Extensions=offer))
            answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 101")
            assert b"extensions" not in answer.lower()
            await stream.aclose()
