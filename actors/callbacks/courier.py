"""The courier: takes one request to the receiver, with as many attempts as it takes.

Delivered, refused, or given up when patience ends: one of the three, and only then does the lane go
on. Dead letters that somebody wants sent again go the same way.
"""

import math
from contextlib import suppress
from random import Random
from typing import Any, Final, TypeVar

import attrs
import trio

from greenroom.actors.archive.archive import Read, Undispatched
from greenroom.actors.callbacks.events import callback_of
from greenroom.actors.callbacks.feed import NO_ROOM
from greenroom.actors.callbacks.lane import Batch, Lane
from greenroom.actors.callbacks.plan import CallbackState
from greenroom.actors.callbacks.ports import (
    Callback,
    CallbackSink,
    DeadCallback,
    DeadCallbacks,
    DeadCallbacksFull,
    SinkRefused,
    SinkUnavailable,
)
from greenroom.actors.ports import Head, StoreUnavailable
from greenroom.actors.services import Services
from greenroom.supervisor import ActorCrashed, ActorStopped, Inbox, NoReply, Ref, Request

R = TypeVar("R")

ASK_AGAIN_SECONDS: Final = 1.0
"""After the archive could not read."""
REPLAY_AT_ONCE: Final = 10

LaneKey = tuple[str, str]
"""(room, epoch)."""


@attrs.frozen(kw_only=True)
class CallbackAdapters:
    """What `node` brings: the receiver, and the dead-letter list."""

    sink: CallbackSink
    dead: DeadCallbacks


@attrs.define
class Errand:
    """One request and how it has fared so far."""

    key: LaneKey
    lane: Lane
    attempts: int = 0
    first_failed_ms: int = 0
    give_up_at: float = math.inf


def retry_delay(
    attempt: int, *, first: float, last: float, random: Random, wish: float = 0.0
) -> float:
    """Seconds to wait after failed attempt 1, 2, 3, ...; at least what the receiver wishes."""
    delay = min(last, first * 2.0 ** min(attempt - 1, 30))
    return max(wish, delay * (1 - random.random() / 2))


async def ask_archive(archive: Ref[Read | Undispatched], request: Request[R]) -> R:
    """Ask the archive.

    Raises:
        StoreUnavailable: It can't read now, or has crashed over it.
    """
    try:
        return await archive.ask(request)
    except (ActorCrashed, ActorStopped, NoReply) as gone:
        raise StoreUnavailable("no archive") from gone


class Courier:
    """What carries requests for one incarnation: so many at a time."""

    def __init__(
        self,
        inbox: Inbox[Any],  # Any: this only takes its grace
        services: Services,
        state: CallbackState,
        adapters: CallbackAdapters,
        archive: Ref[Read | Undispatched],
    ) -> None:
        self._inbox = inbox
        self._services = services
        self._state = state
        self._plan = state.plan
        self._sink = adapters.sink
        self._dead = adapters.dead
        self._archive = archive
        self._turns = trio.CapacityLimiter(state.plan.in_flight)
        self._reading = trio.CapacityLimiter(1)  # the archive's turns are for those who chat

    async def run(self, errand: Errand) -> None:
        """One request, with as many attempts as it takes."""
        while True:
            async with self._turns:
                self._state.in_flight = self._turns.borrowed_tokens
                pause = await self._attempt(errand)
            self._state.in_flight = self._turns.borrowed_tokens
            if pause is None:
                return
            await trio.sleep(pause)

    async def _attempt(self, errand: Errand) -> float | None:
        """Send once; None when that is the end of it, else the seconds to wait before the next."""
        lane = errand.lane
        if lane.unread:
            try:
                await self._read(errand)
            except StoreUnavailable:
                return ASK_AGAIN_SECONDS
        batch = lane.batch(max_events=self._plan.max_events, max_bytes=self._plan.max_bytes)
        if batch is None:
            return None
        room, _ = errand.key
        callback = callback_of(
            batch.events, node=self._services.node, room=None if room == NO_ROOM else room
        )
        errand.attempts += 1
        self._state.retried += errand.attempts > 1
        with self._inbox.grace() as grace:  # a node that stops lets what is under way end
            try:
                await self._sink.deliver(callback, attempt=errand.attempts)
            except SinkRefused as refusal:
                if refusal.content and callback.events > 1:
                    lane.split()  # so that only what it is about is given up
                    return 0.0
                return await self._give_up(errand, batch, callback, refusal.reason)
            except SinkUnavailable as trouble:
                return await self._put_off(errand, batch, callback, trouble)
            self._state.delivered += callback.events
            self._state.worked()
            self._finish(errand, batch)
        return 0.0 if grace.cancelled_caught else None

    async def _read(self, errand: Errand) -> None:
        (room, epoch), lane = errand.key, errand.lane
        up_to = lane.head
        request = Read(room=room, after=lane.done, limit=lane.size or self._plan.max_events)
        async with self._reading:
            rows = await ask_archive(self._archive, request)
        gone = lane.read([row for row in rows if row.epoch == epoch], up_to=up_to)
        if gone:
            self._state.lost(room, gone)
            self._mark(errand)

    async def _put_off(
        self, errand: Errand, batch: Batch, callback: Callback, trouble: SinkUnavailable
    ) -> float | None:
        """Later, unless patience has ended."""
        now = trio.current_time()
        if not errand.first_failed_ms:
            errand.first_failed_ms = self._services.now_ms()
            errand.give_up_at = now + self._plan.patience_seconds
        self._state.failed(trouble.reason)
        if now >= errand.give_up_at:
            return await self._give_up(errand, batch, callback, trouble.reason)
        errand.lane.forget()
        return retry_delay(
            errand.attempts,
            first=self._plan.first_retry_seconds,
            last=self._plan.last_retry_seconds,
            random=self._services.random,
            wish=min(trouble.retry_after_seconds or 0.0, self._plan.longest_pause_seconds),
        )

    async def _give_up(
        self, errand: Errand, batch: Batch, callback: Callback, reason: str
    ) -> float | None:
        """Put it on the dead-letter list; while that takes nothing, nothing is given up."""
        dead = DeadCallback(
            callback=callback,
            reason=reason,
            attempts=errand.attempts,
            first_failed_ms=errand.first_failed_ms or self._services.now_ms(),
        )
        try:
            await self._dead.bury(dead)
        except (DeadCallbacksFull, StoreUnavailable) as trouble:
            self._state.stuck(f"{trouble}; {reason}")
            errand.lane.forget()
            return self._plan.last_retry_seconds
        self._state.gave_up(callback.events, reason)
        self._finish(errand, batch)
        return None

    def _finish(self, errand: Errand, batch: Batch) -> None:
        errand.lane.finish(batch)
        if batch.rows:
            self._mark(errand)

    def _mark(self, errand: Errand) -> None:
        room, epoch = errand.key
        self._services.watermarks.called_back(room, Head(epoch, errand.lane.done))

    # Dead letters -> receiver.

    async def replay_forever(self) -> None:
        """Send again what somebody has marked on the dead-letter list, oldest first."""
        while True:
            await trio.sleep(self._plan.replay_seconds)
            with suppress(StoreUnavailable):
                for dead in await self._dead.wanted(limit=REPLAY_AT_ONCE):
                    async with self._turns:
                        taken = await self._replay(dead)
                    if not taken:
                        break

    async def _replay(self, dead: DeadCallback) -> bool:
        """Whether the receiver has answered: if it has not, the others need not be tried now."""
        attempts = dead.attempts + 1
        with self._inbox.grace():
            try:
                await self._sink.deliver(dead.callback, attempt=attempts)
            except SinkUnavailable as trouble:
                self._state.failed(trouble.reason)
                return False
            except SinkRefused as refusal:
                await self._dead.bury(attrs.evolve(dead, reason=refusal.reason, attempts=attempts))
                return True
            await self._dead.resolve(dead.callback.id)
            self._state.replayed += dead.callback.events
            self._state.worked()
        return True
