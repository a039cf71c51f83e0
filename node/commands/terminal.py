"""What the terminal client shows, as pure functions from events to lines.

What other people write is theirs to choose, so nothing of it reaches the terminal that could move
the cursor, change colours or titles, or turn the direction of writing.
"""

from datetime import datetime, tzinfo

from greenroom.client import Gap, Joined, Left, Member, Message, State, Status


def visible(text: str) -> str:
    """Return `text` in one line, with a mark for each character that can't be seen."""
    lines = text.splitlines()
    return " / ".join(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        for line in lines
    )


def message_line(message: Message, zone: tzinfo | None = None) -> str:
    """Show a message with the time at which the node took it, in the reader's time zone."""
    at = datetime.fromtimestamp(message.timestamp / 1000, tz=zone).astimezone(zone)
    return f"{at:%H:%M} {visible(message.user)}: {visible(message.content)}"


def gap_line(gap: Gap) -> str:
    """Say which messages are missing."""
    if gap.to_offset < gap.from_offset:
        return "-- some messages are missing here --"
    count = gap.to_offset - gap.from_offset + 1
    return f"-- {count} message{'s are' if count > 1 else ' is'} missing here --"


def presence_line(event: Joined | Left) -> str | None:
    """Say who came or went; None in a large room, where only the number changes."""
    if event.user is None:
        return None
    what = "is here" if isinstance(event, Joined) else "has left"
    return f"-- {visible(event.user)} {what} ({event.members} in the room) --"


def members_line(members: tuple[Member, ...]) -> str:
    """Say who is in the room."""
    return "-- here: " + ", ".join(sorted(visible(member.user) for member in members)) + " --"


def status_line(status: Status) -> str:
    """Say how the connection is, and when the next try begins."""
    if status.state is State.UNREACHABLE:
        return "-- the node is silent; waiting for it --"
    if status.state is State.CONNECTED:
        return "-- connected --"
    wait = status.retry_in_seconds
    detail = f": {visible(status.detail)}" if status.detail else ""
    again = "" if wait is None else f"; next try {_when(wait)}"
    return f"-- no connection{detail}{again} --"


def _when(seconds: float) -> str:
    if seconds < 0.1:
        return "now"
    return f"in {seconds:.0f} s" if seconds >= 1 else f"in {seconds:.1f} s"
