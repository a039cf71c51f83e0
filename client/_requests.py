"""The commands whose replies tasks wait for: what is to be sent, in its order, and what was.

They outlive connections, and refusals for their rate; whether a room can be asked, and over which
connection, the engine knows.
"""

from collections.abc import Callable
from functools import partial
from itertools import count

from greenroom.client._connection import Connection
from greenroom.client._pace import Pacemaker, StartSoon
from greenroom.client._request import AnyRequest
from greenroom.protocol import Publish


class Requests:
    """All of one client's.

    Args:
        connection: The authenticated connection, if there is one.
        is_joined: Whether commands about a room can be sent now.
    """

    def __init__(
        self, *, connection: Callable[[], Connection | None], is_joined: Callable[[str], bool]
    ) -> None:
        self._connection = connection
        self._is_joined = is_joined
        self._waiting: dict[AnyRequest, None] = {}  # to be sent, in this order
        self._sent: dict[AnyRequest, int] = {}  # on the connection there is, with their ids
        self._numbers = count(1)  # the order in which they go out
        self._publishes = Pacemaker(
            go_on=self.send, under_way=lambda: self._under_way(self._publishes)
        )
        self._questions = Pacemaker(
            go_on=self.send, under_way=lambda: self._under_way(self._questions)
        )

    def __len__(self) -> int:
        """How many are waited for."""
        return len(self._waiting) + len(self._sent)

    def add(self, request: AnyRequest) -> None:
        """Have a request sent, now or as soon as that can be."""
        request.number = next(self._numbers)
        request.on_put_off = partial(self._put_off, request)
        self._waiting[request] = None
        self.send()

    def remove(self, request: AnyRequest) -> int | None:
        """Nobody waits for it any more.

        Returns:
            Under which id it was sent on the connection there is, if it was.
        """
        self._waiting.pop(request, None)
        number = self._sent.pop(request, None)
        self._pacemaker_of(request).answered()
        return number

    def send(self) -> None:
        """Send what may be sent: a command about a room follows the JOIN_OK of that room."""
        connection = self._connection()
        if connection is None:
            return
        for request in list(self._waiting):
            if self._is_joined(request.command.room) and self._pacemaker_of(request).may_send():
                del self._waiting[request]
                self._sent[request] = connection.request(request)

    def connected(self, start_soon: StartSoon) -> None:
        """There is a new connection."""
        self._publishes.connected(start_soon)
        self._questions.connected(start_soon)

    def lost(self, unanswered: list[AnyRequest]) -> None:
        """The connection is gone: what had no answer goes first when it is sent again."""
        self._waiting = {**dict.fromkeys(unanswered), **self._waiting}
        self._sent.clear()

    def fail(self, error: Callable[[], Exception], *, room: str | None = None) -> bool:
        """End all of them, or all about one room; whether there were any."""
        failing = [
            each for each in (*self._waiting, *self._sent) if room in {None, each.command.room}
        ]
        for request in failing:
            request.fail(error())
        return bool(failing)

    def _put_off(self, request: AnyRequest, seconds: float | None) -> None:
        """Send a request again later, in the place that it had among the others."""
        self._sent.pop(request, None)
        self._waiting = dict.fromkeys(
            sorted([*self._waiting, request], key=lambda each: each.number)
        )
        self._pacemaker_of(request).refused(seconds)

    def _pacemaker_of(self, request: AnyRequest) -> Pacemaker:
        return self._publishes if isinstance(request.command, Publish) else self._questions

    def _under_way(self, kind: Pacemaker) -> int:
        return sum(self._pacemaker_of(request) is kind for request in self._sent)
