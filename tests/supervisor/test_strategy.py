"""The rules as pure functions."""

from collections import deque
from random import Random

import pytest

from greenroom.supervisor import AutoShutdown, Backoff, RestartLimit, Strategy
from greenroom.supervisor._strategy import (
    admit_restart,
    backoff_seconds,
    recent_restarts,
    restart_group,
    shuts_down,
)

LIMIT = RestartLimit(max_restarts=2, max_seconds=5)


def test_restarts_up_to_the_limit_are_admitted_and_one_more_is_not():
    times = deque()
    assert [admit_restart(times, now=t, limit=LIMIT) for t in (0, 1, 2)] == [True, True, False]


def test_the_window_includes_both_its_ends():
    times = deque([0.0, 1.0])
    assert not admit_restart(times, now=5.0, limit=LIMIT)
    times = deque([0.0, 1.0])
    assert admit_restart(times, now=5.0001, limit=LIMIT)


def test_only_restarts_inside_the_window_count_now():
    times = deque([0.0, 1.0, 2.0])
    assert [recent_restarts(times, now=t, limit=LIMIT) for t in (2, 5, 6, 7.5)] == [3, 3, 2, 0]


def test_the_window_keeps_no_more_than_it_needs():
    times = deque()
    for now in range(0, 10_000, 10):
        admit_restart(times, now=now, limit=LIMIT)
    assert len(times) == 1


def test_backoff_without_jitter_is_exact_and_capped():
    backoff = Backoff(initial_seconds=0.5, factor=3, max_seconds=10, jitter=0)
    delays = [backoff_seconds(backoff, n, Random(1)) for n in range(5)]
    assert delays == [0.5, 1.5, 4.5, 10, 10]


def test_backoff_survives_attempts_beyond_any_float():
    backoff = Backoff(initial_seconds=1, jitter=0)
    assert backoff_seconds(backoff, 100_000, Random(1)) == 30


@pytest.mark.parametrize("jitter", [0.25, 0.5, 1.0])
def test_jitter_takes_off_at_most_its_part(jitter):
    backoff = Backoff(initial_seconds=8, jitter=jitter)
    rng = Random(1)
    delays = [backoff_seconds(backoff, 0, rng) for _ in range(1000)]
    assert 8 * (1 - jitter) <= min(delays) < max(delays) <= 8
    assert len(set(delays)) == 1000


def test_no_backoff_is_no_delay():
    assert backoff_seconds(None, 7, Random(1)) == 0


@pytest.mark.parametrize(
    ("strategy", "group"),
    [
        (Strategy.ONE_FOR_ONE, ["b"]),
        (Strategy.ONE_FOR_ALL, ["a", "b", "c"]),
        (Strategy.REST_FOR_ONE, ["b", "c"]),
    ],
)
def test_a_strategy_names_its_group_in_start_order(strategy, group):
    assert list(restart_group(strategy, ["a", "b", "c"], "b")) == group


def test_auto_shutdown_any_and_all():
    assert shuts_down(AutoShutdown.ANY, others_alive=True)
    assert not shuts_down(AutoShutdown.ALL, others_alive=True)
    assert shuts_down(AutoShutdown.ALL, others_alive=False)
    assert not shuts_down(AutoShutdown.NEVER, others_alive=False)
