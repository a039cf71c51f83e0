"""Who is charged what, and how long it is remembered."""

import pytest

from greenroom.actors.budgets import Budget
from greenroom.actors.rates import Account, Cost, RateLimits, Rates

HERE = "192.0.2.1"
THERE = "192.0.2.2"


def rates(**changes) -> Rates:
    """One JOIN a second and ten at once; users twice, addresses five times as much."""
    most_resting = changes.pop("most_resting", 100)
    limits = {"join": Budget(1, 10), "user_factor": 2.0, "address_factor": 5.0} | changes
    return Rates(RateLimits(**limits), most_resting=most_resting)


def account(all_rates: Rates, user: str, address: str = "", now: float = 0.0) -> Account:
    opened = Account(all_rates, address, now=now)
    opened.belongs_to(user, now=now)
    return opened


def joins(of: Account, now: float = 0.0) -> int:
    """How many it may do now, of a hundred."""
    toll = of.toll(Cost.JOIN)
    return sum(toll.pay(now) for _ in range(100))


def test_a_user_s_connections_share_twice_what_one_has():
    node = rates()
    first, second, third = (account(node, "ann") for _ in range(3))
    assert [joins(first), joins(second), joins(third)] == [10, 10, 0]
    assert joins(account(node, "bob")) == 10


def test_an_address_s_users_share_what_it_has():
    node = rates()
    assert [joins(account(node, f"u{n}", HERE)) for n in range(7)] == [10, 10, 10, 10, 10, 0, 0]
    assert joins(account(node, "u8", THERE)) == 10


def test_where_nobody_knows_the_address_none_is_charged():
    node = rates()
    assert sum(joins(account(node, f"u{n}")) for n in range(10)) == 100
    assert node.snapshot().addresses == 0


def test_connecting_again_brings_nothing_back():
    node = rates()
    for _ in range(2):
        leaver = account(node, "ann", HERE)
        assert joins(leaver) == 10
        leaver.close(now=0.0)
    again = account(node, "ann", HERE, now=1.0)
    assert joins(again, now=1.0) == 2  # what came back in a second, to the user


def test_what_is_full_again_is_forgotten():
    """Two JOINs a second come back to a user: five seconds after ten, ann is as good as new."""
    node = rates()
    ann = account(node, "ann", HERE)
    joins(ann)
    ann.close(now=0.0)
    bob = account(node, "bob", now=4.9)
    assert (node.snapshot().users, node.snapshot().addresses) == (2, 1)
    bob.close(now=5.1)
    account(node, "cyd", THERE, now=5.2)
    assert (node.snapshot().users, node.snapshot().addresses) == (1, 1)


def test_a_million_users_and_addresses_leave_no_more_than_so_many_purses():
    node = rates(most_resting=50)
    for number in range(10_000):
        visitor = account(node, f"u{number}", f"10.{number >> 8}.{number & 255}.1")
        visitor.toll(Cost.JOIN).pay(0.0)
        visitor.close(now=0.0)
    assert (node.snapshot().users, node.snapshot().addresses) == (50, 50)


def test_a_purse_that_somebody_holds_is_never_forgotten():
    node = rates(most_resting=1)
    ann = account(node, "ann")
    assert joins(ann) == 10
    for number in range(100):
        visitor = account(node, f"u{number}")
        joins(visitor)
        visitor.close(now=0.0)
    assert joins(account(node, "ann")) == 10
    assert joins(account(node, "ann")) == 0


def test_a_connection_may_end_twice_and_before_anybody_knows_who_it_was():
    node = rates()
    stranger = Account(node, HERE, now=0.0)
    stranger.close(now=0.0)
    ann = account(node, "ann", HERE)
    ann.close(now=0.0)
    ann.close(now=0.0)
    assert (node.snapshot().users, node.snapshot().addresses) == (0, 0)


def test_a_connection_that_ended_while_it_was_let_in_holds_nobody_s_purse():
    node = rates()
    ann = Account(node, HERE, now=0.0)
    ann.close(now=0.0)
    ann.belongs_to("ann", now=0.0)
    assert (node.snapshot().users, node.snapshot().addresses) == (0, 0)


def test_addresses_are_counted_under_the_name_that_the_node_gives_them():
    node = Rates(
        RateLimits(join=Budget(1, 10), address_factor=1.0), counted_as=lambda text: text[:3]
    )
    assert [joins(account(node, f"u{n}", f"a::{n}")) for n in range(3)] == [10, 0, 0]


@pytest.mark.parametrize(
    ("off", "left"), [({"user_factor": None}, 50), ({"address_factor": None}, 20)]
)
def test_a_scope_that_is_off_does_not_count(off, left):
    node = rates(**off)
    assert sum(joins(account(node, "ann", HERE)) for _ in range(10)) == left


def test_frames_are_not_counted_by_address():
    """It would close whoever sends the next one: a neighbour."""
    node = rates(frame=Budget(1, 10))
    paid = [account(node, f"u{n}", HERE).toll(Cost.FRAME).pay(0.0, 10) for n in range(100)]
    assert all(paid)


def test_a_publish_costs_one_and_its_size():
    node = rates(publish=Budget(1, 100), publish_bytes=Budget(10, 1_000))
    toll = account(node, "ann").toll(Cost.PUBLISH)
    assert [toll.pay(0.0, 1, size) for size in (600, 600, 400)] == [True, False, True]
    assert toll.wait(0.0, 1, 600) == (pytest.approx(60), ("publish_bytes", "connection"))
