"""Whose turn it is among one connection's PUBLISHes, in one incarnation of a room and the next."""

from greenroom.actors.order import Order


def begun(count: int) -> Order:
    order = Order()
    for _ in range(count):
        order.begin()
    return order


def test_one_incarnation_takes_what_comes_in_order():
    order = begun(3)
    assert [order.takes(number, "first") for number in (1, 2, 3)] == [True, True, True]


def test_the_next_incarnation_takes_nothing_before_what_was_lost():
    order = begun(4)
    assert order.takes(1, "first")
    assert order.takes(2, "first")
    order.finish(1)
    assert not order.takes(3, "second")
    assert [order.takes(number, "second") for number in (2, 4, 3, 4)] == [True, False, True, True]


def test_what_is_answered_is_waited_for_no_more():
    order = begun(2)
    order.finish(1)
    assert order.takes(2, "second")
