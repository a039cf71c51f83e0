"""Python's garbage collector, set for a process that holds many connections.

A look of it is a pause for everybody, 0.1 µs for each object: by default that is 30 ms now and then
with 5,000 connections, and half a second when all there is has grown by a quarter. But here hardly
anything is for it: what ends is freed as it ends (tests/actors/test_leaves_nothing.py holds that).
So each object is looked at once, soon after it was made, and never again: what is alive then is
frozen. What is left for later is garbage that has lived longer than that: some errors of h11 behind
Hypercorn, and whatever we do not know of. It is looked for when far more has gathered than
connections explain, and not before.

A look comes as often as keeps it short, since whoever says something meanwhile waits for its end:
1 ms for each 3,000 objects that are new and alive, some 25 connects. The threshold is for those who
make more than that meanwhile.
"""

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Final

import trio

NEW_OBJECTS: Final = 10_000
"""More than were freed: then they are looked at at once. 3 to 5 ms."""

GOAL_SECONDS: Final = 50e-6
"""What a look may take: no more than a delivery to a dozen members."""

MOST_OF_TIME: Final = 0.01
"""What all looks may take together. Under load most of what is new is gone again in 0.1 s, but not
in 0.01 s: there rare looks have less to do."""

OFTEN_SECONDS: Final = 0.01
SELDOM_SECONDS: Final = 0.1
"""Between two looks at what is new. What is freed makes up for what is made, so the threshold alone
might be reached once in an hour, with all that has been made in it to look at."""

COUNT_SECONDS: Final = 10.0
"""Between two counts of what is frozen: 10 ns for each object, of which 10,000 connections have 1.7
million."""

MOST_OBJECTS: Final = 3_000_000
"""Frozen, before they are looked at again; afterwards, twice what was left. A connection in a room
is 170, and one whose session waits 40: 10,000 that come back at once stay below it. Where it were
all garbage, it would be some 300 MB."""

_NEVER: Final = 1_000_000_000


@contextmanager
def calm_collector() -> Generator[None]:
    """Leave alone what is alive now, and whatever has been looked at once, while the block runs."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, _NEVER, _NEVER)
    gc.callbacks.append(_freeze)
    try:
        yield
    finally:
        gc.callbacks.remove(_freeze)
        gc.set_threshold(*before)
        gc.unfreeze()


async def look_often(most_objects: int = MOST_OBJECTS) -> None:
    """Look at what is new, and count what there is, for ever; inside `calm_collector`."""
    most, pause = most_objects, SELDOM_SECONDS
    while True:
        count_at = trio.current_time() + COUNT_SECONDS
        while trio.current_time() < count_at:
            await trio.sleep(pause)
            began = perf_counter()
            gc.collect(0)
            pause = next_pause(pause, took=perf_counter() - began)
        if gc.get_freeze_count() > most:
            most = max(most_objects, 2 * _look_at_all())


def next_pause(pause: float, *, took: float) -> float:
    """Return how long to wait for the next look, after one of `took` seconds behind `pause`."""
    shortest = max(took / MOST_OF_TIME, OFTEN_SECONDS)
    wished = pause * GOAL_SECONDS / took if took else SELDOM_SECONDS  # a coarse clock may say 0
    return min(max(wished, shortest), SELDOM_SECONDS)


def _look_at_all() -> int:
    """Free all garbage; how many objects are left."""
    gc.unfreeze()
    gc.collect()
    return gc.get_freeze_count()


def _freeze(phase: str, _info: Mapping[str, int]) -> None:
    if phase == "stop":
        gc.freeze()  # takes no time: one list is put behind another
