"""All timers of a tree: one heap, one task, started with the first timer."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import trio

COMPACT_AT = 64  # below that many cancelled entries, rebuilding the heap is not worth it


class Timer:
    """Something that will happen once, or again and again. `cancel()` is idempotent."""

    __slots__ = ("_action", "_clock", "interval", "when")

    def __init__(
        self, clock: Clock, when: float, action: Callable[[], object], interval: float | None
    ) -> None:
        self._clock = clock
        self._action: Callable[[], object] | None = action
        self.when = when
        """`trio.current_time()` at which it is due."""
        self.interval = interval
        """Seconds between two firings; None for a timer that fires once."""

    @property
    def active(self) -> bool:
        """Whether it is still to happen."""
        return self._action is not None

    def cancel(self) -> None:
        """Make it not happen any more."""
        if self._action is not None:
            self._action = None
            self._clock.forget_one()

    def fire(self, now: float) -> None:
        """Run the action; for the clock, which has taken the timer off its heap."""
        action = self._action
        if action is None:
            return
        if self.interval is None:
            self._action = None
        else:  # missed ticks are not caught up with
            self.when += self.interval
            if self.when <= now:  # nextafter: the clock's floats may have outgrown the interval
                self.when = max(now + self.interval, math.nextafter(now, math.inf))
            self._clock.push(self)
        action()


class Clock:
    """The timers of one tree and the task that fires them."""

    def __init__(self, note_error: Callable[[BaseException], object]) -> None:
        self._note_error = note_error
        """Told of what comes out of an action; must not raise."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._cancelled = 0
        self._scope: trio.CancelScope | None = None
        self._nursery: trio.Nursery | None = None
        self._running = False
        self._stop = trio.CancelScope()

    def open(self, nursery: trio.Nursery) -> None:
        """Use `nursery` for the one task."""
        self._nursery = nursery

    def close(self) -> None:
        """End the task; timers set later never fire."""
        self._nursery = None
        self._stop.cancel()
        self._heap.clear()

    def call_at(
        self, when: float, action: Callable[[], object], *, interval: float | None = None
    ) -> Timer:
        """Call `action` at `when`, and then every `interval` seconds."""
        timer = Timer(self, when, action, interval)
        self.push(timer)
        return timer

    def push(self, timer: Timer) -> None:
        """Put a timer on the heap."""
        when = timer.when
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, timer))
        if self._scope is not None and when < self._scope.deadline:
            self._scope.deadline = when
        elif not self._running and self._nursery is not None:
            self._running = True
            self._nursery.start_soon(self._run, name="greenroom timers")

    def forget_one(self) -> None:
        """Note that an entry was cancelled; drop such entries once they are the most."""
        self._cancelled += 1
        if self._cancelled > COMPACT_AT and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)
            self._cancelled = 0

    @trio.lowlevel.enable_ki_protection
    async def _run(self) -> None:
        with self._stop:
            while True:
                now = trio.current_time()
                while self._heap and self._heap[0][0] <= now:
                    timer = heapq.heappop(self._heap)[2]
                    if timer.active:
                        try:
                            timer.fire(now)
                        except BaseException as exc:  # noqa: BLE001  the others are still due
                            self._note_error(exc)
                    else:
                        self._cancelled -= 1
                deadline = self._heap[0][0] if self._heap else math.inf
                with trio.CancelScope(deadline=deadline) as self._scope:
                    await trio.sleep_forever()
