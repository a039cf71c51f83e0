"""The archive: the only actor that writes history.

Publishes of all rooms that wait at the same time are stored by one transaction (group commit). The
loop only sorts what comes in; one task commits, a few more read, so reads never hold up a commit.
Trouble of the store is an answer (`StoreUnavailable`), never a crash; the log tells it once, and
`StoreHealth` as long as it lasts.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from greenroom.actors.backlog import Backlog, Group
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
from greenroom.actors.reading import read_bounded
from greenroom.actors.services import CastLimits
from greenroom.supervisor import ActorCrashed, ChildSpec, Envelope, Inbox, ReplyTo, Request

FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 1.0
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


ArchiveMessage = Store | Load | Read


def archive_spec(
    store: MessageStore, limits: CastLimits, health: StoreHealth
) -> ChildSpec[ArchiveMessage]:
    """The archive's recipe.

    Its inbox holds 1,000 messages; when it is full, rooms wait with sending: the loop empties it at
    once, so that lasts no longer than a pass of the scheduler.
    """
    return ChildSpec(
        id="archive", start=archive, args=(store, limits, health), inbox_capacity=1_000
    )


async def archive(
    inbox: Inbox[ArchiveMessage],
    store: MessageStore,
    limits: CastLimits,
    health: StoreHealth,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Rooms' batches -> backlog -> one transaction -> answers. Start reading here."""
    async with trio.open_nursery() as nursery:
        desk = Desk(inbox.ref.path, store, limits, health, nursery)
        nursery.start_soon(desk.commit_forever)
        task_status.started()
        try:
            while True:
                for envelope in await inbox.receive_batch(100):
                    desk.accept(envelope)
        finally:
            desk.abandon()


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
        limits: CastLimits,
        health: StoreHealth,
        nursery: trio.Nursery,
    ) -> None:
        self._path = path
        self._store = store
        self._limits = limits
        self._health = health
        self._nursery = nursery
        self._backlog = Backlog(limits)
        self._committing: Group | None = None
        self._loads = Readers(limits.loads_at_once)
        self._reads = Readers(limits.reads_at_once)
        self._writers = weakref.WeakSet[Writer]()

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
            case Read() as read:
                self._start_reading(read, reply_to)

    async def commit_forever(self) -> None:
        """Group after group: commit, answer, let those read who waited for it."""
        while True:
            await self._wait()
            group = self._committing = self._backlog.take()
            outcomes = await self._commit(group)
            self._committing = None
            group.answer(outcomes)
            for go_on in group.barriers:
                go_on()

    async def _wait(self) -> None:
        """Return when something waits; until then, see whether the store's trouble is over.

        Without that, a node that is not ready because of its last commit would get no publishes,
        and so stay that way.
        """
        while not self._health.good:
            with trio.move_on_after(PROBE_SECONDS):
                await self._backlog.wait()
                return
            try:
                await self._store.probe()
            except StoreUnavailable as trouble:
                self._health.failed(trouble)
            else:
                self._health.worked()
        await self._backlog.wait()

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
            try:
                outcomes = await self._store.commit(batch)
            except StoreUnavailable as trouble:
                self._health.failed(trouble)
                if trio.current_time() + delay > give_up_at:
                    return trouble
            else:
                self._health.worked()
                return outcomes
            await trio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY_SECONDS)

    def _start_reading(self, request: Load | Read, reply_to: ReplyTo) -> None:
        readers = self._loads if isinstance(request, Load) else self._reads
        if len(readers.unanswered) >= MOST_READS_WAITING:
            reply_to.fail(StoreUnavailable("too many reads wait"))
            return
        readers.unanswered.add(reply_to)
        self._nursery.start_soon(self._read, request, reply_to, readers)

    async def _read(self, request: Load | Read, reply_to: ReplyTo, readers: Readers) -> None:
        async with readers.turns:
            try:
                reply_to.reply(
                    await self._load(request)
                    if isinstance(request, Load)
                    else await self._page(request)
                )
            except StoreUnavailable as trouble:
                reply_to.fail(trouble)
        readers.unanswered.discard(reply_to)

    async def _load(self, request: Load) -> Loaded:
        head = await self._store.head(request.room)
        if not head.offset or not request.recent:
            return Loaded(head=head, recent=())
        recent = await read_bounded(
            self._store,
            request.room,
            before=head.offset + 1,
            limit=request.recent,
            max_bytes=self._limits.ring_bytes,
        )
        return Loaded(head=head, recent=recent)

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
