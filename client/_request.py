"""A command whose reply a task waits for: repeated on each connection until it is answered."""

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import trio

from greenroom.client._errors import ClientError, CommandRefused, seconds_to_wait
from greenroom.protocol import Answer, Error, ErrorCode, History, Presence, Publish

R = TypeVar("R")
Repeatable: TypeAlias = Publish | History | Presence
"""What may be sent twice and means the same: reading, and publishing under a key."""


class Request(Generic[R]):
    """One command and, later, its reply.

    Args:
        command: Without its `id`, which each connection gives anew.
        reply_type: What answers it.
        on_reply: Called with the reply in the reader's task, before anything that comes after it
            is read.
    """

    def __init__(
        self,
        command: Repeatable,
        reply_type: type[R],
        on_reply: Callable[[R], object] = lambda _: None,
    ) -> None:
        self.command = command
        self._reply_type = reply_type
        self._on_reply = on_reply
        self.number = 0
        """Its place among the engine's requests."""
        self.on_put_off: Callable[[float | None], object] = lambda _: None
        """Called instead of an end when the node answers ERROR 111: with the seconds to wait."""
        self._done = trio.Event()
        self._reply: R | None = None
        self._error: Exception | None = None

    def answer(self, answer: Answer) -> None:
        """Take the node's reply or ERROR; never blocks."""
        if isinstance(answer, self._reply_type):
            self._reply = answer
            self._on_reply(answer)
            self._done.set()
        elif isinstance(answer, Error) and answer.code == ErrorCode.TOO_MANY_REQUESTS:
            self.on_put_off(seconds_to_wait(answer))
        elif isinstance(answer, Error):
            self.fail(CommandRefused.by(answer))
        else:
            self.fail(ClientError(f"the node answered with {type(answer).__name__}"))

    def fail(self, error: Exception) -> None:
        """No reply will come."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    async def wait(self) -> R:
        """The reply; raises the error that came instead."""
        await self._done.wait()
        if self._reply is None:
            raise self._error or ClientError("no reply")
        return self._reply


AnyRequest: TypeAlias = Request[Any]  # Any: a table of requests holds them for replies of any type
