"""The order of what one connection sends to one room, through crashes of that room.

A crash loses some PUBLISHes, which their connection repeats, and spares those behind them that
still wait in the room's inbox. The next incarnation must not take the spared ones first.
"""


class Order:
    """Numbers one connection's PUBLISHes to one room; tells the room which it may take.

    Like the gate it belongs to the connection, outlives the room's crashes, and the room calls it.
    """

    __slots__ = ("__weakref__", "_last", "_open", "_taken", "_taken_by")

    def __init__(self) -> None:
        self._last = 0
        self._open: set[int] = set()  # not finished; bounded by the connection's window
        self._taken = 0  # the highest number that ...
        self._taken_by: object = None  # ... this incarnation has taken

    def begin(self) -> int:
        """A new PUBLISH: its number, which all its repetitions share."""
        self._last += 1
        self._open.add(self._last)
        return self._last

    def finish(self, number: int) -> None:
        """This one has its answer, and is not repeated any more."""
        self._open.discard(number)

    def takes(self, number: int, incarnation: object) -> bool:
        """Whether it is this one's turn; then this `incarnation` of the room has taken it.

        It is, right behind what the same incarnation took, or if nothing before it is open. So of
        those that are open, the first always has its turn, and none is told to repeat for ever.
        """
        follows = self._taken_by is incarnation and number == self._taken + 1
        if not follows and number != min(self._open, default=number):
            return False
        self._taken, self._taken_by = number, incarnation
        return True
