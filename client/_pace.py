"""How fast one kind of command goes out: at once, until the node answers ERROR 111.

Then none goes before the time that the node named; after it one at a time, and after some answers
one more, until none waits. Where more at a time were too many, twice as many answers are awaited
before it is tried again. So a client of whatever speed settles at what the node allows, and gives
it no reason for 4007.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

StartSoon: TypeAlias = Callable[[Callable[[], Awaitable[object]]], object]

USUAL_WAIT_SECONDS: Final = 1.0
"""Where the node names none."""
FIRST_PATIENCE: Final = 8
"""Answers before one more is sent at a time."""
MOST_PATIENCE: Final = 1_024


class Pace:
    """Of one kind of command, over all connections: the node remembers, too. Pure."""

    def __init__(self) -> None:
        self.until = -math.inf
        """Nothing is sent before."""
        self._most: int | None = None  # that may be under way; None: any number
        self._answers = 0  # since that last changed
        self._patience = FIRST_PATIENCE

    @property
    def is_free(self) -> bool:
        """Whether there is nothing to heed."""
        return self._most is None

    def may_send(self, now: float, *, under_way: int) -> bool:
        """Whether one more may go out beside those that have no answer yet."""
        return self._most is None or (now >= self.until and under_way < self._most)

    def refused(self, now: float, seconds: float | None, *, under_way: int) -> None:
        """The node wants none of these for so many seconds."""
        if self._most is not None and self._most > 1 and now >= self.until:
            self._patience = min(MOST_PATIENCE, 2 * self._patience)
        self.until = max(self.until, now + (USUAL_WAIT_SECONDS if seconds is None else seconds))
        self._most = max(1, (under_way if self._most is None else self._most) // 2)
        self._answers = 0

    def answered(self) -> None:
        """One was not refused; after so many, one more may be under way."""
        self._answers += 1
        if self._most is not None and self._answers >= self._patience:
            self._most += 1
            self._answers = 0

    def nothing_waits(self) -> None:
        """All that was to be sent was sent, and answered: begin anew."""
        self._most = None
        self._patience = FIRST_PATIENCE


class Pacemaker:
    """A pace on Trio's clock: has more sent when the time has come, or an answer.

    Args:
        go_on: Sends what may be sent; called when more may.
        under_way: How many have no answer yet.
    """

    def __init__(self, *, go_on: Callable[[], object], under_way: Callable[[], int]) -> None:
        self._pace = Pace()
        self._go_on = go_on
        self._under_way = under_way
        self._start_soon: StartSoon | None = None
        self._resuming = False

    def connected(self, start_soon: StartSoon) -> None:
        """There is a new connection, which runs tasks until it ends."""
        self._start_soon = start_soon
        self._resuming = False
        self._resume()

    def may_send(self) -> bool:
        """Whether one more may be sent now."""
        pace = self._pace
        return pace.is_free or pace.may_send(trio.current_time(), under_way=self._under_way())

    def refused(self, seconds: float | None) -> None:
        """One came back with ERROR 111, and is to be sent again."""
        self._pace.refused(trio.current_time(), seconds, under_way=self._under_way() + 1)
        self._resume()

    def answered(self) -> None:
        """One has its answer, or nobody waits for it any more."""
        if not self._pace.is_free:
            self._pace.answered()
            self._go_on()
            if not self._under_way() and trio.current_time() >= self._pace.until:
                self._pace.nothing_waits()

    def _resume(self) -> None:
        if self._start_soon is not None and not self._resuming and not self._pace.is_free:
            self._resuming = True
            self._start_soon(self._wait)

    async def _wait(self) -> None:
        while trio.current_time() < self._pace.until:  # noqa: ASYNC110 - it may have moved on
            await trio.sleep_until(self._pace.until)
        self._resuming = False
        self._go_on()
