"""What a client says who it is with, and how that is renewed on a connection that stays."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import trio

from greenroom.client._connection import Connection
from greenroom.client._errors import CommandRefused
from greenroom.protocol import Answer, Error, Refresh, RefreshOk

TokenSource: TypeAlias = str | Callable[[], Awaitable[str]]
"""A token, or an async function that gets a fresh one."""


class Token:
    """The token of one client, wherever it comes from."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._waiting = set[trio.MemorySendChannel[Answer]]()  # one for each `refresh` that waits

    @property
    def is_fixed(self) -> bool:
        """Whether there never is another one."""
        return isinstance(self._source, str)

    async def get(self) -> str:
        """Return a token; what the user's function raises goes through."""
        return self._source if isinstance(self._source, str) else await self._source()

    async def refresh(self, connection: Callable[[], Connection | None]) -> RefreshOk | None:
        """Get a token and send it in a REFRESH; None where there is no connection, or it is lost.

        Args:
            connection: Asked once there is a token: the authenticated connection.

        Raises:
            CommandRefused: The node did not accept the token.
        """
        token = await self.get()
        present = connection()
        if present is None:
            return None
        send, receive = trio.open_memory_channel[Answer](1)

        def take(reply: Answer) -> None:
            with suppress(trio.BrokenResourceError):  # the caller was cancelled
                send.send_nowait(reply)

        self._waiting.add(send)
        present.ask(Refresh(token=token), take)
        try:
            answer = await receive.receive()
        except trio.EndOfChannel:
            return None
        finally:
            self._waiting.discard(send)
            receive.close()
        if isinstance(answer, Error):
            raise CommandRefused.by(answer)
        return answer if isinstance(answer, RefreshOk) else None

    def disconnected(self) -> None:
        """The connection is gone: nothing that was sent on it is answered now."""
        for waiting in self._waiting:
            waiting.close()
