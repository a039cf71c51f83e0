"""The archive: the only actor that writes history.

Publishes of all rooms that wait at the same time are stored by one transaction (group commit). The
loop only sorts what comes in; one task commits, a few more read, so reads never hold up a commit.
Trouble of the store is an answer (`StoreUnavailable`), never a crash; the log tells it once, and
`StoreHealth` as long as it lasts.
"""

import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from greenroom.actors.archive.backlog import Backlog, Group
from greenroom.actors.archive.reading import read_bounded
from greenroom.actors.archive.retention import prune_forever
from greenroom.actors.archive.watermarks import Watermarks
from greenroom.actors.callbacks.feed import CallbackFeed
from greenroom.actors.health import StoreHealth
from greenroom.actors.ports import (
    Committed,
    Head,
    KeyConflict,
    MessageStore,
    NewMessage,
    StoredMessage,
    StoreUnavailable,
)
from greenroom.actors.services import CastLimits, Services
from greenroom.supervisor import ActorCrashed, ChildSpec, Envelope, Inbox, ReplyTo, Request

T = TypeVar("T")

FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0
"""Without a publish; then watermarks are stored, and a store in trouble is tried."""
MARK_SECONDS: Final = 1.0
"""Commits that mark are so far apart: a mark costs a statement for each room."""
QUIET_PROBE_SECONDS: Final = 10.0
"""A store that nobody asked for so long is tried too."""
SETTLE_ROWS: Final = 500
MOST_READS_WAITING: Final = 1_000  # 50 s of work at 20 ms a read: later answers help nobody


class OutOfOrder(Exception):
    """An earlier Store of the same writer was lost with the archive's last incarnation.

    Nothing was stored. Storing this one alone could put a sender's second message before its first.
    """


class Writer:
    """Names one incarnation of a room to the archive; compared by identity."""

    __slots__ = ("__weakref__",)


@attrs.frozen(kw_only=True)
class Store(Request[Sequence[Committed | KeyConflict]]):
    """Store these messages, of one room and in this order; the answer has one outcome for each.

    Fails with `StoreUnavailable` when the backlog is full or patience has ended, with `OutOfOrder`
    when it `continues` what this incarnation has not seen.
    """

    messages: Sequence[NewMessage]
    writer: Writer
    continues: bool
    """Whether an earlier Store of the same writer has no answer yet."""


@attrs.frozen(kw_only=True)
class Loaded:
    """Where a room stands, and its newest messages, oldest first."""

    head: Head
    recent: Sequence[StoredMessage]
    first: int
    """The oldest message that is still there."""


@attrs.frozen(kw_only=True)
class Load(Request[Loaded]):
    """Where does the room stand? Answered after everything that was asked to be stored before."""

    room: str
    recent: int
    """How many of the newest messages to bring along."""


@attrs.frozen(kw_only=True)
class Read(Request[Sequence[StoredMessage]]):
    """Read history, as `MessageStore.read`, but no more than about one answer can hold."""

    room: str
    after: int | None = None
    before: int | None = None
    limit: int
    wanted: Callable[[], bool] = lambda: True
    """Asked before each step; when nobody waits any more, the rest is skipped."""


@attrs.frozen(kw_only=True)
class Undispatched(Request[Sequence[StoredMessage]]):
    """What was accepted and not handed on, as `MessageStore.undispatched`."""

    after: int
    limit: int


ArchiveMessage = Store | Load | Read | Undispatched


def archive_spec(store: MessageStore, services: Services) -> ChildSpec[ArchiveMessage]:
    """The archive's recipe.

    Its inbox holds 1,000 messages; when it is full, rooms wait with sending: the loop empties it at
    once, so that lasts no longer than a pass of the scheduler.
    """
    return ChildSpec(
        id="archive",
        start=archive,
        args=(store, services),
        inbox_capacity=1_000,
        shutdown_seconds=services.limits.store_seconds + 1,
    )


async def archive(
    inbox: Inbox[ArchiveMessage],
    store: MessageStore,
    services: Services,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Rooms' batches -> backlog -> one transaction -> answers. Start reading here."""
    watermarks = services.watermarks
    try:
        async with trio.open_nursery() as nursery:
            desk = Desk(
                inbox.ref.path,
                store,
                nursery,
                limits=services.limits,
                health=services.commits,
                watermarks=watermarks,
                feed=CallbackFeed(inbox.supervisor, services),
            )
            nursery.start_soon(desk.commit_forever)
            nursery.start_soon(
                prune_forever,
                store,
                desk.writing,
                inbox.supervisor.supervisor("rooms"),
                services.limits,
                services.now_ms,
            )
            if inbox.incarnation == 1 and not watermarks.callbacks:
                nursery.start_soon(desk.settle_earlier_life)
            task_status.started()
            try:
                while True:
                    for envelope in await inbox.receive_batch(100):
                        desk.accept(envelope)
            finally:
                desk.abandon()
    finally:
        if inbox.stopping and watermarks:  # nobody is left to hand anything on
            with inbox.grace(ending=True), suppress(StoreUnavailable):
                await store.commit((), dispatched=watermarks.take())


class Readers:
    """Reads of one kind: so many run at a time, the others wait, and no other kind with them."""

    def __init__(self, at_once: int) -> None:
        self.turns = trio.CapacityLimiter(at_once)
        self.unanswered = set[ReplyTo]()


class Desk:
    """What one incarnation has taken in and not answered yet."""

    def __init__(
        self,
        path: str,
        store: MessageStore,
        nursery: trio.Nursery,
        *,
        limits: CastLimits,
        health: StoreHealth,
        watermarks: Watermarks,
        feed: CallbackFeed,
    ) -> None:
        self._path = path
        self._store = store
        self._limits = limits
        self._health = health
        self._watermarks = watermarks
        self._feed = feed
        self._nursery = nursery
        self._backlog = Backlog(limits)
        self._committing: Group | None = None
        self._loads = Readers(limits.loads_at_once)
        self._reads = Readers(limits.reads_at_once)
        self._writers = weakref.WeakSet[Writer]()
        self.writing = trio.Lock()
        """Held by whoever has the store write something."""
        self._asked_store_at = self._marked_at = trio.current_time()

    def accept(self, envelope: Envelope[ArchiveMessage]) -> None:
        """Sort one request in, or refuse it."""
        reply_to = envelope.reply_to
        if reply_to is None:
            raise TypeError(f"the archive is asked, not told: {envelope.message!r}")
        match envelope.message:
            case Store() as store:
                if store.continues and store.writer not in self._writers:
                    reply_to.fail(OutOfOrder())
                elif self._backlog.add_store(store.messages, reply_to, now=trio.current_time()):
                    self._writers.add(store.writer)
                else:
                    reply_to.fail(StoreUnavailable("the backlog is full"))
            case Load() as load:
                self._backlog.add_barrier(lambda: self._start_reading(load, reply_to))
            case Read() | Undispatched() as read:
                self._start_reading(read, reply_to)

    async def commit_forever(self) -> None:
        """Group after group: commit, answer, let those read who waited for it."""
        while True:
            await self._wait()
            group = self._committing = self._backlog.take()
            outcomes = await self._commit(group)
            self._committing = None
            self._feed.stored(outcomes)  # before the room hears it, and somebody comes or goes
            group.answer(outcomes)
            for go_on in group.barriers:
                go_on()

    async def _wait(self) -> None:
        """Return when something waits; until then do, once a second, what a pause is good for.

        Where something waits already, a pass later: by then those whose room has just been told
        have come along. Without that, the groups are smaller, and the node does less (many rooms).
        """
        while True:
            with trio.move_on_after(PAUSE_SECONDS):
                await self._backlog.wait()
                return
            await self._use_pause()

    async def _use_pause(self) -> None:
        """Store the watermarks, or see whether the store still takes writes.

        Without that, a node that is not ready because of its last commit would get no publishes,
        and so stay that way; and one to which nobody publishes would say that all is well.
        """
        quiet_seconds = trio.current_time() - self._asked_store_at
        if self._watermarks:
            await self._attempt(())
        elif not self._health.good or quiet_seconds >= QUIET_PROBE_SECONDS:
            with suppress(StoreUnavailable):
                await self._have_written(self._store.probe)

    async def _commit(self, group: Group) -> Sequence[Committed | KeyConflict] | StoreUnavailable:
        """One transaction; the same batch again while nobody knows whether it was stored.

        Patience counts from the oldest message, so after a long outage each group is tried once.
        """
        batch = group.messages
        if not batch:
            return ()
        give_up_at = group.since + self._limits.commit_patience_seconds
        delay = FIRST_RETRY_SECONDS
        while True:
            outcomes = await self._attempt(batch)
            if not isinstance(outcomes, StoreUnavailable):
                return outcomes
            if trio.current_time() + delay > give_up_at:
                return outcomes
            await trio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY_SECONDS)

    async def _attempt(
        self, batch: Sequence[NewMessage]
    ) -> Sequence[Committed | KeyConflict] | StoreUnavailable:
        """Ask the store once, and have it mark what was handed on meanwhile."""
        now = trio.current_time()
        dispatched: Mapping[str, Head] = {}
        if now >= self._marked_at + MARK_SECONDS or not batch:
            dispatched, self._marked_at = self._watermarks.take(), now
        try:
            return await self._have_written(
                partial(self._store.commit, batch, dispatched=dispatched)
            )
        except StoreUnavailable as trouble:
            self._watermarks.give_back(dispatched)
            return trouble

    async def _have_written(self, write: Callable[[], Awaitable[T]]) -> T:
        """Have the store write something when nobody else does, and note how that went."""
        if self.writing.locked():
            await self.writing.acquire()
        else:  # without the turn of the scheduler that `acquire` takes
            self.writing.acquire_nowait()
        try:
            answer = await write()
        except StoreUnavailable as trouble:
            self._health.failed(trouble)
            raise
        else:
            self._health.worked()
            return answer
        finally:
            self._asked_store_at = trio.current_time()
            self.writing.release()

    async def settle_earlier_life(self) -> None:
        """Call what an earlier life left at status 0 handed on: its members catch up by themselves.

        Meanwhile new rows may come along, and be marked a moment before their fan-out: nothing asks
        for that difference while there are no callbacks.
        """
        after = 0
        while True:
            try:
                rows = await self._store.undispatched(after=after, limit=SETTLE_ROWS)
            except StoreUnavailable:
                await trio.sleep(PAUSE_SECONDS)
                continue
            for row in rows:
                self._watermarks.fanned_out(row.room, Head(row.epoch, row.offset))
            if len(rows) < SETTLE_ROWS:
                return
            after = rows[-1].message_id

    def _start_reading(self, request: Load | Read | Undispatched, reply_to: ReplyTo) -> None:
        readers = self._loads if isinstance(request, Load) else self._reads
        if len(readers.unanswered) >= MOST_READS_WAITING:
            reply_to.fail(StoreUnavailable("too many reads wait"))
            return
        readers.unanswered.add(reply_to)
        self._nursery.start_soon(self._read, request, reply_to, readers)

    async def _read(
        self, request: Load | Read | Undispatched, reply_to: ReplyTo, readers: Readers
    ) -> None:
        async with readers.turns:
            try:
                match request:
                    case Load():
                        reply_to.reply(await self._load(request))
                    case Read():
                        reply_to.reply(await self._page(request))
                    case Undispatched(after=after, limit=limit):
                        reply_to.reply(await self._store.undispatched(after=after, limit=limit))
            except StoreUnavailable as trouble:
                reply_to.fail(trouble)
        readers.unanswered.discard(reply_to)

    async def _load(self, request: Load) -> Loaded:
        head = await self._store.head(request.room)
        if not head.offset or not request.recent:
            return Loaded(head=head, recent=(), first=1)
        recent = await read_bounded(
            self._store,
            request.room,
            before=head.offset + 1,
            limit=request.recent,
            max_bytes=self._limits.ring_bytes,
        )
        first = 1
        if not self._limits.keeps_all:
            oldest = await self._store.read(request.room, after=0, limit=1)
            first = oldest[0].offset if oldest else head.offset + 1
        return Loaded(head=head, recent=recent, first=first)

    async def _page(self, request: Read) -> Sequence[StoredMessage]:
        return await read_bounded(
            self._store,
            request.room,
            after=request.after,
            before=request.before,
            limit=request.limit,
            max_bytes=self._limits.answer_bytes,
            wanted=request.wanted,
        )

    def abandon(self) -> None:
        """This incarnation ends: whoever waits for an answer has to ask the next one."""
        error = ActorCrashed(self._path)
        groups = [self._backlog.take_all()]
        if self._committing is not None:
            groups.append(self._committing)
        for group in groups:
            group.fail(error)
        for reply_to in self._loads.unanswered | self._reads.unanswered:
            reply_to.fail(error)
