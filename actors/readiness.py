"""Readiness: tells connections that their sockets have something to read.

One epoll for all plain sockets of the node, and one task that waits for it, instead of a task and a
registration for each read of each connection: measured with 1,000 talking clients that is 7 µs a
message instead of 20, and the second task of every connection is saved too. What is called back
runs in this actor's task, so it never waits, and fences its own errors.

Where there is no epoll, and for TLS and in-memory streams, a connection reads in a task of its own.
"""

import select
from collections.abc import Callable
from typing import Any, Final

import trio

from greenroom.supervisor import ChildSpec, Inbox

EVENTS_AT_ONCE: Final = 8_192
"""As many as have something, on nearly every node: what is said in a room together has to come into
one turn, or the room makes several batches of it, each with a write for every member. And it stays
so, as those who are answered together speak together."""

TURN_SECONDS: Final = 0.05
"""Then the other actors have their turn, as what one segment asks for may take milliseconds. Of
usual messages it is 2,000, so where more are said at once, rooms make two or three batches."""


class Readiness:
    """Which sockets are watched, and whom to call. Outlives the actor that serves it."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[float], object]] = {}  # {descriptor: what to call}

    @property
    def served(self) -> bool:
        """Whether sockets can be watched."""
        return self._epoll is not None

    def watch(self, descriptor: int, callback: Callable[[float], object]) -> None:
        """Call `callback`, which must neither wait nor raise, whenever there is something to read.

        It gets the time, which is looked at between two of them anyway.

        Again and again, once a pass, until it has been read or `forget` is called: before the
        socket is closed. Now and then there is nothing to read after all.
        """
        assert self._epoll is not None  # noqa: S101 - whoever watches has looked at `served`
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Call nobody any more."""
        if self._callbacks.pop(descriptor, None) is not None and self._epoll is not None:
            self._epoll.unregister(descriptor)

    def open(self) -> None:
        """Be able to watch; nothing happens where there is no epoll, or where it is open."""
        if self._epoll is None and hasattr(select, "epoll"):
            self._epoll = select.epoll()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        self._callbacks.clear()

    async def serve(self) -> None:
        """Call back, for ever."""
        epoll, callbacks = self._epoll, self._callbacks
        if epoll is None:
            await trio.sleep_forever()
        assert epoll is not None  # noqa: S101 - no sleep ends
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            now = trio.current_time()
            end = now + TURN_SECONDS
            for descriptor, _ in epoll.poll(0, EVENTS_AT_ONCE):
                callback = callbacks.get(descriptor)
                if callback is not None:  # forgotten since; another's that has its number: no harm
                    callback(now)
                now = trio.current_time()
                if now >= end:
                    await trio.lowlevel.checkpoint()
                    now = trio.current_time()
                    end = now + TURN_SECONDS


def readiness_spec(readiness: Readiness) -> ChildSpec[Any]:
    """The actor's recipe; nobody sends it anything. A crash forgets no socket."""
    return ChildSpec(id="readiness", start=serve_readiness, args=(readiness,))


async def serve_readiness(
    inbox: Inbox[Any],  # Any: nobody sends it anything
    readiness: Readiness,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Serve until told to stop, which is after the last connection."""
    readiness.open()
    task_status.started()
    try:
        await readiness.serve()
    finally:
        if inbox.stopping:
            readiness.close()
