"""What only the garbage collector would free: cycles, and all that they hold."""

import gc
from collections import Counter
from contextlib import contextmanager


@contextmanager
def nothing_left_to_the_collector():
    """Fail, and say what it is, where the block leaves objects that are garbage and not freed.

    For what is repeatable: run it once before, or what is made once in the process counts.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(_what(garbage) for garbage in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if enabled:
            gc.enable()
    assert not left, f"left to the garbage collector: {dict(left.most_common())}"


def _what(garbage: object) -> str:
    kind = type(garbage)
    return f"{kind.__module__}.{kind.__qualname__}"
