"""What one tree shares: the nursery of all its tasks, timers, hooks, randomness, and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, cast

import trio
from trio.lowlevel import enable_ki_protection

from ._actor import Actor, body_of_class
from ._core import Core
from ._names import Names
from ._reports import Hooks, Reporter
from ._specs import ChildSpec, SupervisorSpec
from ._timers import Clock

if TYPE_CHECKING:
    from ._supervisor import Supervisor


class Tree:
    """A root supervisor and all below it. Two trees share nothing."""

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        hooks: Hooks | None,
        random: Random | None,
        make_handle: Callable[[Core], Supervisor],
    ) -> None:
        self.make_handle = make_handle
        self.reporter = Reporter(hooks, self.fence)
        self.random = Random() if random is None else random  # noqa: S311  jitter, no secret
        self.clock = Clock(partial(self.reporter.fence, "a timer"))
        self.names = Names()
        self.token = trio.lowlevel.current_trio_token()
        self.dying = False
        """A KeyboardInterrupt, SystemExit or foreign Cancelled came out of a child: nothing is
        restarted."""
        self.started = False
        self.opened = trio.Event()
        """Set when the static children have started, or the tree has ended instead."""
        self.done = trio.Event()
        self.host = trio.CancelScope()
        """The host's body: it counts as the child that started last, so it goes first."""
        self.host_done = trio.Event()
        self._errors: list[BaseException] = []
        self._scope = trio.CancelScope()
        self.root = Core(self, spec, spec.id, copy_context(), None)

    def body_of(self, spec: ChildSpec[Any]) -> Callable[..., Awaitable[object]]:
        """Return the async function that is one life of such a child."""
        start = spec.start
        if isinstance(start, type):
            return body_of_class(cast("type[Actor[Any]]", start))
        return start

    def fence(self, error: BaseException) -> Exception | None:
        """Return the part of `error` that is a crash; what is none ends the tree."""
        if isinstance(error, Exception):
            return error
        crash: BaseException | None = None
        rest: BaseException | None = error
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            crash, rest = group.split(Exception)
        if rest is not None:
            if self.done.is_set():  # from a hook, called for somebody outside the tree
                raise rest
            self.dying = True
            self._errors.append(rest)
            if self._scope.cancel_called:
                self.root.hurry()  # the second demand to stop
            self._scope.cancel()
        return crash if isinstance(crash, Exception) else None

    @enable_ki_protection
    async def run(self) -> None:
        """Be the tree: the body of a task of its own in the host's nursery.

        All children live in one nursery that the host's cancellation does not reach, so that they
        can be stopped in order; `request_stop` is how the host's end gets in.
        """
        try:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as self.nursery:
                    self.clock.open(self.nursery)
                    try:
                        with self._scope:
                            await self.root.run(self._note_started)
                    except Exception as exc:  # noqa: BLE001  goes on, once the tasks have ended
                        self._errors.append(exc)
                    self.clock.close()
        except BaseException as exc:  # noqa: BLE001  raised by the host, not past its block
            self._errors.append(exc)
        finally:
            self.done.set()
            self.opened.set()

    def take_errors(self) -> list[BaseException]:
        """Return what the tree ended with, for its host to raise.

        Not raised in the tree's own task: the host's nursery, cancelled by that, would swallow a
        foreign Cancelled, and cancel the host's body out of turn.
        """
        errors, self._errors = self._errors, []
        return errors

    async def end_host(self) -> None:
        """Let the host's body end before the children do."""
        if self.started and not self.host_done.is_set():
            self.host.cancel()
            await self.host_done.wait()

    def request_stop(self) -> None:
        """Stop all children in order, each in its grace; the host's body, if it runs, goes on."""
        self.host_done.set()
        self._scope.cancel()

    def _note_started(self) -> None:
        self.started = True
        self.opened.set()

    @enable_ki_protection
    async def close(self) -> list[BaseException]:
        """Stop everything and wait for it, whatever happens meanwhile; return what did.

        A cancel or interrupt that arrives while the children stop ends their graces at once.
        """
        self.request_stop()
        errors: list[BaseException] = []
        cancelled = trio.current_effective_deadline() <= trio.current_time()
        while not self.done.is_set():
            try:
                with trio.CancelScope(shield=cancelled):
                    await self.done.wait()
            except BaseException as exc:  # noqa: BLE001  Cancelled, KeyboardInterrupt: goes on
                errors.append(exc)
                cancelled = True
                self.root.hurry()
        return errors
