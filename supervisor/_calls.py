"""Requests to a supervisor, done one after another by its loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from ._errors import ActorError

if TYPE_CHECKING:
    from ._incarnation import Incarnation


class Call:
    """Somebody's request to a supervisor, done by its loop, outcome heard by the waiting caller."""

    def __init__(self, operation: Callable[[Call], Awaitable[Any]]) -> None:
        self._operation = operation
        self.done = trio.Event()
        self.value: Any = None  # Any: each operation has its own result
        self.error: Exception | None = None
        self.withdrawn = False
        """The caller was cancelled: what has not begun is skipped, what was started is stopped."""
        self.refused = False
        self.starting: Incarnation | None = None

    async def __call__(self) -> None:
        """Do it; for the loop."""
        if self.withdrawn:
            return
        try:
            self.value = await self._operation(self)
        except ActorError as exc:
            self.error = exc
        except BaseException:
            self.refused = True
            raise
        finally:
            self.done.set()

    def refuse(self) -> None:
        """End it undone: the supervisor has stopped."""
        self.refused = True
        self.done.set()
