"""Histograms, held against sorted lists."""

import math

from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.load.record import Histogram, Timeline, bucket_of, merged, top_of

VALUES = st.integers(0, 10**11)
SAMPLES = st.lists(VALUES, min_size=1, max_size=200)
PERCENTS = st.sampled_from([0, 1, 50, 90, 99, 99.9, 100])


def filled(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(VALUES)
def test_a_bucket_is_at_most_a_128th_wide_and_holds_its_value(value):
    top = top_of(bucket_of(value))
    assert value <= top <= value + value / 128
    assert bucket_of(top) == bucket_of(value)
    assert bucket_of(top + 1) == bucket_of(value) + 1


@given(SAMPLES, PERCENTS)
def test_a_percentile_is_that_of_the_sorted_values_and_never_too_low(values, percent):
    rank = max(1, math.ceil(len(values) * percent / 100))
    exact = sorted(values)[rank - 1]
    assert exact <= filled(values).percentile(percent) <= exact + exact / 128


@given(SAMPLES)
def test_count_mean_and_maximum_are_exact(values):
    histogram = filled(values)
    assert histogram.count == len(values)
    assert histogram.max_us == max(values)
    assert math.isclose(histogram.mean_us, sum(values) / len(values))


@given(st.lists(SAMPLES, max_size=5))
def test_merging_is_the_same_as_adding_all(parts):
    whole = merged(filled(part) for part in parts)
    together = filled([value for part in parts for value in part])
    assert whole.buckets == together.buckets
    assert (whole.count, whole.max_us) == (together.count, together.max_us)


def test_an_empty_histogram_has_nothing_to_say():
    assert Histogram().percentile(99) == 0
    assert Histogram().mean_us == 0


def test_a_latency_below_zero_counts_as_none():
    assert filled([-5]).percentile(50) == 0


def test_a_timeline_keeps_each_slice_and_all_of_them():
    timeline = Timeline(slice_us=1_000_000, zero_us=5_000_000)
    for due, latency in ((5_100_000, 10), (5_900_000, 30), (7_000_000, 50)):
        timeline.add(due, latency)
    assert [(at, each.count, each.max_us) for at, each in timeline] == [(0.5, 2, 30), (2.5, 1, 50)]
    assert timeline.whole().count == 3
    assert timeline.since(6_500_000).count == 1
