"""`Actor`: a class for each kind of actor, an instance for each incarnation.

Sugar over the async function, which is the primitive.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, TypeVar

import trio

from ._errors import RequestExpired, UnhandledMessage
from ._inbox import Inbox
from ._messages import DeadLetterReason
from ._strategy import Exit

M = TypeVar("M")
F = TypeVar("F", bound=Callable[..., object])

_HANDLES = "_greenroom_handles"

# Any: (actor, message) -> reply, of types the table does not know
Handler = Callable[[Any, Any], Any]


def handles(*message_types: type) -> Callable[[F], F]:
    """Mark a method, sync or async, as the handler of these message types.

    Its return value is the reply to a `Request`, unless the method has answered or taken the reply
    itself. A method that receives from the inbox takes the reply first: the next receive ends the
    request in hand. Subclasses of a message type go to its handler if they have none of their own.
    """

    def mark(method: F) -> F:
        setattr(method, _HANDLES, message_types)
        return method

    return mark


class Actor(Generic[M]):
    """Base of actors written as classes.

    A new instance is made, as `cls(*spec.args)`, for every incarnation, so a crash forgets its
    attributes. Set up what does not await in `__init__`, the rest in `started`.
    """

    inbox: Inbox[M]
    """Set after `__init__` and before `started`."""

    _handlers: ClassVar[dict[type, tuple[Handler, bool]]] = {}  # {message type: (method, is async)}
    _stop_requested = False

    def __init_subclass__(cls, **kwargs: Any) -> None:  # Any: as object.__init_subclass__
        super().__init_subclass__(**kwargs)
        cls._handlers = dict(cls._handlers)
        for method in vars(cls).values():
            for message_type in getattr(method, _HANDLES, ()):
                cls._handlers[message_type] = (method, inspect.iscoroutinefunction(method))

    async def started(self) -> Any:  # Any: whatever start_child_with_value is to return
        """Get ready to work; the start is reported when this returns, together with its value.

        An exception here fails the start; `Ignore` leaves the child out.
        """

    async def stopping(self, exit_: Exit) -> None:
        """Clean up, in the grace: shielded, and cancelled after `shutdown_seconds`.

        Called once `started` had been, with `NORMAL` after `stop()`, `STOPPED` when the supervisor
        stops the actor, `CRASHED` when a handler raised.
        """

    async def unhandled(self, message: M) -> Any:  # Any: a reply
        """Take a message no handler is for: a dead letter; an asker gets `UnhandledMessage`."""
        error = UnhandledMessage(self.inbox.ref.path, type(message).__qualname__)
        self.inbox.bury(DeadLetterReason.UNHANDLED, error)

    def stop(self) -> None:
        """End normally after the message in hand."""
        self._stop_requested = True

    def snapshot(self) -> Any:  # Any: the actor's own kind of state
        """Return what the next incarnation starts from; called after each message if overridden."""

    def restore(self, state: Any) -> None:
        """Take what `snapshot` last returned; called before `started`, if there was one."""

    async def _live(self, task_status: trio.TaskStatus[Any]) -> None:
        inbox = self.inbox
        cls = type(self)
        keeps_state = cls.snapshot is not Actor.snapshot
        if keeps_state and inbox.saved is not None:
            self.restore(inbox.saved)
        task_status.started(await self.started())
        how = Exit.STOPPED
        try:
            while not self._stop_requested:
                await self._handle(await inbox.receive())
                if keeps_state:
                    inbox.save(self.snapshot())
            inbox.done()
            how = Exit.NORMAL
        except Exception:
            how = Exit.CRASHED
            raise
        finally:
            if cls.stopping is not Actor.stopping:
                inbox.keep_hand()
                with inbox.grace(ending=True):
                    await self.stopping(how)

    async def _handle(self, message: M) -> None:
        request = self.inbox.request()  # the handler may receive another: that one is not answered
        handler = self._handlers.get(type(message)) or self._inherited(type(message))
        try:
            if handler is None:
                answer = await self.unhandled(message)
            elif handler[1]:
                answer = await handler[0](self, message)
            else:
                answer = handler[0](self, message)
        except RequestExpired:
            if request is None or request.deadline > trio.current_time():
                raise
            return  # nobody waits for this answer any more: no crash
        if request is not None:
            request.answer(answer)

    def _inherited(self, message_type: type) -> tuple[Handler, bool] | None:
        for base in message_type.__mro__[1:]:
            handler = self._handlers.get(base)
            if handler is not None:
                self._handlers[message_type] = handler  # found at once next time
                return handler
        return None


def body_of_class(cls: type[Actor[Any]]) -> Callable[..., Awaitable[object]]:
    """Return the async function whose every call is one life of an instance of `cls`."""

    async def body(inbox: Inbox[Any], *args: Any, task_status: trio.TaskStatus[Any]) -> None:
        actor = cls(*args)
        actor.inbox = inbox
        await actor._live(task_status)

    return body
