"""One connection, from the first byte to the last: AUTH, reading, writing, heartbeats, the close.

Three tasks over one `Link`: only one reads, only one writes (a write that is cut off half way ends
the link, so no caller's cancellation may reach one), and one listens for silence. What the answers
mean, the owner knows.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import attrs
import trio

from greenroom.client._errors import seconds_to_wait
from greenroom.client._link import OPEN_SECONDS, Ending, Link, LinkEnded, open_link
from greenroom.client._request import AnyRequest, Repeatable
from greenroom.client._target import Connector, Target
from greenroom.protocol import (
    Answer,
    Auth,
    AuthOk,
    ClientMachine,
    CloseCode,
    Codec,
    Command,
    DecodeError,
    Error,
    ErrorCode,
    Heartbeat,
    HeartbeatClock,
    Join,
    Pulse,
    Refresh,
)

AUTH_SECONDS: Final = OPEN_SECONDS
"""Longest that the node may take to answer AUTH."""

SHORTEST_HEARTBEAT_SECONDS: Final = 1.0
"""However short a silence the node allows, it is not asked for a sign of life more often."""

OnAnswer: TypeAlias = Callable[[Answer], object]


class Owner(Protocol):
    """Who hears what happens on a connection. None of these may block."""

    def opened(self, auth: AuthOk) -> None:
        """The node knows who we are: commands may be sent."""

    def received(self) -> None:
        """Bytes came in."""

    def silent(self) -> None:
        """Nothing came in for a whole heartbeat interval."""

    def pushed(self, answer: Answer) -> None:
        """The node said something that answers no open command."""


class Connection:
    """One try to talk to the node; `run` it once."""

    def __init__(self, target: Target, *, connector: Connector, codec: Codec, owner: Owner) -> None:
        self._target = target
        self._connector = connector
        self._codec = codec
        self._owner = owner
        self._machine = ClientMachine[AnyRequest | OnAnswer](codec)
        self._outgoing = deque[bytes]()  # bounded by what waits for a reply, and TYPINGs
        self._echo: Heartbeat | None = None  # the answer to the latest HEARTBEAT, if still due
        self._writable = trio.Event()
        self._scope = trio.CancelScope()
        self._tasks: trio.Nursery | None = None
        self._clock: HeartbeatClock | None = None  # None until AUTH_OK, which sets its pace
        self._ending: Ending | None = None
        self._refusal: Ending | None = None  # the node's ERROR to our AUTH; a CLOSE should follow
        self._close_code = CloseCode.NORMAL

    async def run(self, token: str, session: str | None) -> Ending:
        """Connect, authenticate, talk until the end, close.

        Args:
            token: For AUTH.
            session: Of an earlier connection, to take it up again.
        """
        async with trio.open_nursery() as nursery:  # holds trio-websocket's reader
            link: Link | None = None
            try:
                with self._scope:
                    link = await open_link(
                        nursery,
                        self._target,
                        connector=self._connector,
                        codec=self._codec,
                        on_received=self._received,
                    )
                    await self._talk(link, Auth(token=token, session=session))
            except LinkEnded as ended:
                self._ending = self._ending or self._refused(ended.ending)
            finally:
                if link is not None:
                    await link.aclose(self._close_code)  # at once, when cancelled from outside
                nursery.cancel_scope.cancel()
        return self._ending or Ending(detail="the connection was lost")

    def end(self, ending: Ending, close_code: CloseCode = CloseCode.NORMAL) -> None:
        """Finish: say goodbye with `close_code`, if the connection ever opened."""
        if self._ending is None:
            self._ending = ending
            self._close_code = close_code
        self._scope.cancel()

    def lost(self) -> list[AnyRequest]:
        """The requests that were sent here and never answered, in the order of sending."""
        return [about for about in self._machine.lost() if not callable(about)]

    # Sending.

    def request(self, request: AnyRequest) -> int:
        """Send a request's command; gives the id under which to `forget` it."""
        return self._send_numbered(request.command, request)

    def ask(self, command: Auth | Refresh | Join, on_answer: OnAnswer) -> None:
        """Send a command that has to do with this connection only."""
        self._send_numbered(command, on_answer)

    @property
    def unsent(self) -> int:
        """Frames that wait to be written."""
        return len(self._outgoing)

    def forget(self, number: int) -> None:
        """Nobody waits for the reply to `number` any more."""
        self._machine.forget(number)

    def send(self, command: Command) -> None:
        """Send a command that has no reply; never blocks."""
        self._outgoing.append(self._codec.encode(command))
        self._writable.set()

    def _send_numbered(
        self, command: Auth | Refresh | Join | Repeatable, about: AnyRequest | OnAnswer
    ) -> int:
        number = self._machine.request(about)
        self.send(attrs.evolve(command, id=number))
        return number

    def start_soon(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Run `fn` beside the connection; it is cancelled when the connection ends."""
        if self._tasks is not None:
            self._tasks.start_soon(fn)

    # The tasks.

    async def _talk(self, link: Link, auth: Auth) -> None:
        authenticated = trio.Event()

        def on_auth(answer: Answer) -> None:
            if isinstance(answer, AuthOk):
                authenticated.set()
                seconds = max(answer.heartbeat_ms / 1000, SHORTEST_HEARTBEAT_SECONDS)
                clock = HeartbeatClock(now=trio.current_time(), interval_seconds=seconds)
                self._clock = clock
                tasks.start_soon(self._listen_for_silence, clock)
                self._owner.opened(answer)
            elif isinstance(answer, Error):
                self._refusal = _auth_refused(answer)

        async def watch_auth() -> None:
            with trio.move_on_after(AUTH_SECONDS):
                await authenticated.wait()
                return
            self.end(self._refusal or Ending(detail="the node did not answer AUTH"))

        async with trio.open_nursery() as tasks:
            self._tasks = tasks
            self.ask(auth, on_auth)
            tasks.start_soon(self._fenced, self._write, link)
            tasks.start_soon(watch_auth)
            await self._fenced(self._read, link)

    async def _fenced(self, fn: Callable[[Link], Awaitable[None]], link: Link) -> None:
        """Turn the end of the link into that of the connection, without an exception group."""
        try:
            await fn(link)
        except LinkEnded as ended:
            self.end(self._refused(ended.ending))

    def _refused(self, ending: Ending) -> Ending:
        """What a connection that ended thus says about our AUTH, if that was refused."""
        if self._refusal is None:
            return ending
        return attrs.evolve(self._refusal, close_code=ending.close_code)

    async def _read(self, link: Link) -> None:
        while True:
            frame = await link.receive()
            try:
                answer, about = self._machine.receive(frame)
            except DecodeError as error:
                if error.code is ErrorCode.UNKNOWN_TYPE:
                    continue  # a push of a later version
                unreadable = Ending(detail=f"the node sent what we cannot read: {error.detail}")
                self.end(unreadable, CloseCode.INVALID_DATA)
                return
            if about is None:
                self._take_push(answer)
            elif callable(about):
                about(answer)
            else:
                about.answer(answer)

    def _take_push(self, answer: Answer) -> None:
        if not isinstance(answer, Heartbeat):
            self._owner.pushed(answer)
        elif answer.echo is None:
            # One slot, not a queue: a node that floods us with them gets the latest answered.
            self._echo = Heartbeat(timestamp=_now_ms(), echo=answer.timestamp)
            self._writable.set()

    async def _write(self, link: Link) -> None:
        while True:
            await self._writable.wait()
            self._writable = trio.Event()
            while self._outgoing or self._echo is not None:
                if self._echo is not None:
                    frame, self._echo = self._codec.encode(self._echo), None
                else:
                    frame = self._outgoing.popleft()
                await link.send(frame)

    async def _listen_for_silence(self, clock: HeartbeatClock) -> None:
        while True:
            await trio.sleep_until(clock.next_at)
            match clock.poll(trio.current_time()):
                case Pulse.SEND_HEARTBEAT:
                    self.send(Heartbeat(timestamp=_now_ms()))
                case Pulse.UNREACHABLE:
                    self.send(Heartbeat(timestamp=_now_ms()))
                    self._owner.silent()
                case Pulse.GIVE_UP:
                    gone = Ending(detail="the node does not answer")
                    self.end(gone, CloseCode.NO_HEARTBEAT)
                case Pulse.NOTHING:
                    pass

    def _received(self) -> None:
        if self._clock is not None and self._ending is None:
            self._clock.received(trio.current_time())
            self._owner.received()


def _auth_refused(error: Error) -> Ending:
    return Ending(
        detail=f"the node refused AUTH: {error.message}",
        retry_after_seconds=seconds_to_wait(error),
        final=not error.temporary and error.code != ErrorCode.TOKEN_EXPIRED,
        token_expired=error.code == ErrorCode.TOKEN_EXPIRED,
    )


def _now_ms() -> int:
    """The time of day for a HEARTBEAT. The peer may show it; nothing here depends on it."""
    return time.time_ns() // 1_000_000
