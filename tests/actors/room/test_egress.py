"""What one room may send, and how much of it one sender may cause."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.budgets import Budget
from greenroom.actors.room.egress import FEWEST, MESSAGE_BYTES, SHARED, Egress

RATE, BURST = 50e6, 100e6
START = 1_000.0
SHARE = SHARED / FEWEST


def room(rate: float = RATE, burst: float = BURST) -> Egress:
    return Egress(Budget(rate, burst))


def kilobyte(members: int) -> int:
    return (1_000 + MESSAGE_BYTES) * members


def flood(egress: Egress, sender: str, cost: float, now: float, count: int = 100_000) -> float:
    """Bytes that go out of as many tries; ends at the first refusal."""
    sent = 0.0
    for _ in range(count):
        if egress.pay(sender, cost, now):
            break
        sent += cost
    return sent


def test_a_big_room_with_ten_messages_a_second_is_fine():
    """1,000 members, 1 kB each, all from one user: 11.8 MB/s, for ten minutes."""
    egress = room()
    assert not any(egress.pay("ann", kilobyte(1_000), START + n / 10) for n in range(6_000))


def test_a_small_room_never_notices():
    """Ten members and what one connection may publish at all: 50 a second, 5 kB each."""
    egress = room()
    assert not any(egress.pay("ann", 5_180 * 10, START + n / 50) for n in range(5_000))


def test_one_sender_uses_up_its_share_and_the_others_are_heard():
    egress = room()
    assert flood(egress, "loud", kilobyte(1_000), START) == pytest.approx(SHARE * BURST, rel=0.05)
    for number in range(20):
        assert egress.pay(f"quiet {number}", kilobyte(1_000), START) == 0.0


def test_what_one_sender_causes_in_the_long_run_is_its_share_of_the_rate():
    egress, sent = room(), 0.0
    for tick in range(60_000):
        sent += flood(egress, "loud", 100_000, START + tick / 1_000)
    assert sent == pytest.approx(SHARE * (BURST + RATE * 60), rel=0.01)


@pytest.mark.parametrize("count", [1, 3, 4, 10, 50])
def test_however_many_flood_together_those_who_say_little_are_heard(count):
    """Ten quiet ones, each 100 bytes every other second to 1,000 members; after two seconds, in
    which the burst is used up, none of it is refused."""
    egress, now = room(), START
    for tick in range(3_000):
        now += 0.01
        for n in range(count):
            flood(egress, f"loud {n}", 100_000, now)
        if tick >= 200 and not tick % 20:
            quiet = f"quiet {tick // 20 % 10}"
            assert egress.pay(quiet, 280_000, now) == 0.0, tick


def test_the_room_as_a_whole_stays_within_its_budget():
    egress, sent = room(), 0.0
    rng = random.Random(1)
    for tick in range(2_000):
        sent += flood(egress, f"u{rng.randrange(200)}", 300_000, START + tick / 100)
    assert sent <= BURST + RATE * 20


def test_a_message_too_large_for_any_share_goes_out_when_nothing_is_owed():
    """32 KiB to 10,000 members is 329 MB: once, and then it is paid off."""
    egress = room()
    cost = (32_768 + MESSAGE_BYTES) * 10_000
    assert egress.pay("ann", cost, START) == 0.0
    wait = egress.pay("ann", cost, START)
    assert wait == pytest.approx(cost / (RATE * SHARE))
    assert egress.pay("ann", cost, START + wait) == 0.0


def test_who_has_nothing_more_to_pay_is_forgotten():
    egress = room()
    for number in range(100_000):
        egress.pay(f"u{number}", 10_000, START + number)
    assert len(egress) <= FEWEST + 1


@settings(max_examples=100)
@given(
    said=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(1, 3e8), st.floats(0, 3)), max_size=40
    ),
    cost=st.floats(1, 3e8),
    sender=st.sampled_from("abc"),
)
def test_the_wait_is_exact(said, cost, sender):
    """At that time it goes out, if nothing else does; a moment before it does not."""
    egress, now = room(), START
    for user, bytes_, seconds in said:
        now += seconds
        egress.pay(user, bytes_, now)
    wait = egress.pay(sender, cost, now)
    if wait > 1e-4:
        assert egress.pay(sender, cost, now + wait - 1e-5) > 0.0
        assert egress.pay(sender, cost, now + wait) == 0.0


def test_where_many_talk_the_wait_is_the_longest():
    """Others may be done before, and then there are fewer to share with: never more."""
    egress = room()
    for number in range(20):
        flood(egress, f"u{number}", 1e6, START)
    wait = egress.pay("u0", 1e6, START)
    assert wait > 0.0
    assert egress.pay("u0", 1e6, START + wait) == 0.0
