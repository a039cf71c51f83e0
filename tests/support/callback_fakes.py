"""A receiver of callbacks and a dead-letter list in memory, with switches for trouble."""

import json

import attrs
import trio

from greenroom.actors.callbacks.courier import CallbackAdapters
from greenroom.actors.callbacks.plan import CallbackPlan, CallbackState
from greenroom.actors.callbacks.ports import DeadCallbacksFull, SinkRefused, SinkUnavailable
from greenroom.actors.ports import StoreUnavailable


class FakeSink:
    """Keeps what it took, in order."""

    def __init__(self) -> None:
        self.taken: list[dict] = []
        """Bodies of the requests that were taken."""
        self.asked: list[tuple[str, int, float]] = []
        """(id, attempt, when) of every request."""
        self.trouble: Exception | None = None
        self.fail_next = 0
        self.take_then_fail = 0
        """So many requests are taken, and then nobody hears of it."""
        self.refuses = lambda body: None
        self.delay_seconds = 0.0
        self.gate = trio.Event()
        self.gate.set()
        self.under_way = 0
        self.most_under_way = 0
        self.rooms_under_way: list[str | None] = []

    async def deliver(self, callback, *, attempt):
        body = json.loads(callback.body)
        self.asked.append((callback.id, attempt, trio.current_time()))
        assert body["room"] not in self.rooms_under_way, "two requests of one room at a time"
        self.rooms_under_way.append(body["room"])
        self.most_under_way = max(self.most_under_way, len(self.rooms_under_way))
        try:
            await trio.lowlevel.checkpoint()
            await trio.sleep(self.delay_seconds)
            await self.gate.wait()
        finally:
            self.rooms_under_way.remove(body["room"])
        if self.trouble is not None:
            raise self.trouble
        if self.fail_next:
            self.fail_next -= 1
            raise SinkUnavailable("answered 500")
        refusal = self.refuses(body)
        if refusal is not None:
            raise refusal
        self.taken.append(body)
        if self.take_then_fail:
            self.take_then_fail -= 1
            raise SinkUnavailable("the answer was lost")

    def events(self, room="*", kind="*"):
        """Everything taken about a room, in order, doubles included."""
        return [
            event
            for body in self.taken
            for event in body["events"]
            if room in ("*", body["room"]) and kind in ("*", event["type"])
        ]

    def offsets(self, room):
        return [event["offset"] for event in self.events(room, "message")]

    def said(self, room):
        return [event["content"] for event in self.events(room, "message")]


class FakeDead:
    """The dead-letter list."""

    def __init__(self) -> None:
        self.letters = {}
        self.marked: set[str] = set()
        self.full = False
        self.away = False

    async def _answer(self):
        await trio.lowlevel.checkpoint()
        if self.away:
            raise StoreUnavailable("away")

    async def bury(self, dead):
        await self._answer()
        if self.full and dead.callback.id not in self.letters:
            raise DeadCallbacksFull("full")
        self.letters[dead.callback.id] = dead
        self.marked.discard(dead.callback.id)

    async def wanted(self, *, limit):
        await self._answer()
        return [dead for id, dead in self.letters.items() if id in self.marked][:limit]

    async def resolve(self, id):
        await self._answer()
        del self.letters[id]
        self.marked.discard(id)


@attrs.define(eq=False)
class Receiver:
    """What `open_stage(callbacks=...)` wants."""

    state: CallbackState
    sink: FakeSink = attrs.field(factory=FakeSink)
    dead: FakeDead = attrs.field(factory=FakeDead)

    @property
    def adapters(self):
        return CallbackAdapters(sink=self.sink, dead=self.dead)


def receiver(**plan) -> Receiver:
    return Receiver(CallbackState(CallbackPlan(**plan)))


REFUSED = SinkRefused("answered 404")
BAD_CONTENT = SinkRefused("answered 422", content=True)
DOWN = SinkUnavailable("no answer")
