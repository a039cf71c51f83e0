"""Which signals stop a node, and which end it at once."""

import signal

import structlog
import trio

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")


async def watch_signals(
    hurry: trio.CancelScope, *, task_status: trio.TaskStatus[trio.Event]
) -> None:
    """Wait for SIGTERM, SIGINT and SIGHUP; the second of the first two hurries.

    Args:
        hurry: What is cancelled then.
        task_status: Told the event that the first signal sets.
    """
    stop = trio.Event()
    hangup = _hangup()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *hangup) as signals:
        task_status.started(stop)
        async for number in signals:
            # A closing terminal hangs up, and so does the shell that ends with it: one wish, twice.
            if stop.is_set() and number not in hangup:
                log.warning("stopping at once", signal=signal.Signals(number).name)
                hurry.cancel()
            stop.set()


def _hangup() -> set[signal.Signals]:
    """Return SIGHUP where there is one, unless nohup has told us to outlive the terminal."""
    number = getattr(signal, "SIGHUP", None)  # Windows has none
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        return set()
    return {number}
