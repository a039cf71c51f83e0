"""The delivery ledger: per room, what became of every message, and of every copy of it.

Two equations hold at any moment, the second for each member, and tests and the chaos experiments
check them:

    published = accepted + sum(refused) + pending
    accepted  = own + delivered + sum(dropped) + pending

In the second, what was accepted is counted by the room, since the member came, and the rest where
the copies are made, so a message that passed a member by is pending for good. Nothing is pending
where nothing moves.

The ledger also counts where history came from: a room's own memory, or the archive.

The counters outlive the room actors that write them, so a crash can't hide a loss. Writing is a few
integer additions per batch and member; nobody in the cast reads them. A member who leaves is added
to its room's sum of those who have left, and a room that ends to the sum of such rooms: the ledger
grows with what is alive only.
"""

from collections import Counter
from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Copies:
    """What became of a room's messages for one member, or for several together."""

    accepted: int = 0
    """Messages that the room had for its members while this one was there, its own included."""
    own: int = 0
    """Of those, left out because it had said them itself, and has an ACK."""
    delivered: int = 0
    """Of those, handed to its outbox."""
    dropped: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """Of those, not handed over, by reason: the outbox was sealed, a GAP told of them, it left."""

    @property
    def pending(self) -> int:
        """Messages on their way to it: of a batch in hand, or until it is back after a crash."""
        return self.accepted - self.own - self.delivered - sum(self.dropped.values())

    def __add__(self, other: "Copies") -> "Copies":
        return Copies(
            accepted=self.accepted + other.accepted,
            own=self.own + other.own,
            delivered=self.delivered + other.delivered,
            dropped=Counter(self.dropped) + Counter(other.dropped),
        )


@attrs.define(eq=False)
class MemberLedger:
    """The counters of one member of one room, over all incarnations of the room's actor."""

    user: str = ""
    connection: str = ""
    """Its id: a user may be there with several."""
    came_at: int = 0
    """How many messages the room had sent when it came."""
    own: int = 0
    delivered: int = 0
    dropped: dict[str, int] | None = None  # {reason: messages}; None as long as there are none
    gone: bool = False
    """Whether its connection has left the room; the room may not know yet."""

    def drop(self, reason: str, count: int) -> None:
        """Count messages that it will not get."""
        if count:
            self.dropped = self.dropped or {}
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def copies(self, sent: int) -> Copies:
        """What became of its messages, `sent` being how many the room has sent by now."""
        return Copies(
            accepted=sent - self.came_at,
            own=self.own,
            delivered=self.delivered,
            dropped=dict(self.dropped or {}),
        )


@attrs.frozen(kw_only=True)
class MemberSnapshot:
    """One member of a room as it stood at one moment."""

    user: str
    connection: str
    copies: Copies


@attrs.frozen(kw_only=True)
class RoomSnapshot:
    """A room's counters as they stood at one moment."""

    published: int
    accepted: int
    refused: Mapping[str, int]
    pending: int
    members: tuple[MemberSnapshot, ...]
    left: Copies
    """The sums of those who have left."""
    from_ring: int
    from_archive: int


@attrs.define(eq=False)
class RoomLedger:
    """The counters of one room, over all incarnations of its actor."""

    published: int = 0
    """Messages that the room took from its members."""
    accepted: int = 0
    """Of those, acknowledged: stored, or in an ephemeral room sent. A repetition counts again."""
    refused: Counter[str] = attrs.field(factory=Counter[str])
    """Of those, not acknowledged, by reason."""
    sent: int = 0
    """Messages that it had for its members, each once, however many they are."""
    members: dict[MemberLedger, None] = attrs.field(factory=dict[MemberLedger, None], repr=False)
    left: Copies = attrs.field(factory=Copies)
    """The sums of those who have left."""
    from_ring: int = 0
    """HISTORYs and recoveries that the room answered from memory."""
    from_archive: int = 0
    """HISTORYs and recoveries that it had to ask the archive for."""
    _epoch: str = ""
    _offset: int = 0

    @property
    def ring_hit_rate(self) -> float | None:
        """The share that needed no archive; None where nobody asked."""
        asked = self.from_ring + self.from_archive
        return self.from_ring / asked if asked else None

    @property
    def pending(self) -> int:
        """Messages taken and not decided yet."""
        return self.published - self.accepted - self.refused.total()

    def crashed(self) -> None:
        """A new incarnation begins: what its predecessor had pending will be published again."""
        if self.pending:
            self.refused["room crashed"] += self.pending

    @property
    def stood_at(self) -> tuple[str, int]:
        """Epoch and offset of the last message that was for the members."""
        return self._epoch, self._offset

    # Its members.

    def stands_at(self, epoch: str, offset: int) -> None:
        """The room's last message: what lies between it and the one before is for the members."""
        if epoch == self._epoch and offset > self._offset:
            self.sent += offset - self._offset
        self._epoch, self._offset = epoch, offset

    def enter(self, member: MemberLedger, *, user: str, connection: str, missed: int = 0) -> None:
        """A member has come, and is owed `missed` messages from before.

        One that is here already goes on: it has come back after a crash of the room.
        """
        if member not in self.members:
            member.user, member.connection = user, connection
            member.came_at = self.sent - missed
            member.own = member.delivered = 0
            member.dropped = None
            self.members[member] = None

    def give_up(self, member: MemberLedger, reason: str) -> None:
        """What is pending for a member can't be delivered."""
        member.drop(reason, member.copies(self.sent).pending)

    def leave(self, member: MemberLedger) -> None:
        """A member has left, with what was pending for it."""
        if member in self.members:
            self.give_up(member, "left")
            self.left += member.copies(self.sent)
            del self.members[member]

    def sweep(self) -> None:
        """Those have left whose connections ended while the room was crashed, too."""
        for member in [member for member in self.members if member.gone]:
            self.leave(member)

    def copies(self) -> Copies:
        """The sums of all members, those who have left included."""
        return sum((member.copies(self.sent) for member in self.members), self.left)

    def snapshot(self) -> RoomSnapshot:
        """All counters, member by member."""
        return RoomSnapshot(
            published=self.published,
            accepted=self.accepted,
            refused=dict(self.refused),
            pending=self.pending,
            members=tuple(
                MemberSnapshot(
                    user=member.user,
                    connection=member.connection,
                    copies=member.copies(self.sent),
                )
                for member in self.members
            ),
            left=self.left,
            from_ring=self.from_ring,
            from_archive=self.from_archive,
        )

    def add(self, other: "RoomLedger") -> None:
        """Count in what `other` has counted, its members among those who have left."""
        self.published += other.published
        self.accepted += other.accepted
        self.refused += other.refused
        self.sent += other.sent
        self.left += other.copies()
        self.from_ring += other.from_ring
        self.from_archive += other.from_archive


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
        if ledger is not None:
            self.closed.add(ledger)

    def total(self) -> RoomLedger:
        """The sums of all rooms, those that have ended included: for metrics and the like."""
        total = RoomLedger()
        for ledger in (self.closed, *self.rooms.values()):
            total.add(ledger)
        return total

    def snapshot(self) -> dict[str, RoomSnapshot]:
        """Every room that lives, member by member, as it stands now."""
        return {name: ledger.snapshot() for name, ledger in self.rooms.items()}
