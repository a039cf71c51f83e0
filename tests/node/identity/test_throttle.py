"""Who guesses waits, and nobody else. No clock: `now` is a number."""

import random

import pytest

from greenroom.node.identity.throttle import LoginThrottle, Throttled
from greenroom.node.tries import Tries


def throttle(*, client=3, address=6, name=8, under_way=2, keys=1000):
    return LoginThrottle(
        per_client=Tries(client, 3600, keys),
        per_address=Tries(address, 3600, keys),
        per_name=Tries(name, 3600, keys),
        most_under_way=under_way,
    )


def guess(limits, name, address, now=0.0):
    """A wrong password; returns how long the guesser has to wait, 0.0 if it was looked at."""
    try:
        limits.begin(name, address, now).end()
    except Throttled as throttled:
        return throttled.retry_after_seconds
    return 0.0


def sign_in(limits, name, address, now=0.0):
    attempt = limits.begin(name, address, now)
    attempt.succeeded(now)
    attempt.end()


def test_tries_come_back_evenly():
    tries = Tries(4, 3600)
    for _ in range(4):
        assert tries.wait("a", 0.0) == 0
        tries.take("a", 0.0)
    assert tries.wait("a", 0.0) == pytest.approx(900)
    assert tries.wait("a", 899.0) == pytest.approx(1)
    assert tries.wait("a", 900.0) == 0
    tries.take("a", 900.0)
    assert tries.wait("a", 900.0) == pytest.approx(900)


def test_whoever_waits_as_long_as_told_is_let_in():
    """Whatever the clock shows: sums of intervals are not exact."""
    for seed in range(200):
        dice = random.Random(seed)
        tries = Tries(dice.randint(1, 50), dice.choice([60, 3600, 86400]))
        now = dice.uniform(0, 1e7)
        for _ in range(100):
            now += tries.wait("a", now)
            assert tries.wait("a", now) == 0
            tries.take("a", now)


def test_who_guesses_at_a_name_waits():
    limits = throttle()
    assert [guess(limits, "ann", "192.0.2.1") for _ in range(4)] == [0, 0, 0, 1200]
    assert guess(limits, "bob", "192.0.2.1") == 0
    assert guess(limits, "ann", "192.0.2.2") == 0


def test_who_tries_all_names_waits():
    limits = throttle()
    waits = [guess(limits, f"user{n}", "192.0.2.1") for n in range(7)]
    assert waits == [0] * 6 + [600]
    assert guess(limits, "ann", "192.0.2.2") == 0


def test_many_addresses_together_wait():
    limits = throttle()
    waits = [guess(limits, "ann", f"192.0.2.{n}") for n in range(9)]
    assert waits == [0] * 8 + [450]
    assert guess(limits, "bob", "192.0.2.1") == 0


def test_one_address_cannot_keep_a_user_out_from_another():
    limits = throttle()
    for _ in range(1000):
        guess(limits, "ann", "192.0.2.66")
    sign_in(limits, "ann", "192.0.2.1")


def test_many_addresses_cannot_keep_a_user_out_from_where_they_came_before():
    limits = throttle()
    sign_in(limits, "ann", "192.0.2.1")
    for n in range(1000):
        guess(limits, "ann", f"198.51.{n // 250}.{n % 250}")
    assert guess(limits, "ann", "192.0.2.2") > 0
    sign_in(limits, "ann", "192.0.2.1")


def test_what_succeeds_costs_nothing_and_forgives_what_went_before():
    limits = throttle()
    for _ in range(100):
        guess(limits, "ann", "192.0.2.1")
        guess(limits, "ann", "192.0.2.1")
        sign_in(limits, "ann", "192.0.2.1")
        limits.per_address.clear("192.0.2.1")  # the wrong ones count for the address still
        limits.per_name.clear("ann")
    assert guess(limits, "ann", "192.0.2.1") == 0


def test_an_account_of_ones_own_buys_no_guesses_at_others():
    limits = throttle()
    looked_at = 0
    for _ in range(50):
        sign_in(limits, "mallory", "192.0.2.1")
        looked_at += guess(limits, "ann", "192.0.2.1") == 0
    assert looked_at == 3


def test_a_try_that_nobody_looked_at_costs_nothing():
    limits = throttle()
    for _ in range(50):
        attempt = limits.begin("ann", "192.0.2.1", 0.0)
        attempt.withdraw(0.0)
        attempt.end()
    assert guess(limits, "ann", "192.0.2.1") == 0


def test_of_one_address_only_so_many_are_under_way():
    limits = throttle()
    first, second = (limits.begin("ann", "192.0.2.1", 0.0) for _ in range(2))
    assert guess(limits, "bob", "192.0.2.1") == 1
    assert guess(limits, "bob", "192.0.2.2") == 0
    first.end()
    second.end()
    assert guess(limits, "bob", "192.0.2.1") == 0


def test_tables_are_bounded_and_keep_those_who_guessed_most():
    limits = throttle(keys=100, name=1000)
    for _ in range(3):
        guess(limits, "ann", "192.0.2.1")
    for n in range(10_000):
        guess(limits, f"user{n}", f"198.51.{n // 250}.{n % 250}", now=n / 1000)
    for table in (limits.per_client, limits.per_address, limits.per_name):
        assert len(table) <= 100
    assert guess(limits, "ann", "192.0.2.1", now=10.0) > 0


def test_of_the_owners_addresses_the_oldest_is_forgotten_first():
    limits = throttle(name=1, keys=10)
    for n in range(11):
        sign_in(limits, "ann", f"192.0.2.{n}")
    guess(limits, "ann", "198.51.100.1")
    assert guess(limits, "ann", "192.0.2.0") > 0
    assert guess(limits, "ann", "192.0.2.1") == 0


def test_one_customer_s_addresses_count_as_one():
    limits = throttle()
    waits = [guess(limits, "ann", f"2001:db8:1:2::{n}") for n in range(1, 5)]
    assert waits == [0, 0, 0, 1200]
