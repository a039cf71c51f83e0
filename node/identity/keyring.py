"""The keyring: which keys verify tokens now, and the actor that keeps it up to date.

Three sources: the node's own secret, files, and the issuer's address. Each of the latter two keeps
the keys that were last good while it is broken or away; fetched ones no longer than the settings
say. Whoever verifies reads `Keyring.keys`, which never waits. The keyring outlives its actor.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
import trio

from greenroom.node.identity.jwks import Fetch, JwksSchedule, JwksUnavailable, open_jwks
from greenroom.node.identity.key_files import (
    BadKeyFile,
    WatchedKeyFile,
    describe_key,
    open_key_files,
)
from greenroom.node.settings.keys import JwksUrl
from greenroom.node.settings.record import Settings
from greenroom.protocol import KeyRefused, KeySet, VerificationKey, read_jwks
from greenroom.supervisor import ChildSpec, Inbox

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.keys")

FILES_SECONDS: Final = 5.0
"""How often the files are looked at."""
FILES_ASKED_SECONDS: Final = 1.0
"""The same for tokens that name unknown keys."""
PATIENCE_SECONDS: Final = 6.0
"""How long somebody waits for newer keys: a little longer than a fetch may take."""


class Keyring:
    """The keys that are believed.

    Args:
        own: The node's own secret, and what else never changes.
        files: Files that have been read.
        schedule: When the issuer's address is asked; None: there is none.
        clock: In seconds, and only rising.
    """

    def __init__(
        self,
        own: Sequence[VerificationKey] = (),
        *,
        files: Sequence[WatchedKeyFile] = (),
        schedule: JwksSchedule | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._own = tuple(own)
        self._files = files
        self._schedule = schedule
        self._clock = clock
        self._document: bytes | None = None  # what was fetched
        self._fetched: tuple[VerificationKey, ...] = ()  # the keys in it
        self._trouble: str | None = None  # why the last fetch brought nothing
        self._files_at = -math.inf  # when they were looked at
        self._asked = trio.Event()  # somebody wants newer keys now
        self._looking = False
        self._looked = trio.Event()  # the look under way, or the next, is over
        self.keys = KeySet(self._all())
        """Those that verify now."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to keep up to date."""
        return bool(self._files) or self._schedule is not None

    @property
    def unsure(self) -> bool:
        """Whether a key that is not among `keys` may be one of the issuer's all the same."""
        return self._schedule is not None and not self._schedule.is_fresh(self._clock())

    async def refresh(self) -> None:
        """Look for newer keys, as somebody names one that is not known; see `Services`.

        At once where that was done a moment ago: anybody can name keys.
        """
        if not (self._looking or self._asked.is_set()):
            if not self._may_ask():
                await trio.lowlevel.checkpoint()
                return
            self._asked.set()
        with trio.move_on_after(PATIENCE_SECONDS):
            await self._looked.wait()

    async def serve(
        self,
        fetch: Fetch | None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep the keys up to date, for ever; started after the first look, whatever it brought."""
        await self._look(fetch)
        task_status.started()
        while True:
            with trio.move_on_at(self._next_at()):
                await self._asked.wait()
            await self._look(fetch)

    def _may_ask(self) -> bool:
        now = self._clock()
        return (self._schedule is not None and self._schedule.may_ask(now)) or (
            bool(self._files) and now - self._files_at >= FILES_ASKED_SECONDS
        )

    def _next_at(self) -> float:
        files_at = self._files_at + FILES_SECONDS if self._files else math.inf
        if self._schedule is None:
            return files_at
        stale_at = self._schedule.stale_at if self._fetched else math.inf
        return min(files_at, stale_at, self._schedule.next_at)

    async def _look(self, fetch: Fetch | None) -> None:
        asked, self._asked = self._asked.is_set(), trio.Event()
        self._looking = True
        try:
            changed = await self._look_at_files()
            if fetch is not None and self._schedule is not None:
                changed |= await self._look_at_address(fetch, self._schedule, asked=asked)
            if changed:
                self.keys = KeySet(self._all())
                log.info("keys of tokens", keys=[describe_key(key) for key in self.keys.keys])
        finally:
            self._looking = False
            self._looked.set()
            self._looked = trio.Event()

    async def _look_at_files(self) -> bool:
        changed = False
        for file in self._files:
            try:
                changed |= await trio.to_thread.run_sync(file.look, abandon_on_cancel=True)
            except BadKeyFile as trouble:
                log.warning("file of keys is no good: its last ones stay", detail=str(trouble))
            for note in file.notes:
                log.warning("file of keys", detail=note)
            file.notes = ()
        self._files_at = self._clock()
        return changed

    async def _look_at_address(self, fetch: Fetch, schedule: JwksSchedule, *, asked: bool) -> bool:
        """Fetch, if it is time to; whether other keys are good than before."""
        now = self._clock()
        if now < schedule.next_at and not (asked and schedule.may_ask(now)):
            return self._forget_stale(schedule)
        try:
            fetched = await fetch()
            read = read_jwks(fetched.document)
        except (JwksUnavailable, KeyRefused) as trouble:
            schedule.failed(self._clock())
            self._say_trouble(str(trouble))
            return self._forget_stale(schedule)
        schedule.worked(self._clock(), max_age=fetched.max_age)
        if self._trouble is not None:
            log.info("the issuer's keys can be fetched again")
        self._trouble = None
        if fetched.document == self._document:
            return False
        self._document, self._fetched = fetched.document, read.keys
        for line in read.refused:
            log.warning("the issuer's keys: one can't be used", detail=line)
        return True

    def _say_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("the issuer's keys can't be fetched: the last ones stay", detail=trouble)
        self._trouble = trouble

    def _forget_stale(self, schedule: JwksSchedule) -> bool:
        if not self._fetched or self._clock() < schedule.stale_at:
            return False
        self._document, self._fetched = None, ()
        log.error("the issuer's keys are too old: none is good until they can be fetched")
        return True

    def _all(self) -> tuple[VerificationKey, ...]:
        files = tuple(key for file in self._files for key in file.keys)
        return (*self._own, *files, *self._fetched)


def open_keyring(settings: Settings, own: Sequence[VerificationKey]) -> Keyring:
    """The keyring that the settings ask for, its files read.

    Raises:
        SettingsError: A file is no good.
    """
    schedule = JwksSchedule(settings.jwt_jwks_seconds, settings.jwt_jwks_stale_seconds)
    return Keyring(
        own,
        files=open_key_files(settings.jwt_keys),
        schedule=schedule if settings.jwt_jwks_url is not None else None,
    )


def keyring_spec(settings: Settings, keyring: Keyring) -> ChildSpec[Any] | None:
    """The recipe of the actor, to which nobody sends anything; None where nothing can change.

    A crash forgets no key.
    """
    if not keyring.changes:
        return None
    return ChildSpec(id="keys", start=_serve_keys, args=(keyring, settings.jwt_jwks_url))


async def _serve_keys(
    _inbox: Inbox[Any],  # Any: nobody sends it anything
    keyring: Keyring,
    url: JwksUrl | None,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Serve until told to stop, which is after the last connection."""
    if url is None:
        await keyring.serve(None, task_status=task_status)
        return
    async with open_jwks(url) as fetch:
        await keyring.serve(fetch, task_status=task_status)
