"""Budgets, and the buckets that hold what is left of one: the arithmetic of every rate limit.

Pure: `now` comes in, in seconds on a clock that does not go back. A bucket is one number, the time
at which it will be full again (GCRA: ITU-T I.371), so nothing has to be filled up by a timer, and
hours of silence cost and mean no more than being full.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs

GRAIN_SECONDS: Final = 1e-6
"""How much too early a taking may be. Trio's clock is a float of up to some 10^7 s, so what is
reckoned from it is off by nanoseconds; who comes back when told to must not be too early by one."""


def _positive(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be a positive number, not {value!r}")


@attrs.frozen
class Budget:
    """So much a second, and so much at once after a pause."""

    rate: float = attrs.field(validator=_positive)
    """A second, for as long as it is used."""
    burst: float = attrs.field(validator=_positive)
    """At once, when nothing was used for `burst / rate` seconds."""

    def times(self, factor: float) -> "Budget":
        """A budget so many times as large, which fills up in the same time."""
        return Budget(self.rate * factor, self.burst * factor)


class Terms:
    """A budget as its buckets need it: made once, and shared by all of them.

    Args:
        budget: Which.
        label: Whatever tells its owner one bucket from another.
    """

    __slots__ = ("burst_seconds", "label", "seconds_each")

    def __init__(self, budget: Budget, label: Any = None) -> None:  # Any: the owner's business
        self.label = label
        self.seconds_each = 1.0 / budget.rate
        """How long one takes to come back."""
        self.burst_seconds = budget.burst / budget.rate
        """How long an empty bucket takes to be full."""


class Bucket:
    """What is left of one budget.

    In any stretch of time no more is granted than `burst + rate * (seconds + GRAIN_SECONDS)`, save
    that an amount larger than `burst` is granted to a full bucket, and paid off before anything
    else is: so nothing that is allowed at all is refused for ever.
    """

    # The terms' own numbers, because each dot takes time.
    __slots__ = ("burst_seconds", "full_at", "label", "seconds_each")

    def __init__(self, terms: Terms) -> None:
        self.label = terms.label
        self.seconds_each = terms.seconds_each
        self.burst_seconds = terms.burst_seconds
        self.full_at = -math.inf
        """When it will be, or was, full again."""

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken if nobody takes any meanwhile; 0.0: it may be now."""
        return wait_for(self.full_at, amount * self.seconds_each, limit=self.burst_seconds, now=now)

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, whether or not there is as much."""
        self.full_at = max(self.full_at, now) + amount * self.seconds_each


def wait_for(full_at: float, seconds: float, *, limit: float, now: float) -> float:
    """Seconds until what takes `seconds` to come back may be taken; 0.0: it may be taken now.

    Args:
        full_at: When all that was taken so far will have come back.
        seconds: What is wanted, as the time that it takes to come back.
        limit: How far ahead `full_at` may come to lie.
        now: The time.
    """
    if full_at <= now + GRAIN_SECONDS:
        return 0.0
    late = full_at + seconds - limit - now
    return 0.0 if late <= GRAIN_SECONDS else min(late, full_at - now)


class Toll:
    """Buckets that are charged together, all or none: what one command costs.

    Args:
        each: Those from which every command takes one.
        by_size: Those from which it takes its size.
    """

    __slots__ = ("_by_size", "_each")

    def __init__(self, each: Sequence[Bucket], by_size: Sequence[Bucket] = ()) -> None:
        self._each = tuple(each)
        self._by_size = tuple(by_size)

    def pay(self, now: float, count: float = 1.0, size: float = 0.0) -> bool:
        """Take what so many commands cost; False, and nothing is taken, where some bucket lacks it.

        Args:
            now: The time.
            count: How many commands.
            size: Of all of them together.
        """
        # In one pass, without a call for each bucket: what was taken is put back in the rare case
        # that one lacks it.
        enough = True
        for bucket in self._each:
            at = bucket.full_at
            at = (at if at > now else now) + count * bucket.seconds_each  # noqa: FURB136 - a call less
            bucket.full_at = at
            if at - now > bucket.burst_seconds:
                enough = False
        for bucket in self._by_size:
            at = bucket.full_at
            at = (at if at > now else now) + size * bucket.seconds_each  # noqa: FURB136
            bucket.full_at = at
            if at - now > bucket.burst_seconds:
                enough = False
        return enough or self._think_again(now, count, size)

    def wait(self, now: float, count: float = 1.0, size: float = 0.0) -> tuple[float, Any]:
        """Seconds until `pay` would be True if nobody pays meanwhile, and what it waits for.

        Returns:
            0.0 and None, or the seconds and the label of the bucket that lacks most.
        """
        longest, label = 0.0, None
        for buckets, amount in ((self._each, count), (self._by_size, size)):
            for bucket in buckets:
                seconds = bucket.wait_for(amount, now)
                if seconds > longest:
                    longest, label = seconds, bucket.label
        return longest, label

    def _think_again(self, now: float, count: float, size: float) -> bool:
        """Put back what was taken, unless it may be after all: a bucket was full, or nearly."""
        self._take(now, -count, -size)
        if self.wait(now, count, size)[0] > 0.0:
            return False
        self._take(now, count, size)
        return True

    def _take(self, now: float, count: float, size: float) -> None:
        for bucket in self._each:
            bucket.take(count, now)
        for bucket in self._by_size:
            bucket.take(size, now)
