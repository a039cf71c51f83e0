"""Log lines: for people in a terminal, as JSON for machines, and never too many of one kind.

Sets up structlog for the node and leads what libraries log through `logging` the same way, so that
there is one format and one stream. Nothing here is told a token, and no exception is
logged with its local variables, where one might stand.
"""

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

BURST = 20
WINDOW_SECONDS = 10.0
"""Lines of one kind beyond `BURST` in this time are left out; the next one says how many."""


class DropRepeats:
    """A structlog processor that keeps a flood of one kind of line from drowning the others."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Args: now: The clock, in seconds."""
        self._now = now
        self._windows: dict[str, tuple[float, int]] = {}  # {event: (window's start, lines in it)}

    # Any: structlog's own types for a logger and for what stands in a line.
    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Let the line pass or drop it."""
        kind = str(event.get("event"))
        now = self._now()
        start, count = self._windows.get(kind, (now, 0))
        if now - start >= WINDOW_SECONDS:
            if count > BURST:
                event["left_out"] = count - BURST
            start, count = now, 0
        if len(self._windows) > 1000:  # kinds are few by design; libraries may think otherwise
            self._windows.clear()
        self._windows[kind] = (start, count + 1)
        if count >= BURST:
            raise structlog.DropEvent
        return event


def configure_logs(*, log_format: str, level: str, stream: TextIO) -> None:
    """Set up logging for this process.

    Args:
        log_format: `console`, `json`, or `auto`: console where the stream is a terminal.
        level: The least important level to write.
        stream: Where to write: stderr, for a node.
    """
    terminal = stream.isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        DropRepeats(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    last: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=terminal, exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It logs every frame at debug and every odd peer at its own levels; the cast says what matters.
    logging.getLogger("trio-websocket").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
