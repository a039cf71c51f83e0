"""A thread of its own for calls that come one after another, and the shortest way there and back.

`trio.to_thread` finds, names and hands over a thread for each call, and takes a turn in the event
loop before. Where a call follows the other that is a good part of what a small one costs.
"""

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar, cast

import attrs
import trio
from trio.lowlevel import Abort, RaiseCancelT

T = TypeVar("T")


class _GivenUp(BaseException):
    """Takes a call out of the thread whose caller was cancelled; never leaves this module."""


@attrs.define(eq=False)
class Call(Generic[T]):
    """One call on its way through the thread."""

    _work: Callable[["Call[T]"], T]
    _task: trio.lowlevel.Task
    _token: trio.lowlevel.TrioToken
    _raise_cancel: RaiseCancelT | None = None
    _value: T | None = None
    _error: BaseException | None = None

    def check_cancelled(self) -> None:
        """Leave the work here if its caller was cancelled: for `work`, where nothing is lost."""
        if self._raise_cancel is not None:
            raise _GivenUp

    def note_cancel(self, raise_cancel: RaiseCancelT) -> Abort:
        """The caller was cancelled: it goes on waiting, and the work may look."""
        self._raise_cancel = raise_cancel
        return Abort.FAILED

    def run(self) -> None:
        """Do the work, in the thread, and wake the caller."""
        try:
            self.check_cancelled()
            self._value = self._work(self)
        except BaseException as error:  # noqa: BLE001 - the caller's to handle
            self._error = error
        with suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(trio.lowlevel.reschedule, self._task)

    def result(self) -> T:
        """Return or raise what came of it, in the caller's task."""
        if isinstance(self._error, _GivenUp) and self._raise_cancel is not None:
            self._raise_cancel()
        if self._error is not None:
            raise self._error
        return cast("T", self._value)


class Worker:
    """One thread, made when it is needed first, that does one call after the other.

    Calls wait in a queue without a bound: it is for callers who bound their calls themselves.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: Thread | None = None
        self._calls: SimpleQueue[Call[object] | None] = SimpleQueue()

    async def run(self, work: Callable[[Call[T]], T]) -> T:
        """Run `work` in the thread and return what it returns.

        Cancellation:
            Takes effect until `work` begins, and where it asks `check_cancelled`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._thread is None:
            self._thread = Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        call = Call(work, trio.lowlevel.current_task(), trio.lowlevel.current_trio_token())
        self._calls.put(cast("Call[object]", call))
        await trio.lowlevel.wait_task_rescheduled(call.note_cancel)
        return call.result()

    async def close(self) -> None:
        """End the thread, after what was given to it."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._calls.put(None)
            await trio.to_thread.run_sync(thread.join)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call  # while it waits for the next one, it keeps nothing of this one alive
