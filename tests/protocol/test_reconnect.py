"""When a client tries again."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import ReconnectPolicy, drain_delay, reconnect_ceiling, reconnect_delay


class Longest(Random):
    """Draws the longest wait each time."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_row_is_1_2_4_8_16_30_30() -> None:
    assert [reconnect_ceiling(n) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_jitter_is_full(attempt: int, random: Random) -> None:
    assert 0 <= reconnect_delay(attempt, random) <= reconnect_ceiling(attempt) <= 30


def test_a_failed_try_waits_longer_each_time() -> None:
    policy = ReconnectPolicy(Longest())
    assert [policy.disconnected(0.0) for _ in range(6)] == [1, 2, 4, 8, 16, 30]


@pytest.mark.parametrize(("lasted", "wait"), [(9.9, 4), (10.0, 1)])
def test_only_ten_seconds_of_connection_start_the_row_again(lasted: float, wait: float) -> None:
    policy = ReconnectPolicy(Longest())
    policy.disconnected(0.0)
    policy.disconnected(0.0)
    policy.connected(100.0)
    assert policy.disconnected(100.0 + lasted) == wait


def test_what_the_node_told_overrides_the_row_and_is_no_step_in_it() -> None:
    policy = ReconnectPolicy(Longest())
    policy.disconnected(0.0)
    assert policy.disconnected(0.0, told_seconds=77.0) == 77.0
    assert policy.disconnected(0.0) == 2


@given(st.integers(0, 60_000), st.integers(0, 60_000), st.randoms(use_true_random=False))
def test_a_drain_spreads_the_clients(after_ms: int, spread_ms: int, random: Random) -> None:
    delay = drain_delay(after_ms, spread_ms, random)
    assert after_ms / 1000 <= delay <= (after_ms + spread_ms) / 1000
