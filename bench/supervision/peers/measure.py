"""What every Python peer shares: its command line, and how memory is counted.

A peer is a program `peer.py MEASURE N`: it does the measure N times and prints one number, seconds
in all or bytes for each. The measures are functions of that name in the peer.
"""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CAPACITY = 100  # of every inbox and channel, so that senders wait for all peers alike


class Memory:
    """Filled in when the `with` ends."""

    per_item = 0.0


@contextlib.contextmanager
def idle_bytes(n: int) -> Iterator[Memory]:
    """Measure how much the process's resident memory grew for each of `n` items."""
    memory = Memory()
    gc.collect()
    before = resident_bytes()
    yield memory
    gc.collect()
    memory.per_item = (resident_bytes() - before) / n


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(measures: dict[str, Any], run: Callable[..., float]) -> None:
    """Do what the command line says, in a fresh process for each number."""
    name, n = sys.argv[1:]
    print(run(measures[name], int(n)))
