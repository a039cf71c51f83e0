"""Partitioned supervisors."""

import attrs
import pytest

from greenroom.supervisor import (
    NoSuchChild,
    SpecError,
    SupervisorSpec,
    open_supervisor,
    partitioned,
)
from greenroom.supervisor._partition import partition_of
from greenroom.supervisor.testing import Probe, settle


async def test_one_child_for_each_partition(autojump_clock):
    probe = Probe()
    async with open_supervisor([partitioned("pool", probe.spec(), partitions=4)]) as sup:
        ids = [c.id for c in sup.supervisor("pool").which_children()]
        assert ids == ["0", "1", "2", "3"]
        assert len(probe.started_at) == 4


async def test_the_same_key_always_picks_the_same_partition(autojump_clock):
    async with open_supervisor([partitioned("pool", Probe().spec(), partitions=8)]) as sup:
        pool = sup.supervisor("pool")
        assert pool.partition("lobby") == pool.partition("lobby")
        assert pool.partition(11) == "3"
        assert pool.partition(-11) == "3"


def test_keys_spread_over_all_partitions():
    assert {partition_of(f"room-{i}", 8) for i in range(200)} == set(range(8))
    assert {partition_of(("tuple", i), 4) for i in range(100)} == set(range(4))


async def test_a_partition_may_be_a_dynamic_supervisor(autojump_clock):
    probe = Probe()
    spec = partitioned("rooms", SupervisorSpec(dynamic=True), partitions=2)
    async with open_supervisor([spec]) as sup:
        rooms = sup.supervisor("rooms")
        part = rooms.supervisor(rooms.partition("lobby"))
        ref = await part.start_child(probe.spec("lobby"))
        await ref.tell("hi")
        await settle()
        assert probe.received == ["hi"]


async def test_with_partition_gives_each_its_own_arguments(autojump_clock):
    seen = []

    async def child(inbox, number, *, task_status):
        seen.append(number)
        task_status.started()
        await inbox.receive()

    from greenroom.supervisor import ChildSpec

    spec = partitioned(
        "pool",
        ChildSpec(id="x", start=child),
        partitions=3,
        with_partition=lambda s, n: attrs.evolve(s, args=(n,)),
    )
    async with open_supervisor([spec]):
        assert seen == [0, 1, 2]


def test_no_partitions_are_refused():
    with pytest.raises(SpecError):
        partitioned("pool", Probe().spec(), partitions=0)


async def test_a_supervisor_without_static_children_has_no_partition(autojump_clock):
    async with open_supervisor() as sup:
        with pytest.raises(NoSuchChild):
            sup.partition("x")
