"""Beats: calls connections back when their silence may mean something.

A timer and a message for each beat of each connection, which wakes its actor, were most of what an
idle connection cost. So all that falls due within one slot of time is called back in one pass of
one task, and the HEARTBEATs of a pass are the same bytes, encoded once for each codec. What is
called back runs in this actor's task, so it never waits, and fences its own errors.
"""

import heapq
import math
from collections.abc import Callable
from typing import Any, Final

import trio

from greenroom.actors.connection.frames import frame_of
from greenroom.protocol import Codec, Heartbeat
from greenroom.supervisor import ChildSpec, Inbox

SLOT_SECONDS: Final = 0.25
"""A call comes at most so much later than it was asked for. A power of two: slots are exact."""

CALLS_PER_PASS: Final = 64
"""Then all others have their turn: a crowd that came together beats 64 at a time, 1 or 2 ms."""


class Beats:
    """Whom to call back, and when. Outlives the actor that serves it.

    Args:
        now_ms: The wall clock, for what a HEARTBEAT says.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._slots: dict[int, dict[Callable[[], object], None]] = {}  # {slot: whom to call}
        self._due: list[int] = []  # a heap: the keys of `_slots`
        self._sleep = trio.CancelScope()  # until the first of them
        self._frames: dict[str, bytes] = {}  # {subprotocol: this pass's HEARTBEAT}

    def call_at(self, when: float, callback: Callable[[], object]) -> int:
        """Call `callback`, which must neither wait nor raise, once: at `when` or a slot later.

        Returns:
            What `forget` has to know.
        """
        slot = math.ceil(when / SLOT_SECONDS)
        callbacks = self._slots.get(slot)
        if callbacks is None:
            callbacks = self._slots[slot] = {}
            heapq.heappush(self._due, slot)
            self._sleep.deadline = min(self._sleep.deadline, slot * SLOT_SECONDS)
        callbacks[callback] = None
        return slot

    def forget(self, slot: int, callback: Callable[[], object]) -> None:
        """Do not call it any more; nothing happens where it has been called."""
        callbacks = self._slots.get(slot)
        if callbacks is not None:
            callbacks.pop(callback, None)

    def heartbeat(self, codec: Codec) -> bytes:
        """The frame of a HEARTBEAT, for who is being called back."""
        frame = self._frames.get(codec.subprotocol)
        if frame is None:
            frame = frame_of(codec, Heartbeat(timestamp=self._now_ms()))
            self._frames[codec.subprotocol] = frame
        return frame

    async def serve(self) -> None:
        """Call back, for ever."""
        while True:
            due = self._due[0] * SLOT_SECONDS if self._due else math.inf
            if due > trio.current_time():
                with trio.CancelScope(deadline=due) as self._sleep:
                    await trio.sleep_forever()
            elif callbacks := self._slots[self._due[0]]:
                self._call(callbacks)
                await trio.lowlevel.checkpoint()
            else:
                del self._slots[heapq.heappop(self._due)]

    def _call(self, callbacks: dict[Callable[[], object], None]) -> None:
        self._frames.clear()
        for _ in range(min(len(callbacks), CALLS_PER_PASS)):
            callback, _ = callbacks.popitem()
            callback()
            if not callbacks:  # it made us forget others
                break


def beats_spec(beats: Beats) -> ChildSpec[Any]:
    """The actor's recipe; nobody sends it anything. A crash forgets nobody."""
    return ChildSpec(id="beats", start=serve_beats, args=(beats,))


async def serve_beats(
    _inbox: Inbox[Any],  # Any: nobody sends it anything
    beats: Beats,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Serve until told to stop, which is after the last connection."""
    task_status.started()
    await beats.serve()
