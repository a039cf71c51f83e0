"""What one connection has read and not finished: the bound that stops its reading."""

from collections.abc import Callable

import trio


class Window:
    """Commands of one connection that have no answer yet, in number and in bytes.

    When either bound is reached, reading stops until an answer is given: that fills the client's
    socket, and is how back-pressure gets to it. The heartbeat clock must not count that time.

    Args:
        on_stop: Called when reading stops.
        on_go: Called when it goes on.
    """

    def __init__(
        self,
        *,
        max_commands: int,
        max_bytes: int,
        on_stop: Callable[[], object],
        on_go: Callable[[], object],
    ) -> None:
        self._max_commands = max_commands
        self._max_bytes = max_bytes
        self._on_stop = on_stop
        self._on_go = on_go
        self._commands = 0
        self._bytes = 0
        self._waiting: trio.Event | None = None

    @property
    def commands(self) -> int:
        """How many are under way."""
        return self._commands

    @property
    def is_full(self) -> bool:
        """Whether reading has to stop."""
        return self._commands >= self._max_commands or self._bytes >= self._max_bytes

    def open(self, size: int) -> "Ticket":
        """A command of `size` bytes has been read."""
        self._commands += 1
        self._bytes += size
        return Ticket(self, size)

    def close(self, size: int) -> None:
        """A command of `size` bytes is finished."""
        self._commands -= 1
        self._bytes -= size
        if self._waiting is not None and not self.is_full:
            self._waiting.set()
            self._waiting = None

    async def wait_room(self) -> None:
        """Return when the next command may be read."""
        if not self.is_full:
            return
        self._on_stop()
        self._waiting = trio.Event()
        await self._waiting.wait()
        self._on_go()


class Ticket:
    """One command's place in the window; `done` gives it back, once."""

    __slots__ = ("_size", "_window")

    def __init__(self, window: Window, size: int) -> None:
        self._window: Window | None = window
        self._size = size

    def done(self) -> None:
        """The command is finished: answered, or it needs no answer."""
        if self._window is not None:
            window, self._window = self._window, None
            window.close(self._size)
