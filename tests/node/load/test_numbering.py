"""Seen and missing, held against a plain set."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.load.numbering import Numbering


@given(st.lists(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_it_says_what_a_set_would_say(numbers, owed):
    numbering, model = Numbering(), set()
    for number in numbers:
        assert numbering.see(number) is (number not in model)
        model.add(number)
    assert set(numbering.missing_of(owed)) == owed - model


@given(st.permutations(list(range(20))))
def test_it_keeps_nothing_once_all_have_come(numbers):
    numbering = Numbering()
    for number in numbers:
        numbering.see(number)
    assert not numbering._ahead
    assert not list(numbering.missing_of(range(20)))
