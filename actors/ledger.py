"""The delivery ledger: per room, what became of every message and of every copy of it.

Two equations hold at any moment, and tests and the chaos experiments check them:

    published = accepted + sum(refused) + pending
    owed      = delivered + sum(dropped)

The counters outlive the room actors that write them, so a crash can't hide a loss. Writing is a few
integer additions per batch; nobody in the cast reads them.
"""

from collections import Counter

import attrs


@attrs.define(eq=False)
class RoomLedger:
    """The counters of one room, over all incarnations of its actor."""

    published: int = 0
    """Messages that the room took from its members."""
    accepted: int = 0
    """Of those, acknowledged: stored, or in an ephemeral room sent."""
    refused: Counter[str] = attrs.field(factory=Counter[str])
    """Of those, not acknowledged, by reason."""
    owed: int = 0
    """Copies to deliver: one per message and member who was there, the sender left out."""
    delivered: int = 0
    """Of those, handed to the member's outbox."""
    dropped: Counter[str] = attrs.field(factory=Counter[str])
    """Of those, not handed over, by reason."""

    @property
    def pending(self) -> int:
        """Messages taken and not decided yet."""
        return self.published - self.accepted - self.refused.total()

    def crashed(self) -> None:
        """A new incarnation begins: what its predecessor had pending will be published again."""
        if self.pending:
            self.refused["room crashed"] += self.pending


@attrs.define(eq=False)
class Ledger:
    """Every room's ledger on this node."""

    rooms: dict[str, RoomLedger] = attrs.field(factory=dict[str, RoomLedger])
    """Rooms that live, or have lived and were not closed."""
    closed: RoomLedger = attrs.field(factory=RoomLedger)
    """The sums of rooms that have ended, so that the ledger does not grow with their number."""

    def room(self, name: str) -> RoomLedger:
        """The counters of `name`, created at the first call."""
        ledger = self.rooms.get(name)
        if ledger is None:
            ledger = self.rooms[name] = RoomLedger()
        return ledger

    def close(self, name: str) -> None:
        """The room has ended: add its counters to `closed`."""
        ledger = self.rooms.pop(name, None)
        if ledger is None:
            return
        self.closed.published += ledger.published
        self.closed.accepted += ledger.accepted
        self.closed.refused += ledger.refused
        self.closed.owed += ledger.owed
        self.closed.delivered += ledger.delivered
        self.closed.dropped += ledger.dropped
