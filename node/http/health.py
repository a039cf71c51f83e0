"""Whether the node can do its work: what /readyz asks, and the operators' gate.

Asked by strangers, as often as they like: one answer is for all who ask at a time.
"""

from collections.abc import Awaitable, Callable

import trio

from greenroom.actors.health import StoreHealth
from greenroom.actors.ports import MessageStore, StoreUnavailable


class Shared:
    """A check that strangers may ask for: at most one runs at a time.

    Who asks while one runs waits for the next, together with all others, and so never gets an
    answer that is older than the question.

    Args:
        check: Returns, or raises an exception that says what is wrong.
    """

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._lock = trio.Lock()
        self._begun = 0
        self._error: Exception | None = None  # of the last check

    async def __call__(self) -> None:
        """Return, or raise what the check raised.

        Cancellation:
            The check that runs in this call is cancelled; the next who waits begins another.
        """
        asked = self._begun
        async with self._lock:
            if self._begun <= asked:
                self._begun += 1
                try:
                    self._error = None
                    await self._check()
                except Exception as error:
                    self._error = error
                    raise
                except BaseException:
                    self._begun -= 1  # it has found out nothing
                    raise
            elif self._error is not None:
                raise self._error.with_traceback(None)


async def check_store(store: MessageStore, commits: StoreHealth, reads: StoreHealth) -> None:
    """Return when the store can be read now and its last commit worked.

    Whoever asks is a stranger, so asking must not write: whether commits work, the archive knows.

    Raises:
        StoreUnavailable: One of the two is not so; the log says why.
    """
    try:
        await store.ping()
    except StoreUnavailable as trouble:
        reads.failed(trouble)
        raise
    reads.worked()
    if not commits.good:
        raise StoreUnavailable("commits fail")
