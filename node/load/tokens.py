"""Where the members' tokens come from: given, signed here, or asked for as a guest."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import h11
import orjson
import trio

from greenroom.client import Connector, Target, connect_tcp
from greenroom.node.errors import NodeError
from greenroom.node.load.wire import why

GUEST_SECONDS = 10.0
_RECEIVE_BYTES = 4096

TokenOf: TypeAlias = Callable[[int], Awaitable[str]]
"""The token of a member, by its number."""


class GuestRefused(NodeError):
    """The node gives guests no tokens, or can't be asked."""


def given_token(token: str) -> TokenOf:
    """The same token for everybody: to the node, one user with many connections."""

    async def token_of(_number: int) -> str:
        await trio.lowlevel.checkpoint()
        return token

    return token_of


def signed_tokens(sign: Callable[[str], str]) -> TokenOf:
    """A user of its own for each member: `load-0`, `load-1`, ..."""

    async def token_of(number: int) -> str:
        await trio.lowlevel.checkpoint()
        return sign(f"load-{number}")

    return token_of


def guest_tokens(target: Target, *, connector: Connector = connect_tcp) -> TokenOf:
    """A guest for each member, as the node's own page signs in.

    The awaitable raises `GuestRefused`.
    """

    async def token_of(number: int) -> str:
        return await ask_guest_token(target, f"load-{number}", connector=connector)

    return token_of


async def ask_guest_token(target: Target, name: str, *, connector: Connector) -> str:
    """Ask the node for a guest's token.

    Raises:
        GuestRefused: There is none; the text says why.
    """
    try:
        with trio.fail_after(GUEST_SECONDS):
            async with await connector(target) as stream:
                status, body = await _post(stream, target, orjson.dumps({"name": name}))
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, h11.ProtocolError) as error:
        raise GuestRefused(
            f"can't ask {target.authority} for a guest's token ({why(error)}); "
            "is the node running? (greenroom serve)"
        ) from error
    if status != 200:
        raise GuestRefused(f"{target.authority} gives no token to guests (HTTP {status})")
    try:
        return str(orjson.loads(body)["token"])
    except (ValueError, KeyError, TypeError):
        raise GuestRefused(f"{target.authority} is no node: no token in its answer") from None


async def _post(stream: trio.abc.Stream, target: Target, body: bytes) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method="POST",
        target="/api/guest",
        headers=[
            ("Host", target.authority),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ],
    )
    parts = [http.send(request), http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
    await stream.send_all(b"".join(part for part in parts if part))
    status, answer = 0, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            answer += bytes(event.data)
        else:
            return status, answer
