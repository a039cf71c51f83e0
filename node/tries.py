"""How often each of many may do something, in a bounded table. Pure: `now` is a parameter."""

from collections.abc import Hashable
from typing import Final

import attrs

from greenroom.actors.budgets import GRAIN_SECONDS, wait_for

MOST_KEYS: Final = 10_000
"""In each table; 6 MB in all with the longest names. A full one loses those who are nearest to
having all their tries again: to make it forget one guesser takes thousands of addresses that guess
more."""
KEPT_SHARE: Final = 0.9
"""Of a table that was full: so it is sorted once in a thousand tries, not at each."""


@attrs.define(eq=False)
class Tries:
    """So many tries at once for each key, which come back evenly over a time."""

    most: float
    seconds: float
    most_keys: int = MOST_KEYS
    _whole_at: dict[Hashable, float] = attrs.field(factory=dict[Hashable, float], init=False)
    # {key: when it has all its tries again}; who has them all need not be in it

    def __len__(self) -> int:
        return len(self._whole_at)

    def wait(self, key: Hashable, now: float) -> float:
        """Return how many seconds are left until the next try; 0: none."""
        whole_at = self._whole_at.get(key, now)
        return wait_for(whole_at, self._interval, limit=self.seconds, now=now)

    def take(self, key: Hashable, now: float) -> None:
        """Count a try."""
        self._whole_at[key] = max(self._whole_at.get(key, now), now) + self._interval
        if len(self._whole_at) > self.most_keys:
            self._make_room(now)

    def give_back(self, key: Hashable, now: float) -> None:
        """Uncount a try."""
        if key not in self._whole_at:
            return
        self._whole_at[key] -= self._interval
        if self._whole_at[key] <= now + GRAIN_SECONDS:
            del self._whole_at[key]

    def clear(self, key: Hashable) -> None:
        """Give all tries back."""
        self._whole_at.pop(key, None)

    @property
    def _interval(self) -> float:
        return self.seconds / self.most

    def _make_room(self, now: float) -> None:
        owing = [(at, key) for key, at in self._whole_at.items() if at > now]
        owing.sort(key=lambda each: each[0], reverse=True)
        self._whole_at = {key: at for at, key in owing[: int(self.most_keys * KEPT_SHARE)]}
