"""One member of a load: joins its room, publishes when it is told to, and notes what comes.

It comes back when it is cut off, with `since`, and repeats what has no answer under the same keys:
what the protocol promises over a reconnect is part of what is measured.
"""

from collections.abc import Mapping
from random import Random
from typing import Final

import attrs
import trio

from greenroom.client import Connector, Target
from greenroom.node.load.numbering import Numbering
from greenroom.node.load.plan import Plan
from greenroom.node.load.record import Record
from greenroom.node.load.stamp import Stamper
from greenroom.node.load.wire import Wire, WireEnded, open_wire
from greenroom.protocol import (
    Ack,
    Answer,
    Auth,
    AuthOk,
    Codec,
    DecodeError,
    Drain,
    Error,
    Gap,
    Heartbeat,
    Join,
    JoinOk,
    Message,
    Position,
    Publish,
    ReconnectPolicy,
    Removed,
    drain_delay,
)

ANSWER_SECONDS: Final = 30.0
"""For AUTH_OK and JOIN_OK; then the connection counts as lost."""

CLIENT_NAME: Final = "greenroom load"
_AUTH_ID: Final = 1
_JOIN_ID: Final = 2


@attrs.frozen(kw_only=True)
class Surroundings:
    """What all members of a run share."""

    plan: Plan
    target: Target
    codec: Codec
    connector: Connector
    tokens: Mapping[int, str] = attrs.field(repr=False)
    """Of each member, by its number."""
    random: Random
    record: Record
    nursery: trio.Nursery
    """For tasks that write."""
    started_at: float
    """Zero of the run's clock, as `trio.current_time()`."""
    acknowledged: list[set[int]]
    """For each room the numbers that have an ACK: what its members must get."""

    def now_us(self) -> int:
        """Microseconds on the run's clock."""
        return round((trio.current_time() - self.started_at) * 1e6)


@attrs.frozen
class Sent:
    """A PUBLISH without an answer."""

    number: int
    due_us: int


class Member:
    """One connection, and the same one again after each loss."""

    def __init__(self, number: int, around: Surroundings) -> None:
        plan = around.plan
        self.number = number
        self.room_number = plan.room_of(number)
        self.gone = False
        """It can't be in its room any more."""
        self.seen = Numbering()
        self._around = around
        self._record = around.record
        self._room = plan.room(self.room_number)
        self._stamper = Stamper(plan.run, plan.size)
        self._policy = ReconnectPolicy(around.random)
        self._wire: Wire | None = None  # while in the room
        self._session: str | None = None
        self._told_seconds: float | None = None  # by a DRAIN, how long to wait
        self._visits = 0
        self._position: Position | None = None
        self._newest: bytes | None = None  # the last MESSAGE: the position, if anybody asks
        self._own_offsets = set[int]()
        self._open: dict[int, Sent] = {}  # {id: a PUBLISH}, in the order of sending
        self._last_id = _JOIN_ID

    @property
    def joined(self) -> bool:
        """Whether it is in its room now."""
        return self._wire is not None

    @property
    def entered(self) -> bool:
        """Whether it ever was."""
        return self._visits > 0

    async def live(self) -> None:
        """Be in the room until cancelled, then say goodbye."""
        due = self._around.started_at + self._around.plan.connect_at(self.number)
        await trio.sleep_until(due)
        while not self.gone:
            try:
                await self._visit(due)
            except WireEnded as ended:
                self._record.disconnects[ended.reason] += 1
                self.gone = ended.final
                if not self.gone:
                    told, self._told_seconds = self._told_seconds, None
                    now = trio.current_time()
                    await trio.sleep(self._policy.disconnected(now, told_seconds=told))

    def publish(self, number: int, due_us: int) -> None:
        """Send the message of that number, now or when we are back."""
        self._record.sent += 1
        self.seen.see(number)
        self._last_id += 1
        self._open[self._last_id] = Sent(number, due_us)
        if self._wire is not None:
            self._send_publish(self._wire, self._last_id)

    # One connection.

    async def _visit(self, due: float) -> None:
        around = self._around
        wire = await open_wire(
            around.target,
            codec=around.codec,
            connector=around.connector,
            nursery=around.nursery,
            random=around.random,
        )
        try:
            await self._enter(wire, around.tokens[self.number])
            self._record.connected += 1
            if not self._visits:
                self._record.joined += 1
                self._record.connect.add(round((trio.current_time() - due) * 1e6))
            else:
                self._record.reconnects += 1
            self._visits += 1
            self._policy.connected(trio.current_time())
            self._wire = wire
            for number in self._open:
                self._send_publish(wire, number)
            while True:
                for payload in await wire.receive():
                    self._take(payload, wire)
        finally:
            if self._wire is not None:
                self._wire = None
                self._record.connected -= 1
            with trio.CancelScope(shield=True):  # bounded by itself
                await wire.aclose()

    async def _enter(self, wire: Wire, token: str) -> None:
        """AUTH and JOIN; the second does not wait for the first."""
        codec = self._around.codec
        since = self._since()
        wire.send(
            codec.encode(Auth(id=_AUTH_ID, token=token, client=CLIENT_NAME, session=self._session))
        )
        wire.send(codec.encode(Join(id=_JOIN_ID, room=self._room, since=since)))
        with trio.move_on_after(ANSWER_SECONDS):
            inside = False
            while not inside:
                for payload in await wire.receive():
                    inside = self._welcome(self._decode(payload), wire) or inside
            return
        raise WireEnded("no answer in time")

    def _welcome(self, answer: Answer, wire: Wire) -> bool:
        match answer:
            case JoinOk():
                self._position = Position(answer.epoch, answer.offset)
                self._newest = None
                self._own_offsets.clear()
                for message in answer.messages:
                    self._recovered(message)
                return True
            case Error(id=number, code=code, temporary=temporary):
                self._record.errors[code] += 1
                if number == _JOIN_ID:  # a refused AUTH is closed with a code that says more
                    raise WireEnded(f"JOIN refused ({code})", final=not temporary)
            case AuthOk(session=session):
                self._session = session
            case Message():
                self._recovered(answer)
            case _:
                self._heed(answer, wire)
        return False

    # What comes in.

    def _take(self, payload: bytes, wire: Wire) -> None:
        found = self._stamper.find(payload)
        if found is None:
            self._heed(self._decode(payload), wire)
        else:
            self._newest = payload
            self._delivered(*found)

    def _delivered(self, number: int, due_us: int) -> None:
        record = self._record
        if self.seen.see(number):
            record.delivered += 1
            record.delivery.add(due_us, self._around.now_us() - due_us)
        elif self._visits < 2 or not self._is_own(number):
            # After a reconnect the own messages of the connection before are somebody else's.
            record.doubled += 1

    def _recovered(self, message: Message) -> None:
        """A message of a JOIN_OK, among which are our own."""
        found = self._stamper.find(message.content.encode())
        if found is not None and not self._is_own(found[0]):
            self._delivered(*found)

    def _heed(self, answer: Answer, wire: Wire) -> None:
        record = self._record
        match answer:
            case Ack():
                sent = self._open.pop(answer.id, None)
                if sent is not None:
                    record.acknowledged += 1
                    record.ack.add(sent.due_us, self._around.now_us() - sent.due_us)
                    self._around.acknowledged[self.room_number].add(sent.number)
                    self._own_offsets.add(answer.offset)
            case Error():
                record.errors[answer.code] += 1
                if answer.id is not None and self._open.pop(answer.id, None) is not None:
                    record.refused += 1
            case Gap():
                record.gaps += 1
                self._position = Position(answer.epoch, answer.to_offset)
                self._newest = None
            case Heartbeat(timestamp=timestamp, echo=None):
                beat = Heartbeat(timestamp=timestamp, echo=timestamp)
                wire.send(self._around.codec.encode(beat))
            case Message():
                record.other += 1
            case Removed():
                raise WireEnded("removed from the room", final=True)
            case Drain():
                self._told_seconds = drain_delay(
                    answer.after_ms, answer.spread_ms, self._around.random
                )
            case _:
                pass

    # Small things.

    def _send_publish(self, wire: Wire, id: int) -> None:
        sent = self._open[id]
        content = self._stamper.write(sent.number, sent.due_us)
        key = f"{self._around.plan.run}-{sent.number}"
        wire.send(
            self._around.codec.encode(Publish(id=id, room=self._room, key=key, content=content))
        )

    def _since(self) -> Position | None:
        """The position of the protocol: the last MESSAGE, and our own that follow it directly."""
        position = self._position
        if self._newest is not None:
            newest = self._decode(self._newest)
            if isinstance(newest, Message):
                position = Position(newest.epoch, newest.offset)
        if position is None:
            return None
        offset = position.offset
        while offset + 1 in self._own_offsets:
            offset += 1
        return Position(position.epoch, offset)

    def _is_own(self, number: int) -> bool:
        plan = self._around.plan
        return plan.sender_of(number * plan.rooms + self.room_number) == self.number

    def _decode(self, payload: bytes) -> Answer:
        try:
            return self._around.codec.decode_answer(payload)
        except DecodeError as error:
            raise WireEnded(f"undecodable: {error.detail}") from None
