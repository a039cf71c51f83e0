"""How often an address may come. No clock: `now` is a number."""

import pytest

from greenroom.actors.budgets import Budget
from greenroom.node.door.turnstile import Turnstile


def test_an_address_comes_as_often_at_once_as_its_burst_and_then_at_its_rate():
    turnstile = Turnstile(Budget(rate=2, burst=4))
    assert [turnstile.wait("192.0.2.1", 100.0) for _ in range(4)] == [0.0] * 4
    assert turnstile.wait("192.0.2.1", 100.0) == pytest.approx(0.5)
    # Who was too early has used up nothing.
    assert turnstile.wait("192.0.2.1", 100.5) == 0.0
    assert turnstile.wait("192.0.2.1", 100.5) == pytest.approx(0.5)


def test_addresses_are_counted_each_for_itself_and_ipv6_by_its_network():
    turnstile = Turnstile(Budget(rate=1, burst=1))
    for address, wait in (
        ("192.0.2.1", 0.0),
        ("192.0.2.2", 0.0),
        ("2001:db8::1", 0.0),
        ("2001:db8::2", 1.0),
        ("2001:db8:0:1::2", 0.0),
    ):
        assert turnstile.wait(address, 5.0) == pytest.approx(wait)


def test_without_a_budget_nothing_is_counted():
    turnstile = Turnstile(None)
    assert {turnstile.wait("192.0.2.1", 0.0) for _ in range(10_000)} == {0.0}
