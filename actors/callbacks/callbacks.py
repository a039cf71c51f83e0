"""Callbacks: an HTTP receiver hears what happens, in order per room, again and again until it does.

The path of a message: the archive has stored it -> its room's lane -> one request -> the receiver
has it, and the room's watermark rises. Until then its row has status 0, so neither a crash nor a
SIGKILL loses it, and however long the receiver is away, memory holds no more than a window.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import attrs
import trio

from greenroom.actors.archive.archive import Read, Undispatched
from greenroom.actors.callbacks.courier import (
    ASK_AGAIN_SECONDS,
    CallbackAdapters,
    Courier,
    Errand,
    LaneKey,
    ask_archive,
)
from greenroom.actors.callbacks.events import EventKind
from greenroom.actors.callbacks.feed import CallbackMessage, Happened, Stored
from greenroom.actors.callbacks.lane import Budget, Lane
from greenroom.actors.callbacks.plan import CallbackState
from greenroom.actors.ports import StoredMessage, StoreUnavailable
from greenroom.actors.services import Services
from greenroom.supervisor import Backoff, ChildSpec, Down, Inbox, Ref

SCAN_ROWS: Final = 200  # 6 MiB where all are as big as may be
MOST_ENDED: Final = 10_000


def callbacks_spec(
    services: Services, state: CallbackState, adapters: CallbackAdapters
) -> ChildSpec[CallbackMessage | Down]:
    """The recipe of the callbacks actor.

    Its inbox holds 10,000 messages. Nobody waits for a place there: see `CallbackFeed`.
    """
    return ChildSpec(
        id="callbacks",
        start=callbacks,
        args=(services, state, adapters),
        inbox_capacity=10_000,
        shutdown_seconds=state.plan.grace_seconds,
        redeliver_at_most=1,  # what was taken in already changes nothing the second time
        # However often it crashes, it must not spend the whole node's budget of restarts.
        backoff=Backoff(initial_seconds=0.1, factor=3.0, max_seconds=30.0),
    )


async def callbacks(
    inbox: Inbox[CallbackMessage | Down],
    services: Services,
    state: CallbackState,
    adapters: CallbackAdapters,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Sort what happens into lanes; each has a task while there is something in it. Start here."""
    async with trio.open_nursery() as nursery:
        dispatch = Dispatch(inbox, services, state, adapters, nursery)
        dispatch.resume()
        nursery.start_soon(dispatch.scan_forever)
        nursery.start_soon(dispatch.courier.replay_forever)
        task_status.started()
        while True:
            for envelope in await inbox.receive_batch(100):
                dispatch.accept(envelope.message)


@attrs.define(eq=False)
class Desk:
    """What outlives a crash of the actor: a crash must not lose what nobody can read again."""

    budget: Budget
    lanes: dict[LaneKey, Lane] = attrs.field(factory=dict[LaneKey, Lane])
    held: dict[LaneKey, None] = attrs.field(factory=dict[LaneKey, None])
    """Lanes of `lanes` that wait for the scan to find what comes before them."""
    ended: dict[LaneKey, int] = attrs.field(factory=dict[LaneKey, int])
    """How far lanes got that have ended, the latest ones last. The store hears of it later, so who
    finds a row there at status 0 looks here first."""


class Dispatch:
    """One incarnation's lanes and the requests under way."""

    def __init__(
        self,
        inbox: Inbox[CallbackMessage | Down],
        services: Services,
        state: CallbackState,
        adapters: CallbackAdapters,
        nursery: trio.Nursery,
    ) -> None:
        self._inbox = inbox
        self._state = state
        self._plan = state.plan
        self._nursery = nursery
        self._archive: Ref[Read | Undispatched] = inbox.supervisor.ref("archive")
        self.courier = Courier(inbox, services, state, adapters, self._archive)
        budget = Budget(state.plan.window_events, state.plan.window_bytes)
        self._desk: Desk = inbox.saved or Desk(budget)
        inbox.save(self._desk)
        self._scan_wanted = trio.Event()
        self._scanning = False
        self._place_free = trio.Event()

    # Begin, and begin again.

    def resume(self) -> None:
        """Go on with what an incarnation before had in its lanes; and look what else there is."""
        for key, lane in self._desk.lanes.items():
            lane.forget()
            if key not in self._desk.held:
                self._serve_soon(key, lane)
        self._rescan()

    def _rescan(self) -> None:
        """Messages may be in the history that nobody has told us of."""
        if self._state.wants(EventKind.MESSAGE):
            self._scanning = True
            self._scan_wanted.set()

    # What happens -> lanes.

    def accept(self, message: CallbackMessage | Down) -> None:
        """Sort one message in."""
        if self._state.missed:
            self._state.missed = False
            self._rescan()
        match message:
            case Stored(messages):
                for key, stored in groupby(messages, key=lambda row: (row.room, row.epoch)):
                    self._stored(key, tuple(stored))
            case Happened() as happened:
                self._happened(happened)
            case Down():  # what the archive had stored and not told us of
                self._rescan()
        self._count()

    def _stored(self, key: LaneKey, messages: Sequence[StoredMessage]) -> None:
        lane = self._lane(key, done=messages[0].offset - 1)
        if lane is None:
            self._rescan()
        else:
            lane.stored(messages)

    def _happened(self, happened: Happened) -> None:
        # Where messages are not called back, nobody has to wait for them.
        after = happened.after if self._state.wants(EventKind.MESSAGE) else 0
        lane = self._lane((happened.room, happened.epoch), done=after)
        if lane is None:
            self._state.dropped += len(happened.events)
        else:
            for event in happened.events:
                self._state.dropped += lane.happened(event, after=after)

    def _lane(self, key: LaneKey, *, done: int) -> Lane | None:
        """The lane of `key`, opened if need be; None if there is no place for it.

        While older messages of its room may not have been found yet, a new one is held.
        """
        lane = self._desk.lanes.get(key)
        if lane is not None:
            return lane
        known = self._desk.ended.get(key)
        hold = self._scanning and done > 0 and known is None
        # Half the places for those on hold: the scan that they wait for may need one itself.
        if hold and len(self._desk.held) >= self._plan.max_lanes // 2:
            return None
        lane = self._open(key, done=done if known is None else known)
        if lane is not None and hold:
            self._desk.held[key] = None
        elif lane is not None:
            self._serve_soon(key, lane)
        return lane

    def _open(self, key: LaneKey, *, done: int) -> Lane | None:
        if len(self._desk.lanes) >= self._plan.max_lanes:
            return None
        lane = Lane(budget=self._desk.budget, max_moments=self._plan.max_moments, done=done)
        self._desk.lanes[key] = lane
        self._desk.ended.pop(key, None)
        return lane

    # What nobody told us of -> lanes.

    async def scan_forever(self) -> None:
        """Find what was stored and not called back: by an earlier life, or while we were full."""
        held = self._desk.held
        while True:
            await self._scan_wanted.wait()
            self._scan_wanted = trio.Event()
            self._inbox.watch(self._archive)
            before = list(held)
            await self._scan()
            again = self._scan_wanted.is_set()
            for key in [key for key in before if key in held] if again else list(held):
                del held[key]
                self._serve_soon(key, self._desk.lanes[key])
            if not again:
                self._scanning = False

    async def _scan(self) -> None:
        after = 0
        while True:
            try:
                rows = await ask_archive(self._archive, Undispatched(after=after, limit=SCAN_ROWS))
            except StoreUnavailable:
                await trio.sleep(ASK_AGAIN_SECONDS)
                continue
            for row in rows:
                await self._found(row)
            if len(rows) < SCAN_ROWS:
                return
            after = rows[-1].message_id

    async def _found(self, row: StoredMessage) -> None:
        """See to it that the lane of `row` comes to it; wait while there is no place for one."""
        key = (row.room, row.epoch)
        while True:
            lane = self._desk.lanes.get(key)
            if lane is not None and key in self._desk.held:
                del self._desk.held[key]
                lane.rewind(row.offset - 1)
                self._serve_soon(key, lane)
            elif lane is None and (known := self._desk.ended.get(key, 0)) < row.offset:
                lane = self._open(key, done=known or row.offset - 1)
                if lane is None:
                    await self._place_free.wait()
                    continue
                self._serve_soon(key, lane)
            if lane is not None:
                lane.stored((row,), keep=False)
            return

    # Lanes -> receiver.

    def _serve_soon(self, key: LaneKey, lane: Lane) -> None:
        self._nursery.start_soon(self._serve, key, lane)

    async def _serve(self, key: LaneKey, lane: Lane) -> None:
        """Request after request, until the lane is empty; then it ends."""
        while not lane.idle:
            await self.courier.run(Errand(key, lane))
        del self._desk.lanes[key]
        if lane.done:
            self._desk.ended[key] = lane.done
            if len(self._desk.ended) > MOST_ENDED:
                del self._desk.ended[next(iter(self._desk.ended))]
        self._place_free.set()
        self._place_free = trio.Event()
        self._count()

    def _count(self) -> None:
        self._state.waiting = self._desk.budget.events
        self._state.rooms = len(self._desk.lanes)
