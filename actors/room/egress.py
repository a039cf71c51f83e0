"""What one room may send to its members, and how much of that one sender may cause.

A message costs its bytes for each member, so in a big room one sender within its own limits could
keep the node writing for everybody. Of the room's budget three quarters are shared alike by those
who use it, at least by three; the rest is for whoever comes to it. So one sender can use up its
share, a quarter at the most, and however many flood a room together, those who say little are
heard. Pure: `now` comes in.
"""

import math
from typing import Final

from greenroom.actors.budgets import Budget, wait_for

SHARED: Final = 3 / 4
"""Of the room's rate, what all who use it have together; and of its burst, where they find the
room's bucket empty."""
FEWEST: Final = 3
"""So many shares there are at the least."""
LIGHT: Final = 1 / 4
"""Of a share's burst: who has used up no more may also take what the others must leave."""
MESSAGE_BYTES: Final = 180
"""Of a MESSAGE beside its content: in JSON, with names of usual length."""
SWEEP_SECONDS: Final = 0.25
"""How long a share goes on counting, at the most, that is full again."""


class Egress:
    """One room's budget.

    Args:
        budget: Bytes a second, and at once.
    """

    __slots__ = (
        "_burst_seconds",
        "_full_at",
        "_own_seconds_each",
        "_seconds_each",
        "_senders",
        "_shared_seconds",
        "_sweep_at",
    )

    def __init__(self, budget: Budget) -> None:
        self._seconds_each = 1.0 / budget.rate
        self._burst_seconds = budget.burst / budget.rate
        self._shared_seconds = self._burst_seconds * SHARED
        self._own_seconds_each = self._seconds_each * FEWEST / SHARED
        self._full_at = -math.inf
        self._senders: dict[str, float] = {}  # {user: when its share will be full again}
        self._sweep_at = math.inf  # never, while they are few

    def __len__(self) -> int:
        """How many senders are remembered."""
        return len(self._senders)

    def pay(self, sender: str, cost: float, now: float) -> float:
        """Charge a message.

        Args:
            sender: The user.
            cost: Its bytes, for each member.
            now: The time.

        Returns:
            0.0; or, where it was not charged, the seconds until the same message goes out if no
            other does: exact for few senders, and where many have shares, the longest.
        """
        # On the way of every PUBLISH: a comparison instead of `max`, which would be a call.
        own = self._senders.get(sender)
        if own is None or now >= self._sweep_at:
            own = self._meet(sender, now)
        room = self._full_at
        room = (room if room > now else now) + cost * self._seconds_each  # noqa: FURB136
        own = (own if own > now else now) + cost * self._own_seconds_each  # noqa: FURB136
        if room - now > self._shared_seconds or own - now > self._burst_seconds:
            wait = self._wait(sender, cost, now)
            if wait > 0.0:
                return wait
        self._full_at = room
        self._senders[sender] = own
        return 0.0

    def _meet(self, sender: str, now: float) -> float:
        """Make room for another sender, and forget those whose shares are full again."""
        if now >= self._sweep_at:
            self._senders = {user: at for user, at in self._senders.items() if at > now}
        own = self._senders.setdefault(sender, now)
        count = len(self._senders)
        self._own_seconds_each = self._seconds_each * max(FEWEST, count) / SHARED
        if count <= FEWEST:
            self._sweep_at = math.inf
        elif not now < self._sweep_at < math.inf:
            self._sweep_at = now + SWEEP_SECONDS
        return own

    def _wait(self, sender: str, cost: float, now: float) -> float:
        room, seconds = self._full_at, cost * self._seconds_each
        own, own_seconds = self._senders[sender], cost * self._own_seconds_each
        return min(
            max(  # within its share, beside the others
                wait_for(room, seconds, limit=self._shared_seconds, now=now),
                wait_for(own, own_seconds, limit=self._burst_seconds, now=now),
            ),
            max(  # light, and so from what the others must leave
                wait_for(room, seconds, limit=self._burst_seconds, now=now),
                wait_for(own, own_seconds, limit=self._burst_seconds * LIGHT, now=now),
            ),
        )
