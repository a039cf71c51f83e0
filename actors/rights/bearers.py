"""Who is in on which token: what ends a connection in time when its token expires or is revoked.

One index and one heap for all connections of the node. What ends a connection here never goes by
its inbox, which may be long. It comes in two steps: at once nothing passes its outbox any more,
which costs next to nothing; the rest is an errand of the actor, which does some at a time, so that
a thousand connections that end together hold up nobody else. Rooms call `enforce` before they
deliver, so that not even a late event loop lets a message out after a token's end.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import trio

from greenroom.actors.rights.revocations import Revocation, Revocations
from greenroom.protocol import Claims, CloseCode
from greenroom.supervisor import ChildSpec, Inbox, Ref

LOOK_SECONDS: Final = 5.0
"""The wall clock, by which tokens expire, may jump (NTP, a resumed machine): it is looked at so
often, whatever Trio's clock says."""

ERRANDS_PER_PASS: Final = 16
"""Then all others have their turn: with what follows in its own task, an end is 0.1 to 0.3 ms."""

STALE_AT_LEAST: Final = 64
"""Entries of the heap that may be out of date before it is made anew."""


@attrs.define(eq=False, kw_only=True)
class Bearer:
    """A connection that its token has let in, or is about to."""

    claims: Claims = attrs.field(repr=False)
    """Of the token in force."""
    verified_at: float
    """When that was found good, seconds since 1970."""
    silence: Callable[[], object]
    """Lets nothing more out to the client, what waits for its socket included. May be called from
    anywhere, again too, and neither waits nor raises."""
    end: Callable[[CloseCode], object]
    """Closes the connection. Called in the task of all bearers, and never waits."""
    warn: Callable[[], object]
    """Tells the client that the token ends soon; as `end`."""
    warn_at: float
    """When that is due; seconds since 1970, and infinite once it was done."""
    entry: int = -1
    """The number of what the heap says of it."""

    @property
    def due(self) -> float:
        """When the next thing is to be done."""
        return min(self.warn_at, self.claims.expires_at)


class Bearers:
    """Everybody who is in. Outlives the actor that serves it.

    Bounded by the number of connections.

    Args:
        now: The wall clock, seconds since 1970.
        revocations: Who is out.
        warning_seconds: So long before a token's end its bearer is warned, or at half of what is
            left of it.
    """

    def __init__(
        self, now: Callable[[], float], revocations: Revocations, *, warning_seconds: float
    ) -> None:
        self._now = now
        self._revocations = revocations
        self._warning_seconds = warning_seconds
        self._by_connection: dict[Ref[Any], Bearer] = {}  # Any: it is only a name here
        self._by_user: dict[str, dict[Bearer, None]] = {}
        self._by_token: dict[str, dict[Bearer, None]] = {}
        self._due: list[tuple[float, int]] = []  # a heap of entries; may hold some out of date
        # {entry: bearer}, of those that are not. So the heap keeps alive nobody who is gone.
        self._entered: dict[int, Bearer] = {}
        self._numbers = itertools.count()
        self._next_at = math.inf  # of the first in the heap
        self._sleep = trio.CancelScope()  # until then
        self._errands: deque[Callable[[], object]] = deque()
        self._begun = 0  # errands since the start
        self._progress = trio.Event()  # replaced after each pass

    def __len__(self) -> int:
        return len(self._by_connection)

    def admit(
        self,
        connection: Ref[Any],
        claims: Claims,
        *,
        silence: Callable[[], object],
        end: Callable[[CloseCode], object],
        warn: Callable[[], object],
    ) -> None:
        """Watch over a connection whose token has just been found good, until `forget`."""
        now = self._now()
        bearer = Bearer(
            claims=claims,
            verified_at=now,
            silence=silence,
            end=end,
            warn=warn,
            warn_at=self._warn_at(claims, now),
        )
        self._by_connection[connection] = bearer
        self._enter(bearer)

    def renew(self, connection: Ref[Any], claims: Claims) -> None:
        """Another token of the same user is in force there."""
        bearer = self._by_connection[connection]
        self._leave(bearer)
        now = self._now()
        bearer.claims, bearer.verified_at = claims, now
        bearer.warn_at = self._warn_at(claims, now)
        self._enter(bearer)

    def forget(self, connection: Ref[Any]) -> None:
        """The connection is gone; nothing happens where it was not known."""
        bearer = self._by_connection.pop(connection, None)
        if bearer is not None:
            self._leave(bearer)

    def expel(self, revocation: Revocation) -> int:
        """Silence all connections whose tokens it is about, have them end, and say how many."""
        if revocation.user is not None:
            bearers = self._by_user.get(revocation.user, {})
        else:
            bearers = self._by_token.get(revocation.token_id or "", {})
        out = [
            bearer
            for bearer in bearers
            if self._revocations.revoked(bearer.claims, verified_at=bearer.verified_at)
        ]
        for bearer in out:
            self._throw_out(bearer, CloseCode.TOKEN_REVOKED)
        return len(out)

    async def settle(self) -> None:
        """Return when all that were silenced by now have been ended."""
        asked = self._begun + len(self._errands)
        while self._begun < asked:
            await self._progress.wait()

    def enforce(self) -> None:
        """Silence whose token has expired by now. Cheap, while that is nobody."""
        if self._next_at <= self._now():
            self._do_due(self._now())

    async def serve(self) -> None:
        """Warn and end in time, for ever."""
        while True:
            self.enforce()
            if self._errands:
                self._run_errands()
                await trio.lowlevel.checkpoint()
                continue
            left = self._next_at - self._now()
            with trio.CancelScope() as self._sleep:
                if left < math.inf:
                    self._sleep.deadline = trio.current_time() + min(max(left, 0.0), LOOK_SECONDS)
                await trio.sleep_forever()

    def _run_errands(self) -> None:
        try:
            for _ in range(min(len(self._errands), ERRANDS_PER_PASS)):
                self._begun += 1
                self._errands.popleft()()
        finally:
            self._progress.set()
            self._progress = trio.Event()

    def _throw_out(self, bearer: Bearer, code: CloseCode) -> None:
        bearer.silence()
        self._ask(partial(bearer.end, code))

    def _ask(self, errand: Callable[[], object]) -> None:
        self._errands.append(errand)
        self._sleep.cancel()

    def _warn_at(self, claims: Claims, now: float) -> float:
        left = claims.expires_at - now
        # At once for a short token would be at once again for the one it is renewed with.
        return claims.expires_at - max(0.0, min(self._warning_seconds, left / 2))

    def _enter(self, bearer: Bearer) -> None:
        claims = bearer.claims
        self._by_user.setdefault(self._user_of(bearer), {})[bearer] = None
        if claims.token_id is not None:
            self._by_token.setdefault(claims.token_id, {})[bearer] = None
        if len(self._due) > 2 * len(self._by_connection) + STALE_AT_LEAST:
            self._due = [due for due in self._due if due[1] in self._entered]
            heapq.heapify(self._due)
        self._push(bearer)
        if self._due[0][1] == bearer.entry:
            self._next_at = bearer.due
            self._sleep.cancel()

    def _leave(self, bearer: Bearer) -> None:
        claims = bearer.claims
        _drop(self._by_user, self._user_of(bearer), bearer)
        if claims.token_id is not None:
            _drop(self._by_token, claims.token_id, bearer)
        self._entered.pop(bearer.entry, None)  # not there while it is being thrown out

    def _user_of(self, bearer: Bearer) -> str:
        return self._revocations.one_user(bearer.claims.subject)

    def _push(self, bearer: Bearer) -> None:
        bearer.entry = next(self._numbers)
        self._entered[bearer.entry] = bearer
        heapq.heappush(self._due, (bearer.due, bearer.entry))

    def _do_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, entry = heapq.heappop(self._due)
            bearer = self._entered.pop(entry, None)
            if bearer is None:
                continue  # it has another token since, or is gone
            if bearer.claims.expires_at <= now:
                self._throw_out(bearer, CloseCode.TOKEN_EXPIRED)
            else:
                bearer.warn_at = math.inf
                self._push(bearer)
                self._ask(bearer.warn)
        self._next_at = self._due[0][0] if self._due else math.inf


def _drop(index: dict[str, dict[Bearer, None]], key: str, bearer: Bearer) -> None:
    bearers = index[key]
    del bearers[bearer]
    if not bearers:
        del index[key]


def bearers_spec(bearers: Bearers) -> ChildSpec[Any]:
    """The actor's recipe; nobody sends it anything. A crash forgets nobody."""
    return ChildSpec(id="bearers", start=serve_bearers, args=(bearers,))


async def serve_bearers(
    _inbox: Inbox[Any],  # Any: nobody sends it anything
    bearers: Bearers,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Serve until told to stop, which is after the last connection."""
    task_status.started()
    await bearers.serve()
