"""What was measured: histograms of latency in slices of time, and counts. Pure.

Times are whole microseconds. A histogram is of the HDR kind: its buckets grow with the value, so
that a value is known to 1/128 of itself from a microsecond to hours, and adding one is an addition.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

_FINE_BITS = 7  # buckets for each doubling: 2^7 = 128, so a bucket is at most 0.8 % wide


def bucket_of(value: int) -> int:
    """The bucket of a value; exact below 256."""
    shift = max(0, value.bit_length() - _FINE_BITS - 1)
    return (shift << _FINE_BITS) + (value >> shift)


def top_of(bucket: int) -> int:
    """The highest value of a bucket."""
    shift = max(0, (bucket >> _FINE_BITS) - 1)
    return (((bucket - (shift << _FINE_BITS)) + 1) << shift) - 1


@attrs.define(eq=False)
class Histogram:
    """How often which latency occurred, in microseconds."""

    buckets: Counter[int] = attrs.field(factory=Counter[int])
    count: int = 0
    total_us: int = 0
    max_us: int = 0

    def add(self, value_us: int) -> None:
        """Add one; what is below zero (two clocks that disagree) counts as zero."""
        value_us = max(value_us, 0)
        self.buckets[bucket_of(value_us)] += 1
        self.count += 1
        self.total_us += value_us
        self.max_us = max(self.max_us, value_us)

    def merge(self, other: "Histogram") -> None:
        """Add all of another's."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.total_us += other.total_us
        self.max_us = max(self.max_us, other.max_us)

    def percentile(self, percent: float) -> int:
        """The value that `percent` of all do not exceed, at most 0.8 % too high; 0 of none.

        By rank: of n values in order the ceil(percent/100 * n)-th, at least the first.
        """
        rank = max(1, -int(-self.count * percent // 100))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(top_of(bucket), self.max_us)
        return 0

    @property
    def mean_us(self) -> float:
        """The arithmetic mean, exactly; 0 if none is there."""
        return self.total_us / self.count if self.count else 0.0


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """All of several histograms in one."""
    whole = Histogram()
    for each in histograms:
        whole.merge(each)
    return whole


@attrs.define(eq=False)
class Timeline:
    """Latencies by when the thing was due: a histogram for each slice of time."""

    slice_us: int
    zero_us: int = 0
    """Where the first slice begins; to be set before anything is added."""
    _slices: dict[int, Histogram] = attrs.field(factory=dict[int, Histogram])

    def add(self, due_us: int, latency_us: int) -> None:
        """Add one that was due at `due_us`."""
        number = (due_us - self.zero_us) // self.slice_us
        histogram = self._slices.get(number)
        if histogram is None:
            histogram = self._slices[number] = Histogram()
        histogram.add(latency_us)

    def whole(self) -> Histogram:
        """All slices in one."""
        return merged(self._slices.values())

    def since(self, due_us: int) -> Histogram:
        """The slices that end after `due_us`, in one."""
        first = (due_us - self.zero_us) // self.slice_us
        return merged(each for number, each in self._slices.items() if number >= first)

    def __iter__(self) -> Iterator[tuple[float, Histogram]]:
        """Each slice with its middle, in seconds from zero, in order of time."""
        for number in sorted(self._slices):
            yield (number + 0.5) * self.slice_us / 1e6, self._slices[number]


@attrs.define(eq=False, kw_only=True)
class Record:
    """All that happened in one run. Members write into it, reports read it."""

    slice_us: int
    """How finely latency is kept over time."""
    connect: Histogram = attrs.field(factory=Histogram)
    """From when a connection was due to its JOIN_OK."""
    ack: Timeline = attrs.field(
        default=attrs.Factory(lambda self: Timeline(self.slice_us), takes_self=True)
    )
    """From when a PUBLISH was due to its ACK."""
    delivery: Timeline = attrs.field(
        default=attrs.Factory(lambda self: Timeline(self.slice_us), takes_self=True)
    )
    """From when a PUBLISH was due to its MESSAGE, of each member that got it."""
    lateness: Histogram = attrs.field(factory=Histogram)
    """How late this tool itself handed over what was due; part of the latencies above."""

    joined: int = 0
    """Members that got into their room; who came back counts once."""
    connected: int = 0
    """Members in their room at this moment."""
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    """PUBLISHes that were answered with an ERROR."""
    delivered: int = 0
    """MESSAGEs of this run, doubles not counted."""
    doubled: int = 0
    other: int = 0
    """Messages of anybody else in our rooms."""
    gaps: int = 0
    reconnects: int = 0
    errors: Counter[int] = attrs.field(factory=Counter[int])
    """{code of an ERROR: how many}"""
    disconnects: Counter[str] = attrs.field(factory=Counter[str])
    """{close code, or in a word what happened instead: how many}"""

    def in_flight(self) -> int:
        """PUBLISHes without an answer."""
        return self.sent - self.acknowledged - self.refused
