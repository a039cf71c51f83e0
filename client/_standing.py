"""The client's state: it moves by the protocol's table only, and everybody is told."""

import trio

from greenroom.client._status import Broadcast, Status
from greenroom.protocol import Event, State, next_state


class Standing:
    """The present `Status` of one client."""

    def __init__(self) -> None:
        self.status = Status(state=State.DISCONNECTED)
        self.changes = Broadcast[Status]()
        self._changed = trio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it is over for good."""
        return self.status.state is State.CLOSED

    @property
    def has_socket(self) -> bool:
        """Whether there is an authenticated connection."""
        return self.status.state in {State.CONNECTED, State.UNREACHABLE}

    async def wait_change(self) -> None:
        """Wait until `status` is another."""
        await self._changed.wait()

    def move(
        self,
        event: Event,
        *,
        detail: str = "",
        close_code: int | None = None,
        retry_at: float | None = None,
    ) -> None:
        """Go where `event` leads from here; the rest is told along with it.

        Raises:
            TransitionError: It can't happen in this state; a bug of ours.
        """
        state = next_state(self.status.state, event)
        self._set(Status(state=state, detail=detail, close_code=close_code, retry_at=retry_at))
        if state is State.CLOSED:
            self.changes.end()

    def received(self) -> None:
        """Any bytes end UNREACHABLE. Called for every read, so nearly always nothing happens."""
        if self.status.state is State.UNREACHABLE:
            self.move(Event.RECEIVED)

    def retrying(self) -> None:
        """The wait is over and a try begins; until it succeeds, the last trouble stays told."""
        self._set(Status(state=self.status.state, detail=self.status.detail))

    def _set(self, status: Status) -> None:
        if status == self.status:
            return
        self.status = status
        self.changes.tell(status)
        self._changed.set()
        self._changed = trio.Event()
