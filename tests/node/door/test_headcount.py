"""How many connections an address may have."""

import random

from greenroom.node.door.headcount import Headcount


def test_one_address_gets_so_many_places_and_no_more():
    headcount = Headcount(2)
    assert headcount.enter("203.0.113.9")
    assert headcount.enter("203.0.113.9")
    assert headcount.enter("203.0.113.9") is None
    assert headcount.enter("203.0.113.10")


def test_a_place_that_is_left_is_free_once():
    headcount = Headcount(1)
    seat = headcount.enter("203.0.113.9")
    seat.leave()
    assert headcount.enter("203.0.113.9")
    seat.leave()
    assert headcount.enter("203.0.113.9") is None


def test_all_addresses_of_one_ipv6_subscriber_count_as_one():
    headcount = Headcount(1)
    assert headcount.enter("2001:db8:1:2::1")
    assert headcount.enter("2001:db8:1:2:ffff::1") is None
    assert headcount.enter("2001:db8:1:3::1")


def test_nothing_is_remembered_of_those_who_left():
    """In any order: the counts are those of a naive list, and end empty."""
    rng = random.Random(1)
    headcount, here = Headcount(3), []
    for _ in range(2_000):
        if here and rng.random() < 0.5:
            address, seat = here.pop(rng.randrange(len(here)))
            seat.leave()
        else:
            address = f"203.0.113.{rng.randrange(20)}"
            seat = headcount.enter(address)
            assert (seat is None) == ([a for a, _ in here].count(address) == 3)
            if seat is not None:
                here.append((address, seat))
        assert headcount.count(address) == [a for a, _ in here].count(address)
    for _, seat in here:
        seat.leave()
    assert not vars(headcount)["_counts"]
