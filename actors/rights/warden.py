"""The warden: puts revocations in force at once, keeps them, and reads those of other processes.

What is in force stands in `Revocations`, who is in on which token in `Bearers`; both outlive this
actor, and so does the `Warden` itself, so that its crash forgets nothing. The store is the world
outside: while it is away revocations hold in this process, and are stored when it is back.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from greenroom.actors.health import StoreHealth
from greenroom.actors.ports import KeptRevocation, RevocationStore, StoreUnavailable
from greenroom.actors.rights.bearers import Bearers
from greenroom.actors.rights.revocations import Revocation, Revocations
from greenroom.supervisor import ChildSpec, Inbox, Ref

log = logging.getLogger("greenroom.actors.rights.warden")

LOOK_SECONDS: Final = 2.0
"""Between two looks for what other processes have written."""
OVERLAP_SECONDS: Final = 60.0
"""Rows seen within this time are read again: one with a lower number may have been under way, and
no transaction of ours may take nearly as long."""
PAGE: Final = 1_000
"""Rows that are read in one go."""
PATIENCE_SECONDS: Final = 5.0
"""How long whoever revokes waits to hear that it is stored; it goes on being tried for ever."""
RETRY_SECONDS: Final = 1.0


@attrs.frozen(kw_only=True)
class Revoked:
    """What became of a revocation. It is in force in this process in any case."""

    connections: int
    """So many were closed."""
    stored: bool
    """It survives a restart, and other nodes will hear of it. False: the store does not take it
    now; it goes on being tried as long as the process lives."""


class Warden:
    """Revokes, and keeps step with the store. Outlives the actor that serves it."""

    def __init__(
        self, revocations: Revocations, bearers: Bearers, now: Callable[[], float]
    ) -> None:
        self._revocations = revocations
        self._bearers = bearers
        self._now = now
        self._loaded = False
        self._untold: deque[Revocation] = deque()  # of which the registry has to hear
        self._to_tell = trio.Event()
        self._to_save = trio.Event()
        self._saved = trio.Event()  # replaced whenever something was
        self._seen: deque[tuple[float, int]] = deque([(0.0, 0)])  # (when, the highest row number)
        self._saving = StoreHealth("keep revocations")
        self._reading = StoreHealth("read revocations")

    async def revoke(self, revocation: Revocation) -> Revoked:
        """Put it in force, and wait until it is stored, or `PATIENCE_SECONDS` have passed.

        Cancellation:
            It is in force, and will be stored.
        """
        self._revocations.add(revocation)
        connections = self._apply(revocation)
        self._to_save.set()
        await self._bearers.settle()
        with trio.move_on_after(PATIENCE_SECONDS):
            while any(one.whom == revocation.whom for one in self._revocations.unsaved):
                await self._saved.wait()
            await trio.lowlevel.checkpoint()
        stored = all(one.whom != revocation.whom for one in self._revocations.unsaved)
        return Revoked(connections=connections, stored=stored)

    async def load(self, store: RevocationStore | None) -> None:
        """Read what is in force; until it is read, nobody may be let in.

        Does nothing after a crash of the actor: what was read is still there.
        """
        while not self._loaded:
            self._loaded = store is None or await self._look(store)
            if not self._loaded:
                await trio.sleep(RETRY_SECONDS)

    async def catch_up(self, store: RevocationStore) -> None:
        """Put in force at once what other processes have written by now.

        Raises:
            StoreUnavailable: It can't be read now.
        """
        if not await self._look(store):
            raise StoreUnavailable("revocations can't be read now")

    async def serve(self, store: RevocationStore | None, registry: Ref[Any]) -> None:
        """Tell, save and look, for ever. Without a store, all is forgotten with the process."""
        async with trio.open_nursery() as nursery:
            # The database may take its time; who waits for their clients is told of meanwhile.
            nursery.start_soon(self._tell, registry)
            if store is None:
                nursery.start_soon(self._keep_nothing)
            else:
                nursery.start_soon(self._keep_step, store)

    async def _tell(self, registry: Ref[Any]) -> None:
        while True:
            while self._untold:
                await registry.tell(self._untold[0])
                self._untold.popleft()
            self._to_tell = trio.Event()
            await self._to_tell.wait()

    async def _keep_step(self, store: RevocationStore) -> None:
        look_at = trio.current_time() + LOOK_SECONDS
        while True:
            self._to_save = trio.Event()
            saved = await self._save(store)
            now = trio.current_time()
            if now >= look_at:
                await self._look(store)
                self._revocations.expire(now=self._now())
                look_at = trio.current_time() + LOOK_SECONDS
            wake_at = look_at if saved else min(look_at, now + RETRY_SECONDS)
            with trio.CancelScope(deadline=wake_at):
                # What could not be saved is tried again then, and not for each that is added.
                await (self._to_save if saved else trio.Event()).wait()

    async def _keep_nothing(self) -> None:
        while True:
            self._to_save = trio.Event()
            self._say_saved(self._revocations.unsaved)
            await self._to_save.wait()

    async def _save(self, store: RevocationStore) -> bool:
        unsaved = self._revocations.unsaved
        if not unsaved:
            await trio.lowlevel.checkpoint()
            return True
        try:
            await store.save(unsaved, now_ms=int(self._now() * 1000))
        except StoreUnavailable as trouble:
            self._saving.failed(trouble)
            return False
        self._saving.worked()
        self._say_saved(unsaved)
        return True

    def _say_saved(self, revocations: Sequence[Revocation]) -> None:
        self._revocations.saved(revocations)
        self._saved.set()
        self._saved = trio.Event()

    async def _look(self, store: RevocationStore) -> bool:
        """Read what is new in the store and put it in force; False if that can't be now."""
        now = trio.current_time()
        while len(self._seen) > 1 and self._seen[1][0] <= now - OVERLAP_SECONDS:
            self._seen.popleft()
        after, page = self._seen[0][1], PAGE
        while page == PAGE:
            try:
                rows = await store.load(after=after, now_ms=int(self._now() * 1000), limit=PAGE)
            except StoreUnavailable as trouble:
                self._reading.failed(trouble)
                return False
            page = len(rows)
            if rows:
                after = rows[-1].number
                self._learn(rows)
        self._reading.worked()
        if after > self._seen[-1][1]:
            self._seen.append((now, after))
        return True

    def _learn(self, rows: Sequence[KeptRevocation]) -> None:
        news = self._revocations.learn(row.revocation for row in rows)
        if news and self._loaded:  # before, nobody is in
            ended = sum(self._apply(revocation) for revocation in news)
            log.info("%d revoked elsewhere, connections closed: %d", len(news), ended)

    def _apply(self, revocation: Revocation) -> int:
        self._untold.append(revocation)
        self._to_tell.set()
        return self._bearers.expel(revocation)


def warden_spec(
    warden: Warden, store: RevocationStore | None, *, store_seconds: float
) -> ChildSpec[Any]:
    """The actor's recipe; nobody sends it anything.

    It has started when what was revoked before is in force again: while the store is away, the
    node does not begin to accept clients.

    Args:
        warden: What it serves.
        store: Where revocations are kept; None: in memory only.
        store_seconds: How long the store may hold a call that nobody waits for any more.
    """
    return ChildSpec(
        id="warden",
        start=serve_warden,
        args=(warden, store),
        shutdown_seconds=store_seconds + 1,
    )


async def serve_warden(
    inbox: Inbox[Any],  # Any: nobody sends it anything
    warden: Warden,
    store: RevocationStore | None,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Serve until told to stop."""
    await warden.load(store)
    task_status.started()
    await warden.serve(store, inbox.supervisor.ref("registry"))
