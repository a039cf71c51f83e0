"""Help for testing actors: a probe, a way to let things settle, a seeded scheduler.

Use them with Trio's own: `trio.testing.MockClock` (pytest-trio's `autojump_clock`) makes every
restart delay, grace and timer pass at once, since every time in the library is
`trio.current_time()`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import trio
import trio.testing

from ._inbox import Inbox
from ._messages import Request
from ._specs import ChildSpec

M = TypeVar("M")


class ProbeCrash(Exception):
    """What a probe raises when told to crash."""


class Probe(Generic[M]):
    """An actor under test control: it notes what it gets, and does as it is told.

    Told to crash, it raises where it waits::

        probe: Probe[str] = Probe()
        ref = await sup.start_child(probe.spec("a"))
        await ref.tell("hello")
        assert await probe.next() == "hello"
        probe.crash()
    """

    def __init__(self, answer: Callable[[Any], object] | None = None) -> None:
        """Make one; `answer` gives the reply to each request (without it, none is answered)."""
        self.received: list[M] = []
        """All messages of all incarnations, in the order they were received."""
        self.started_at: list[float] = []
        """`trio.current_time()` of each incarnation's start."""
        self.stopped_at: list[float] = []
        """`trio.current_time()` of each incarnation's end."""
        self.inbox: Inbox[M] | None = None
        """The living, or last, incarnation's inbox."""
        self.fail_starts = 0
        """How many of the next starts fail."""
        self._answer = answer
        self._order: Exception | None = None
        self._scope: trio.CancelScope | None = None
        self._send, self._notes = trio.open_memory_channel[M](float("inf"))

    def spec(self, id: str = "probe", **settings: Any) -> ChildSpec[M]:
        """Return a child spec that runs this probe; `settings` go to `ChildSpec`."""
        return ChildSpec(id=id, start=self._live, **settings)

    async def next(self) -> M:
        """Return the next message the probe has got, waiting for it."""
        return await self._notes.receive()

    def crash(self, error: Exception | None = None) -> None:
        """Let the living incarnation raise `error` (a `ProbeCrash`) where it waits."""
        self._order = ProbeCrash() if error is None else error
        self._interrupt()

    def finish(self) -> None:
        """Let the living incarnation return."""
        self._order = None
        self._interrupt()

    def _interrupt(self) -> None:
        if self._scope is None:
            raise RuntimeError("the probe does not run")
        self._scope.cancel()

    async def _live(self, inbox: Inbox[M], *, task_status: trio.TaskStatus[None]) -> None:
        if self.fail_starts:
            self.fail_starts -= 1
            raise ProbeCrash
        self.inbox = inbox
        self.started_at.append(trio.current_time())
        try:
            with trio.CancelScope() as self._scope:
                task_status.started()
                async for message in inbox:
                    self.received.append(message)
                    self._send.send_nowait(message)
                    if self._answer is not None and isinstance(message, Request):
                        inbox.reply(self._answer(message))
            if self._order is not None:
                raise self._order
        finally:
            self.stopped_at.append(trio.current_time())


async def settle() -> None:
    """Wait until every other task is blocked: all that was sent has been handled as far as it goes.

    Does not let time pass; under `autojump_clock`, timers that are due later stay due.
    """
    await trio.testing.wait_all_tasks_blocked()


@contextmanager
def seeded_scheduler(seed: int) -> Generator[random.Random, None, None]:
    """Make `trio.run` inside the block schedule repeatably, and yield a `Random` of the same seed.

    Trio shuffles the tasks of each pass; here it does so from `seed`. Uses two private names of
    Trio's, which its own tests use for this (`test_scheduler_determinism.py`), and refuses to run
    if they are gone.
    """
    from trio._core import _run as run  # noqa: PLC0415  only here are the private names touched

    before = run._ALLOW_DETERMINISTIC_SCHEDULING
    state = run._r.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # Final, but made to be set
    run._r.seed(seed)
    try:
        yield random.Random(seed)  # noqa: S311  repeatable is the point
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]  # as above
        run._r.setstate(state)


__all__ = ["Probe", "ProbeCrash", "seeded_scheduler", "settle"]
