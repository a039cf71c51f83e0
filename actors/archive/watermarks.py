"""How far each room's messages have been handed on: what turns status 0 into 1.

Written by whoever hands on, taken by the archive with its next commit. Like the ledger it is
shared, costs one dictionary entry a call, and outlives the actors. What is in here and not yet
stored when the process dies is handed on once more: the rows are found at 0.
"""

from collections.abc import Mapping

import attrs

from greenroom.actors.ports import Head


@attrs.define(eq=False)
class Watermarks:
    """The places that nobody has stored yet; one for each room at the most."""

    callbacks: bool = False
    """Whether callbacks have the last word: then fan-out alone marks nothing."""
    _reached: dict[str, Head] = attrs.field(factory=dict[str, Head], init=False)

    def __bool__(self) -> bool:
        """Whether there is something to store."""
        return bool(self._reached)

    def fanned_out(self, room: str, head: Head) -> None:
        """Everything up to `head` has been handed to the room's members on this node."""
        if not self.callbacks:
            self._reached[room] = head

    def called_back(self, room: str, head: Head) -> None:
        """Everything up to `head` was delivered to the callbacks, or became a dead letter."""
        self._reached[room] = head

    def take(self) -> Mapping[str, Head]:
        """Return what has been reached since the last time, to be stored."""
        taken, self._reached = self._reached, {}
        return taken

    def give_back(self, taken: Mapping[str, Head]) -> None:
        """It could not be stored: keep it, unless more has been reached meanwhile."""
        self._reached = {**taken, **self._reached}
