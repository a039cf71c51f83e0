"""The stream under trio-websocket: it passes bytes on and notices what that library tells nobody.

trio-websocket 0.12.2 waits for ever for a handshake whose peer has gone, bounds neither the bytes
before the upgrade nor empty fragments after it, and has no sign that bytes came in before they
make a message.
"""

from collections.abc import Callable

import trio

MAX_HANDSHAKE_BYTES = 64 * 1024
"""Most bytes of the node's answer to the upgrade request."""


class WatchedStream(trio.abc.Stream):
    """A stream that says when bytes come in, when no more will, and when there are too many.

    Args:
        stream: The transport; owned from now on.
        on_received: Called for every read that brought bytes.
        max_unframed_bytes: Most bytes without a call of `progress`; beyond it the stream breaks.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        on_received: Callable[[], object],
        max_unframed_bytes: int,
    ) -> None:
        self._stream = stream
        self._on_received = on_received
        self._max_unframed_bytes = max_unframed_bytes
        self._allowed_bytes = MAX_HANDSHAKE_BYTES
        self.input_over = trio.Event()
        """Nothing more will be read."""
        self.torn = False
        """A write did not finish: what follows would stand in the middle of a frame."""

    def progress(self) -> None:
        """Say that what came in made a whole message: the count starts again."""
        self._allowed_bytes = self._max_unframed_bytes

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read from the transport; raises BrokenResourceError when the peer sends without end."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.input_over.set()
            raise
        if not data:
            self.input_over.set()
            return data
        self._allowed_bytes -= len(data)
        if self._allowed_bytes < 0:
            self.input_over.set()
            raise trio.BrokenResourceError("the node sends bytes that never become a message")
        self._on_received()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the transport; a write that ends early leaves the stream `torn`."""
        # A cancellation that comes before the first byte tears nothing: without this, a client
        # that was left while it sent its LEAVE could not say goodbye.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            await self._stream.send_all(data)
        except BaseException:
            self.torn = True
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the transport takes bytes."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the transport."""
        await self._stream.aclose()
