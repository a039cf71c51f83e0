"""How many connections fit into a number of descriptors."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.capacity import (
    MOST_PENDING,
    OWN_DESCRIPTORS,
    Capacity,
    ask_for_descriptors,
    descriptors_for,
    share_out,
)


@pytest.mark.parametrize(
    ("limit", "connections", "shared"),
    [
        (None, 10_000, Capacity(connections=10_000, pending=10_000)),
        (1_048_576, 10_000, Capacity(connections=10_000, pending=10_000)),
        (20_000, 10_000, Capacity(connections=10_000, pending=9_928)),
        (10_272, 10_000, Capacity(connections=10_000, pending=200)),
        (1_024, 10_000, Capacity(connections=762, pending=190)),
        (256, 10_000, Capacity(connections=148, pending=36)),
        (8, 10_000, Capacity(connections=1, pending=1)),
    ],
)
def test_what_a_limit_allows(limit, connections, shared):
    assert share_out(limit, connections=connections, reserved=8) == shared


@given(st.integers(1, 2_000_000), st.integers(1, 1_000_000), st.integers(0, 1_000))
def test_the_shares_never_exceed_what_there_is(limit, wanted, reserved):
    shared = share_out(limit, connections=wanted, reserved=reserved)
    assert 1 <= shared.connections <= wanted
    assert 1 <= shared.pending <= MOST_PENDING
    left = limit - OWN_DESCRIPTORS - reserved
    assert shared.connections + shared.pending <= max(2, left)


@given(st.integers(1, 1_000_000), st.integers(0, 1_000))
def test_what_is_asked_for_is_enough(wanted, reserved):
    limit = descriptors_for(wanted, reserved=reserved)
    assert share_out(limit, connections=wanted, reserved=reserved).connections == wanted


@pytest.mark.parametrize(
    ("limits", "wanted", "holds", "set_to"),
    [
        ((1024, 524_288), 10_272, 10_272, (10_272, 524_288)),
        ((1024, 4096), 10_272, 4096, (4096, 4096)),
        ((1024, 1024), 10_272, 1024, None),
        ((20_000, 20_000), 10_272, 20_000, None),
        ((1024, resource.RLIM_INFINITY), 10_272, 10_272, (10_272, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 10_272, None, None),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(monkeypatch, limits, wanted, holds, set_to):
    seen = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: seen.append(pair))
    assert ask_for_descriptors(wanted) == holds
    assert seen == ([] if set_to is None else [set_to])
