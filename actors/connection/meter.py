"""One connection's rate limits: what each command costs it, and what comes of going on regardless.

A command whose budget is used up goes no further than here: the client is told when the same
command would do (ERROR 111). When it goes on all the same, it is closed with 4007.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import trio

from greenroom.actors.budgets import Bucket, Terms, Toll
from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.window import Ticket
from greenroom.actors.rates import Account, Cost, Label, Rates, Scope
from greenroom.protocol import CloseCode, ErrorCode, History, Join, Presence, Refresh, Typing

Charged = Join | Refresh | History | Presence | Typing
CHARGED: Final = (Join, Refresh, History, Presence)
"""Of the commands that stand in line. AUTH comes once; LEAVE costs no more than its frame."""

_COSTS: Final[Mapping[type[Charged], Cost]] = {
    Join: Cost.JOIN,
    Refresh: Cost.JOIN,
    History: Cost.HISTORY,
    Presence: Cost.HISTORY,
    Typing: Cost.TYPING,
}

PUBLISHES_AT_A_TIME: Final = 16
"""Of those that follow each other within `SOON_SECONDS`, so many are paid for in one go: first one,
then two, and so on. So a PUBLISH among others costs next to nothing, and one that comes alone is
paid for alone: a hundred tabs of a user hold back nothing. What a connection that stops has paid in
vain is so little that it is back within a third of a second."""
SOON_SECONDS: Final = 0.1

MOST_TOLD: Final = 128
"""Things that one connection is known to have been told to wait with: more than its rooms."""

FRAMES_AT_A_TIME: Final = 16
"""Paid for in one go, so that a frame costs no more than a comparison. An idle connection may hold
back so many of its user's, a hundred connections less than half of them."""


class Meter:
    """What one connection may still do.

    Args:
        rates: The node's.
        address: Where the client is; empty: nobody knows.
        client: Who is told why not. Its outbox knows when it was last heard, which is when a
            command is charged: that saves asking the clock for each.
        end: Ends the connection.
    """

    __slots__ = (
        "_account",
        "_bought_at",
        "_client",
        "_end",
        "_frames_paid",
        "_lot",
        "_rates",
        "_told",
        "_warnings",
        "publish_bytes",
        "publishes",
    )

    def __init__(
        self, rates: Rates, address: str, client: Answering, *, end: Callable[[CloseCode], object]
    ) -> None:
        self._rates = rates
        self._account = Account(rates, address, now=client.outbox.last_received_at)
        self._client = client
        self._end = end
        self._told: dict[object, tuple[float, float]] = {}  # {what: (when told, until when)}
        self._warnings: Bucket | None = None  # from the first that was not heeded on
        self._frames_paid = 0
        self._lot = 1
        self._bought_at = -math.inf
        self.publishes = 0
        """PUBLISHes that are paid for and have not come. Whoever takes one subtracts it and its
        size; `admits_publish` is for one that is more than that."""
        self.publish_bytes = 0
        """The content that is paid for with them."""

    @property
    def address(self) -> str:
        """Under which name the client's address is counted; empty: nobody knows, or it ended."""
        return self._account.address

    def belongs_to(self, user: str) -> None:
        """The client has authenticated: from now on it shares its user's budgets."""
        self._account.belongs_to(user, now=self._client.outbox.last_received_at)

    def close(self) -> None:
        """The connection ends; more than once is once."""
        self._account.close(now=trio.current_time())

    def pay_frames(self, came: int) -> int:
        """Charge the frames that came, and some more; too many of them end the connection.

        Args:
            came: How many there were so far.

        Returns:
            Up to how many are paid for now.
        """
        now = self._client.outbox.last_received_at
        toll = self._account.toll(Cost.FRAME)
        for spare in (FRAMES_AT_A_TIME, 0):
            count = came + spare - self._frames_paid
            if toll.pay(now, count):
                self._frames_paid += count
                return self._frames_paid
        self._close_for(Cost.FRAME)
        return came

    def admits_publish(self, size: int, id: int | None, ticket: Ticket) -> bool:
        """Charge a PUBLISH with so many bytes of content, and further ones like it in advance.

        The more in advance, the faster they come: see `publishes` and `publish_bytes`.

        Returns:
            Whether it is admitted; else it is refused, and answered.
        """
        toll = self._account.toll(Cost.PUBLISH)
        now = self._client.outbox.last_received_at
        soon = now - self._bought_at < SOON_SECONDS
        self._bought_at = now
        self._lot = min(PUBLISHES_AT_A_TIME, 2 * self._lot) if soon else 1
        if toll.pay(now, self._lot, self._lot * size):
            self.publishes = self._lot - 1
            self.publish_bytes = self.publishes * size
            return True
        return toll.pay(now, 1, size) or self._admits_late(toll, id, ticket, size)

    def admits(self, command: Charged, ticket: Ticket) -> bool:
        """Charge another command; False: it is refused, and answered."""
        toll = self._account.toll(_COSTS[type(command)])
        if toll.pay(self._client.outbox.last_received_at):
            return True
        id = None if isinstance(command, Typing) else command.id
        return self._admits_late(toll, id, ticket)

    def _admits_late(self, toll: Toll, id: int | None, ticket: Ticket, size: int = 0) -> bool:
        """Charge now what could not be paid before: it may have waited here for its turn.

        Returns:
            Whether it could; else it is refused, and answered.
        """
        now = trio.current_time()
        if toll.pay(now, 1, size):
            return True
        seconds, label = toll.wait(now, 1, size)
        self._client.refuse(id, ErrorCode.TOO_MANY_REQUESTS, ticket, retry_after_seconds=seconds)
        self._refused(label, toll, seconds, now)
        return False

    def put_off(self, room: str, seconds: float) -> None:
        """A room has refused a PUBLISH, and answered it: it sends too much already."""
        self._refused((Cost.EGRESS, Scope.ROOM), room, seconds, trio.current_time())

    def _refused(self, label: Label, what: object, seconds: float, now: float) -> None:
        """Count a refusal, and end the connection of who goes on.

        That is who was told to wait with `what`, and sent more of it later and yet before that
        time; not who did wait, nor who had sent it before it could know. What comes in one segment
        counts once.
        """
        self._rates.refused[label] += 1
        heard_at = self._client.outbox.last_received_at
        told_at, until = self._told.get(what, (heard_at, heard_at))
        if told_at < heard_at < until:
            self._told[what] = (heard_at, until)
            self._warn(label[0], now)
        elif heard_at >= until:
            if len(self._told) >= MOST_TOLD:  # rooms come and go; what is forgotten is forgiven
                self._told.clear()
            self._told[what] = (now, now + seconds)

    def _warn(self, cost: Cost, now: float) -> None:
        budget = self._rates.limits.refusals
        if budget is None:
            return
        if self._warnings is None:
            self._warnings = Bucket(Terms(budget))
        if self._warnings.wait_for(1, now):
            self._close_for(cost)
        else:
            self._warnings.take(1, now)

    def _close_for(self, cost: Cost) -> None:
        self._rates.closed[cost] += 1
        self._end(CloseCode.RATE_LIMITED)
