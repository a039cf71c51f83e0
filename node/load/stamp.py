"""What a load's message carries: its number in the room, and when it was due.

A stamp is ASCII without quotes, so it stands in a frame as it is, whichever codec wrote the frame:
a reader finds it without decoding anything, which is most of what makes one process enough for
many members. A tilde is in no room's name and in no key, so only content holds a stamp.
"""

import attrs

RUN_CHARS = 6
MIN_CONTENT_BYTES = 32
"""Room for the longest stamp: four marks, the run, a number below 10^9, 11 days in microseconds."""
_DIGITS = MIN_CONTENT_BYTES - RUN_CHARS - 2  # both numbers with the marks behind them


@attrs.frozen
class Stamper:
    """Writes and finds the stamps of one run."""

    run: str
    size: int
    """Bytes that a content is filled up to."""
    _beginning: bytes = attrs.field(
        default=attrs.Factory(lambda self: f"~{self.run}~".encode(), takes_self=True),
        init=False,
        repr=False,
    )

    def write(self, number: int, due_us: int) -> str:
        """The content of a message.

        Args:
            number: Its number in its room.
            due_us: When it was due, in microseconds of the run's own clock.
        """
        return f"~{self.run}~{number}~{due_us}~".ljust(self.size, "x")

    def find(self, payload: bytes) -> tuple[int, int] | None:
        """The number and the due time in a frame's payload; None if none of this run's is there."""
        at = payload.find(self._beginning)
        if at < 0:
            return None
        at += len(self._beginning)
        number, _, rest = payload[at : at + _DIGITS].partition(b"~")
        due_us, end, _ = rest.partition(b"~")
        if not (end and number.isdigit() and due_us.isdigit()):
            return None
        return int(number), int(due_us)
