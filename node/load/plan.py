"""The plan of a load: which members, which rooms, and when each message is due.

Pure: it holds numbers and answers questions about them. The schedule is *open*: a message is due at
its time whether or not the node has answered the one before. A node that stands still for a second
therefore sees the load of that second all the same, and every message of it counts as late from
when it was due. (A client that waits for each answer would have sent one message in that second,
and would report one slow answer among thousands of quick ones: "coordinated omission".)
"""

import attrs

from greenroom.node.errors import NodeError
from greenroom.node.load.stamp import MIN_CONTENT_BYTES, RUN_CHARS
from greenroom.protocol import MAX_CONTENT_BYTES, MAX_ROOM_CHARS, is_valid_room_name

MAX_CONNECTIONS = 100_000
MAX_RATE = 1_000_000
MAX_SECONDS = 86_400
MAX_MESSAGES = 100_000_000  # a byte of memory for each
_LONGEST_ROOM_ENDING = RUN_CHARS + len("-99999")


class LoadOptionError(NodeError):
    """An option of `greenroom load` is no good."""

    exit_code = 2


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done to a node.

    Raises:
        LoadOptionError: A number is out of its range; the text names the option.
    """

    run: str
    """Tells this run's rooms and messages from all others': a few characters of a-z and 0-9."""
    rooms: int
    members: int
    """Of each room. Every member is a connection of its own and takes its turn in sending."""
    rate: float
    """PUBLISHes a second, of all members together, evenly spaced; 0 only keeps connections."""
    size: int
    """Bytes of content in each."""
    ramp_seconds: float
    """Over which the connections are opened, evenly too."""
    seconds: float
    """How long messages are sent, once all members are in their rooms."""
    prefix: str
    """Of the rooms' names; what stands before its first colon chooses the kind of the rooms."""

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _check("--rooms", self.rooms, 1, MAX_CONNECTIONS)
        _check("--members", self.members, 1, MAX_CONNECTIONS)
        if self.connections > MAX_CONNECTIONS:
            raise LoadOptionError(
                f"--rooms times --members must be at most {MAX_CONNECTIONS}, not {self.connections}"
            )
        _check("--rate", self.rate, 0, MAX_RATE)
        _check("--size", self.size, MIN_CONTENT_BYTES, MAX_CONTENT_BYTES, "bytes")
        _check("--ramp", self.ramp_seconds, 0, MAX_SECONDS, "seconds")
        _check("--seconds", self.seconds, 0, MAX_SECONDS, "seconds")
        if self.messages > MAX_MESSAGES:
            raise LoadOptionError(
                f"--rate times --seconds must be at most {MAX_MESSAGES} messages, "
                f"not {self.messages}"
            )
        if not is_valid_room_name(self.room(self.rooms - 1)):
            raise LoadOptionError(
                f"--prefix must be at most {MAX_ROOM_CHARS - _LONGEST_ROOM_ENDING} of "
                f"A-Z a-z 0-9 . _ : -, not {self.prefix!r}"
            )

    @property
    def connections(self) -> int:
        """How many there are in all."""
        return self.rooms * self.members

    @property
    def messages(self) -> int:
        """How many are due in all."""
        return int(self.rate * self.seconds)

    @property
    def deliveries_per_second(self) -> float:
        """What the node has to deliver at this rate: each message to all but its sender."""
        return self.rate * (self.members - 1)

    def room(self, number: int) -> str:
        """The name of a room, counted from 0."""
        return f"{self.prefix}{self.run}-{number}"

    def room_of(self, connection: int) -> int:
        """The room of a connection; neighbours in the ramp are in different rooms."""
        return connection % self.rooms

    def connect_at(self, connection: int) -> float:
        """When a connection is to be opened, in seconds from the start of the ramp."""
        return self.ramp_seconds * connection / self.connections

    def due_at(self, message: int) -> float:
        """When a message is to be sent, in seconds from the start of the sending."""
        return message / self.rate

    def sender_of(self, message: int) -> int:
        """The connection that sends it: all take turns, and so do the rooms."""
        return message % self.connections

    def number_in_room(self, message: int) -> int:
        """Its number among the messages of its room, from 0."""
        return message // self.rooms


def _check(option: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:  # which NaN fails too
        raise LoadOptionError(
            f"{option} must be a number from {low:g} to {high:,.15g}{' ' * bool(unit)}{unit}, "
            f"not {value:g}"
        )
