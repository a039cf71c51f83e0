"""A child that needs its grace."""

import trio


async def slow_to_stop(inbox, seconds, *, task_status):
    """Waits to be stopped; its clean-up takes `seconds` then."""
    task_status.started()
    try:
        await trio.sleep_forever()
    finally:
        with inbox.grace():
            await trio.sleep(seconds)
