"""The arithmetic of rate limits: never more than was granted, and always when it was promised."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenroom.actors.budgets import GRAIN_SECONDS, Bucket, Budget, Terms, Toll

START = 1_000_000.0  # Trio's clock begins anywhere below that
RATES = st.floats(min_value=0.01, max_value=1e8)
SECONDS = st.floats(min_value=0, max_value=1e7)


def bucket(rate: float, burst: float) -> Bucket:
    return Bucket(Terms(Budget(rate, burst), "it"))


def toll(rate: float, burst: float) -> Toll:
    return Toll([bucket(rate, burst)])


def test_a_burst_is_granted_at_once_and_then_the_rate():
    """250 at once, then 50 a second: the 251st 20 ms later, and no earlier."""
    publishes = toll(50, 250)
    assert sum(publishes.pay(START) for _ in range(1_000)) == 250
    assert publishes.wait(START) == (pytest.approx(0.02), "it")
    assert not publishes.pay(START + 0.0199)
    assert publishes.pay(START + 0.02)
    assert sum(publishes.pay(START + 1.02) for _ in range(1_000)) == 50


def test_what_is_refused_costs_nothing():
    publishes = toll(1, 1)
    assert publishes.pay(START)
    assert not any(publishes.pay(START + 0.9) for _ in range(10_000))
    assert publishes.pay(START + 1)


@given(idle=SECONDS)
@example(idle=1e7)
def test_a_pause_however_long_saves_up_no_more_than_the_burst(idle):
    publishes = toll(50, 250)
    for _ in range(250):
        assert publishes.pay(START)
    granted = sum(publishes.pay(START + idle) for _ in range(300))
    assert granted <= min(250, 50 * (idle + GRAIN_SECONDS)) + 1e-3


def test_a_clock_that_stands_still_brings_nothing_back():
    publishes = toll(1e6, 3)
    assert [publishes.pay(START) for _ in range(5)] == [True, True, True, False, False]


def test_a_clock_that_was_read_earlier_grants_no_more():
    """Commands are charged at the time when their client was last heard, in any order."""
    publishes = toll(1, 2)
    assert publishes.pay(START + 10)
    assert publishes.pay(START + 10)
    assert not publishes.pay(START)
    assert publishes.wait(START)[0] == pytest.approx(11)


def test_an_amount_larger_than_the_burst_is_granted_to_a_full_bucket_and_paid_off():
    """Else 32 KiB would never do where 10 kB are the burst."""
    size = Toll([], [bucket(1_000, 10_000)])
    assert size.pay(START, size=32_000)
    assert size.wait(START, size=1)[0] == pytest.approx(22.001)
    assert size.wait(START, size=32_000)[0] == pytest.approx(32)
    assert not size.pay(START + 31.9, size=32_000)
    assert size.pay(START + 32, size=32_000)


def test_what_is_charged_together_is_charged_to_all_or_none():
    roomy, narrow = bucket(1, 100), bucket(1, 2)
    both = Toll([roomy, narrow])
    assert [both.pay(START) for _ in range(5)] == [True, True, False, False, False]
    assert roomy.full_at == pytest.approx(START + 2)


def test_nothing_is_refused_where_nothing_is_counted():
    assert all(Toll([]).pay(START, 10**9) for _ in range(100))


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_budget_is_of_positive_numbers(value):
    with pytest.raises(ValueError, match="rate must be a positive number"):
        Budget(value, 1)
    with pytest.raises(ValueError, match="burst must be a positive number"):
        Budget(1, value)


@given(
    rate=RATES,
    burst=st.floats(min_value=1, max_value=1e6),
    taken=st.lists(st.tuples(SECONDS, st.integers(1, 40)), max_size=30),
    size=st.floats(min_value=0, max_value=1e5),
)
def test_the_wait_is_exact(rate, burst, taken, size):
    """At that time it is granted; a thousandth of the wait (and 2 µs) earlier it is not."""
    mixed = Toll([bucket(rate, burst)], [bucket(100 * rate, 1_000 * burst)])
    now = START
    for seconds, count in taken:
        now += seconds
        for _ in range(count):
            mixed.pay(now, 1, size)
    wait, label = mixed.wait(now, 1, size)
    assert (wait == 0.0) == (label is None)
    if not wait:
        return
    early = now + wait - max(2 * GRAIN_SECONDS, wait / 1_000)
    assert early <= now or not mixed.pay(early, 1, size)
    assert mixed.pay(now + wait, 1, size)


class TollModel(RuleBasedStateMachine):
    """Against the promise itself: in no stretch of time more than burst + rate * seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.budgets = [Budget(3, 7), Budget(50, 250), Budget(1 / 3, 2)]
        self.toll = Toll([Bucket(Terms(budget)) for budget in self.budgets])
        self.granted: list[float] = []

    @rule(seconds=st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 1e6)))
    def pass_time(self, seconds):
        self.now += seconds

    @rule(count=st.integers(1, 300))
    def ask(self, count):
        self.granted += [self.now for _ in range(count) if self.toll.pay(self.now)]

    @precondition(lambda self: self.toll.wait(self.now)[0] > 0)
    @rule()
    def heed_the_wait(self):
        self.now += self.toll.wait(self.now)[0]
        assert self.toll.pay(self.now)
        self.granted.append(self.now)

    @invariant()
    def no_stretch_has_too_many(self):
        for budget in self.budgets:
            for first in {*self.granted[:1], *self.granted[-20:]}:
                seconds = self.now - first + GRAIN_SECONDS
                count = sum(at >= first for at in self.granted)
                assert count <= budget.burst + budget.rate * seconds + 1e-3


TollModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestTollModel = TollModel.TestCase


@settings(max_examples=5)
@given(rate=st.sampled_from([3.0, 7.0, 1 / 3, 49.9]))
def test_rounding_does_not_add_up(rate):
    """A hundred thousand takings, each as soon as it may be: as many as the rate says."""
    publishes, now = toll(rate, 1), START
    for _ in range(100_000):
        now += publishes.wait(now)[0]
        assert publishes.pay(now)
    assert now - START == pytest.approx(99_999 / rate, rel=1e-6)
