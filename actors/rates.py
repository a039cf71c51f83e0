"""Who is charged what: budgets of connections, users and addresses, and where the buckets are kept.

A connection's own buckets end with it. Those of a user and of an address are shared by all its
connections and outlive them until they are full again, so that connecting anew gains nothing. They
are found when a connection comes and when it has authenticated, and held by it while it lives: a
command asks nobody. Nothing here waits, and no actor owns it: every change is made at once, in the
task of whoever makes it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import attrs

from greenroom.actors.budgets import Bucket, Budget, Terms, Toll

MOST_RESTING: Final = 10_000
"""Users, and addresses, that have no connection and whose buckets are not full yet. Of more, the
one whose last connection ended first is forgotten: so much may a flood of new ones gain."""


class Cost(StrEnum):
    """What is counted, each by itself."""

    PUBLISH = "publish"
    PUBLISH_BYTES = "publish_bytes"
    JOIN = "join"
    """And REFRESH, which asks of every room again who may be there."""
    HISTORY = "history"
    """And PRESENCE."""
    TYPING = "typing"
    FRAME = "frame"
    """Whatever a client sends, HEARTBEAT, LEAVE, ping and pong too."""
    EGRESS = "egress"
    """What a message brings with it: its bytes for each member of its room."""


class Scope(StrEnum):
    """Who shares a budget."""

    CONNECTION = "connection"
    USER = "user"
    ADDRESS = "address"
    ROOM = "room"


Label = tuple[Cost, Scope]


@attrs.frozen(kw_only=True)
class RateLimits:
    """Every rate, each None where nothing is counted."""

    publish: Budget | None = attrs.field(default=Budget(rate=50, burst=250))
    """PUBLISHes of one connection."""
    publish_bytes: Budget | None = attrs.field(default=Budget(rate=250_000, burst=1_000_000))
    """Bytes of their content: of UTF-8, as it is stored."""
    join: Budget | None = attrs.field(default=Budget(rate=20, burst=120))
    """JOINs and REFRESHes. A client comes back to its 100 rooms at once."""
    history: Budget | None = attrs.field(default=Budget(rate=10, burst=50))
    """HISTORYs and PRESENCEs."""
    typing: Budget | None = attrs.field(default=Budget(rate=5, burst=20))
    frame: Budget | None = attrs.field(default=Budget(rate=500, burst=2_000))
    """WebSocket frames of any kind; beyond that the connection is closed with 4007."""
    refusals: Budget | None = attrs.field(default=Budget(rate=10, burst=100))
    """Commands that are refused although their client was told to wait; beyond that it is closed
    with 4007. The burst is more than the 64 that may be under way when the first refusal arrives,
    so that nobody is closed for what it had sent before it could know."""
    user_factor: float | None = 2.0
    """All connections of a user together have so many times a connection's budgets."""
    address_factor: float | None = 20.0
    """And all of an address, where many users may be behind one; frames are not counted there, as
    whom it closed would not be who sent them."""
    room_egress: Budget | None = attrs.field(default=Budget(rate=50e6, burst=100e6))
    """Bytes that one room may send to its members. See `egress`."""

    def terms(self, scope: Scope) -> Mapping[Cost, Terms]:
        """What holds for a connection, a user or an address; without what is not counted."""
        factor: float | None = 1.0
        if scope is Scope.USER:
            factor = self.user_factor
        elif scope is Scope.ADDRESS:
            factor = self.address_factor
        if factor is None:
            return {}
        budgets = {
            Cost.PUBLISH: self.publish,
            Cost.PUBLISH_BYTES: self.publish_bytes,
            Cost.JOIN: self.join,
            Cost.HISTORY: self.history,
            Cost.TYPING: self.typing,
            Cost.FRAME: None if scope is Scope.ADDRESS else self.frame,
        }
        return {
            cost: Terms(budget.times(factor), (cost, scope))
            for cost, budget in budgets.items()
            if budget is not None
        }


@attrs.frozen(kw_only=True)
class RatesSnapshot:
    """What rate limits have done so far."""

    refused: Mapping[Label, int]
    """Commands refused, by what was used up and whose it was."""
    closed: Mapping[Cost, int]
    """Connections closed with 4007, by what the last straw was."""
    users: int
    """Whose buckets are kept; so are the addresses'."""
    addresses: int


class Purse:
    """The buckets of one user or address, each from its first use on."""

    __slots__ = ("_buckets", "_terms", "holders")

    def __init__(self, terms: Mapping[Cost, Terms]) -> None:
        self._terms = terms
        self._buckets: dict[Cost, Bucket] = {}
        self.holders = 0
        """Connections that live."""

    def add_bucket(self, cost: Cost, to: list[Bucket]) -> None:
        """Add the one for `cost`; none where that is not counted."""
        bucket = self._buckets.get(cost)
        if bucket is None and cost in self._terms:
            bucket = self._buckets[cost] = Bucket(self._terms[cost])
        if bucket is not None:
            to.append(bucket)

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return all(bucket.full_at <= now for bucket in self._buckets.values())


class Purses:
    """Those of all users, or of all addresses.

    Bounded by the number of connections and by `most_resting`.
    """

    def __init__(self, terms: Mapping[Cost, Terms], *, most_resting: int) -> None:
        self._terms = terms
        self._most_resting = most_resting
        self._purses: dict[str, Purse] = {}
        self._resting: dict[str, Purse] = {}  # without connections, in the order of their last

    def __len__(self) -> int:
        return len(self._purses)

    def hold(self, owner: str, *, now: float) -> Purse:
        """The owner's, until it is released as often."""
        if self._resting:
            self._forget(now)
            self._resting.pop(owner, None)
        purse = self._purses.get(owner)
        if purse is None:
            purse = self._purses[owner] = Purse(self._terms)
        purse.holders += 1
        return purse

    def release(self, owner: str, *, now: float) -> None:
        """A connection of the owner's has ended."""
        purse = self._purses[owner]
        purse.holders -= 1
        if not purse.holders:
            self._resting[owner] = purse
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Forget those that rest and are full again, oldest first, and those that are too many."""
        while self._resting:
            owner, purse = next(iter(self._resting.items()))
            if len(self._resting) <= self._most_resting and not purse.is_full(now):
                break
            del self._resting[owner], self._purses[owner]


class Rates:
    """All shared buckets of a node, and how often any was found empty.

    Args:
        limits: How much of what.
        counted_as: Under which name an address is counted.
        most_resting: See `Purses`.
    """

    def __init__(
        self,
        limits: RateLimits,
        *,
        counted_as: Callable[[str], str] = str,
        most_resting: int = MOST_RESTING,
    ) -> None:
        self.limits = limits
        self.counted_as = counted_as
        self.own_terms = limits.terms(Scope.CONNECTION)
        """Of each connection's own buckets."""
        self.users = Purses(limits.terms(Scope.USER), most_resting=most_resting)
        self.addresses = Purses(limits.terms(Scope.ADDRESS), most_resting=most_resting)
        self.refused: Counter[Label] = Counter()
        """See `RatesSnapshot`; connections count."""
        self.closed: Counter[Cost] = Counter()

    def snapshot(self) -> RatesSnapshot:
        """What has come of them so far."""
        return RatesSnapshot(
            refused=dict(self.refused),
            closed=dict(self.closed),
            users=len(self.users),
            addresses=len(self.addresses),
        )


class Account:
    """What one connection pays from: its own buckets, its address', once it is known its user's.

    Args:
        rates: Where the others are.
        address: Empty: nobody knows from where it comes.
        now: The time.
    """

    __slots__ = ("_address", "_closed", "_rates", "_shared", "_tolls", "_user")

    def __init__(self, rates: Rates, address: str, *, now: float) -> None:
        self._rates = rates
        self._address = address = rates.counted_as(address)
        self._user: str | None = None
        self._closed = False
        self._shared = (rates.addresses.hold(address, now=now),) if address else ()
        self._tolls: dict[Cost, Toll] = {}

    @property
    def address(self) -> str:
        """As it is counted; empty: nobody knows it, or the connection has ended."""
        return self._address

    def belongs_to(self, user: str, *, now: float) -> None:
        """The connection has authenticated; what it paid for before was its own.

        It may have ended meanwhile: then it holds nothing, as nobody would let go of it.
        """
        if self._closed:
            return
        self._user = user
        self._shared = (*self._shared, self._rates.users.hold(user, now=now))
        self._tolls.clear()

    def toll(self, cost: Cost) -> Toll:
        """What a command of that kind pays from; by its number, or by its size."""
        toll = self._tolls.get(cost)
        if toll is None:
            toll = self._tolls[cost] = self._make_toll(cost)
        return toll

    def close(self, *, now: float) -> None:
        """The connection has ended; more than once is once."""
        self._closed = True
        if self._address:
            self._rates.addresses.release(self._address, now=now)
            self._address = ""
        if self._user is not None:
            self._rates.users.release(self._user, now=now)
            self._user = None

    def _make_toll(self, cost: Cost) -> Toll:
        if cost is Cost.PUBLISH:
            return Toll(self._buckets(cost), self._buckets(Cost.PUBLISH_BYTES))
        return Toll(self._buckets(cost))

    def _buckets(self, cost: Cost) -> list[Bucket]:
        terms = self._rates.own_terms.get(cost)
        buckets = [] if terms is None else [Bucket(terms)]
        for purse in self._shared:
            purse.add_bucket(cost, buckets)
        return buckets
