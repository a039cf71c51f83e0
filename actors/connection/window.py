"""What one connection has read and not finished: the bound that stops its reading."""

from collections.abc import Callable


class Window:
    """Commands of one connection that have no answer yet, in number and in bytes.

    When either bound is reached and more comes, reading stops until an answer is given: that fills
    the client's socket, and is how back-pressure gets to it. The heartbeat clock must not count
    that time.

    Args:
        on_stop: Called when reading stops.
        on_go: Called when it may go on; by whoever gave the answer, so it must not wait.
    """

    __slots__ = (
        "_bytes",
        "_max_bytes",
        "_max_commands",
        "_on_go",
        "_on_stop",
        "_stopped",
        "commands",
        "is_full",
    )

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
        self.commands = 0
        """How many are under way."""
        self._bytes = 0
        self._stopped = False
        self.is_full = False
        """Whether reading has to stop; asked twice for each message, so it is kept."""

    def widen(self, max_bytes: int) -> None:
        """Let more bytes be under way from now on."""
        self._max_bytes = max_bytes
        self.is_full = self.commands >= self._max_commands or self._bytes >= self._max_bytes

    def open(self, size: int) -> "Ticket":
        """A command of `size` bytes has been read."""
        self.commands += 1
        self._bytes += size
        self.is_full = self.commands >= self._max_commands or self._bytes >= self._max_bytes
        return Ticket(self, size)

    def close(self, size: int) -> None:
        """A command of `size` bytes is finished."""
        self.commands -= 1
        self._bytes -= size
        self.is_full = self.commands >= self._max_commands or self._bytes >= self._max_bytes
        if self._stopped and not self.is_full:
            self._stopped = False
            self._on_go()

    def stop(self) -> None:
        """Reading stops, the window being full; `on_go` will say when it may go on."""
        if not self._stopped:
            self._stopped = True
            self._on_stop()


class Ticket:
    """One command's place in the window; `done` gives it back, once."""

    __slots__ = ("_size", "_window")

    def __init__(self, window: Window, size: int) -> None:
        self._window: Window | None = window
        self._size = size

    def done(self) -> None:
        """The command is finished: answered, or it needs no answer."""
        window = self._window
        if window is not None:
            self._window = None
            window.close(self._size)
