"""Partitioned supervisors: the same child n times, and a key that picks one of them.

Elixir's `PartitionSupervisor`: spreads one busy actor, or one busy dynamic supervisor, over
several.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from ._errors import SpecError
from ._specs import ChildSpec, SupervisorSpec

S = TypeVar("S", ChildSpec[Any], SupervisorSpec)


def partitioned(
    id: str,
    child: S,
    *,
    partitions: int,
    with_partition: Callable[[S, int], S] | None = None,
    **settings: Any,  # Any: SupervisorSpec's own
) -> SupervisorSpec:
    """Return the spec of a supervisor that runs `child` several times, as `"0"`, `"1"` and so on.

    Args:
        id: The supervisor's id.
        child: An actor or a (dynamic) supervisor; its own id is replaced.
        partitions: How many; 1 or more.
        with_partition: Adapts the spec of one partition, given its number; it must keep the id.
        settings: Further settings of the `SupervisorSpec`, such as `limit`.
    """
    if partitions < 1:
        raise SpecError(f"partitions must be at least 1, not {partitions}")
    children: list[S] = []
    for number in range(partitions):
        spec = attrs.evolve(child, id=str(number))
        children.append(spec if with_partition is None else with_partition(spec, number))
    return SupervisorSpec(id=id, children=children, **settings)


def partition_of(key: object, partitions: int) -> int:
    """Return the number of the partition for `key`: the same in every process and run.

    An int is taken modulo; anything else by a checksum of its bytes, its text, or its `repr`.
    """
    if isinstance(key, int):
        return abs(key) % partitions
    data = key if isinstance(key, bytes) else _text(key).encode()
    return zlib.crc32(data) % partitions


def _text(key: object) -> str:
    return key if isinstance(key, str) else repr(key)
