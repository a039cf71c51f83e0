"""Log lines: for people in a terminal, as JSON for machines, and never too many of one kind.

Sets up structlog for the node and leads what libraries log through `logging` the same way, so that
there is one format and one stream. Nothing here is told a token, no exception is logged with its
local variables, where one might stand, and what looks like one all the same is masked.
"""

import logging
import re
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO

import structlog

from greenroom.node.masks import MASK

AUDIT_LOGGER = "greenroom.node.audit"
"""What operators do: every line is written, whatever the level, and none is left out."""

TOKEN: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
"""A JWT as it is written (RFC 7515, 3.1); JSON that begins an object is eyJ in base64url."""

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
        if event.get("logger") == AUDIT_LOGGER:
            return event
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


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines, save those that are left out, and masks what looks like a token in them.

    `DropEvent` is no `Exception`: for what is logged through `logging` it would pass the handler,
    and end whoever logs.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render a line. Nobody logs a token; but a library, or an operator's own mistake, may."""
        return TOKEN.sub(MASK, super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or leave it out."""
        with suppress(structlog.DropEvent):
            super().emit(record)


# Any: as above.
def _escape_controls(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep strangers, whose Origin stands in a line, from the reader's terminal; JSON escapes."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(
                c if c.isprintable() else c.encode("unicode_escape").decode() for c in value
            )
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
            _escape_controls,
            structlog.dev.ConsoleRenderer(
                colors=terminal, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = LineHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    # It logs every frame at debug and every odd peer at its own levels; the cast says what matters.
    logging.getLogger("trio-websocket").setLevel(logging.ERROR)
    # It says of each look at a database what kind of database it is.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # They log every request with its URL, in which a token may stand, and every step of it.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
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
