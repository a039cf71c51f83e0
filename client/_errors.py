"""What can go wrong for a user of the client, split by who can act on it.

Losing the connection is none of these: the client repeats what was asked on the next one. Waiting
too long is the caller's own deadline (`trio.fail_after`).
"""

from greenroom.protocol import Error, ErrorCode


class ClientError(Exception):
    """Base of the package's own exceptions."""


class CommandRefused(ClientError):
    """The node answered a command with an ERROR that repeating the command would not mend."""

    def __init__(
        self,
        code: int,
        message: str,
        temporary: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(code, message, temporary, retry_after_seconds)
        self.code: int = _known(code)
        """An `ErrorCode`, or the bare number of one that a later version of the protocol added."""
        self.message = message
        self.temporary = temporary
        """Whether the same command may succeed later."""
        self.retry_after_seconds = retry_after_seconds
        """How long the node asks to wait before that, where it says so."""

    @classmethod
    def by(cls, error: Error) -> "CommandRefused":
        """The refusal that the node's `error` is."""
        return cls(error.code, error.message, error.temporary, seconds_to_wait(error))

    @classmethod
    def of(cls, code: ErrorCode) -> "CommandRefused":
        """A refusal the client can tell by itself, without asking the node."""
        return cls(code, code.message, code.temporary)

    def __str__(self) -> str:
        return f"{self.message} (error {int(self.code)})"


class RemovedFromRoom(ClientError):
    """The node took this client out of the room, and it may not simply join again."""

    def __init__(self, room: str, code: int) -> None:
        super().__init__(room, code)
        self.room = room
        self.code: int = _known(code)
        """Why: an `ErrorCode`, or the bare number of a later one."""

    def __str__(self) -> str:
        why = self.code.message if isinstance(self.code, ErrorCode) else "no longer allowed"
        return f"removed from room {self.room!r}: {why} (error {int(self.code)})"


class ClientClosed(ClientError):
    """The client is CLOSED and will not connect again.

    The node said that trying again is useless (a close code of 4500-4999, an HTTP status such as
    401), or the `token` callable raised; its exception is then the `__cause__`.
    """

    def __init__(
        self,
        detail: str,
        close_code: int | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(detail, close_code, http_status)
        self.detail = detail
        self.close_code = close_code
        """The WebSocket close code, if there was one: a `CloseCode` where the number is known."""
        self.http_status = http_status
        """The HTTP status that refused the WebSocket, if that is what happened."""

    def __str__(self) -> str:
        if self.close_code is not None:
            return f"{self.detail} (close code {int(self.close_code)})"
        if self.http_status is not None:
            return f"{self.detail} (HTTP {self.http_status})"
        return self.detail


def seconds_to_wait(error: Error) -> float | None:
    """How long the node asks to wait, where it says so."""
    return None if error.retry_after_ms is None else error.retry_after_ms / 1000


def _known(code: int) -> int:
    try:
        return ErrorCode(code)
    except ValueError:
        return code
