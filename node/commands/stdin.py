"""Lines of standard input, read in a thread so that nothing else waits for them."""

import sys
from collections.abc import AsyncGenerator

import trio


async def read_lines() -> AsyncGenerator[str]:
    """Yield each line as it is finished, until the end of the input.

    Cancellation:
        Leaves the thread behind in its read: nothing can end that, and the process does.
    """
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        yield line
