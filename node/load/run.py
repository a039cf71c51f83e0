"""A whole run: everybody in, messages as planned, the rest awaited, everybody out. Start here."""

import gc
import time
from collections.abc import Generator
from contextlib import contextmanager
from random import Random
from typing import Final, cast

import attrs
import trio

from greenroom.client import Connector, Target, connect_tcp
from greenroom.node.errors import NodeError
from greenroom.node.load.member import CLIENT_NAME, Member, Surroundings
from greenroom.node.load.plan import Plan
from greenroom.node.load.record import Record
from greenroom.node.load.tokens import TokenOf
from greenroom.node.load.wire import WireEnded, open_wire
from greenroom.protocol import Auth, AuthOk, Codec, DecodeError, Error, ErrorCode

SLICES: Final = 60
"""Points of the picture's line, and the shortest slice in seconds."""
SHORTEST_SLICE_SECONDS: Final = 0.25

PROBE_SECONDS: Final = 10.0
JOIN_SECONDS: Final = 60.0
"""How long after the ramp the last members may take to get in; then those who are in begin."""
QUIET_SECONDS: Final = 10.0
"""After the last message was sent: without a delivery for so long, the rest counts as missing."""
RETURN_SECONDS: Final = 35.0
"""The same while members are on their way back: their longest wait is 30 s."""
TOKENS_AT_ONCE: Final = 8
_LOOK_SECONDS: Final = 0.05
_CHECKPOINT_EVERY: Final = 32


@contextmanager
def one_error(kind: type[NodeError]) -> Generator[None]:
    """Let an error of that kind out of the groups that nurseries wrap it in."""
    try:
        yield
    except* kind as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = cast("BaseExceptionGroup[NodeError]", error).exceptions[0]
        failure = error
    else:
        return
    raise failure from failure.__cause__


class LoadError(NodeError):
    """There is no load to be had: the node is not there or lets nobody in."""


@attrs.frozen(kw_only=True)
class Result:
    """What a run came to."""

    plan: Plan
    record: Record
    missing: int
    """Acknowledged messages that a member did not get, summed over the members in their rooms."""
    absent: int
    """Members that were not in their room at the end."""
    interrupted: bool
    """It was told to end early."""
    ramp_seconds: float
    """From the first connection to the last JOIN_OK."""
    send_seconds: float
    """From the first message to the last."""
    whole_seconds: float
    """From the first message to the last delivery."""
    cpu_share: float
    """Of one core, that this process took while it sent: near 1 it measures itself."""

    @property
    def lost(self) -> bool:
        """Whether the node broke a promise, or members were lost: the exit code is 1 then."""
        return bool(self.missing or self.record.doubled or self.absent)


class Load:
    """One run. `record` and `phase` may be looked at meanwhile."""

    def __init__(
        self,
        plan: Plan,
        *,
        target: Target,
        codec: Codec,
        token: TokenOf,
        connector: Connector = connect_tcp,
        random: Random | None = None,
    ) -> None:
        self.plan = plan
        self.phase = "getting tokens"
        """In a word, for whoever looks."""
        slice_seconds = max(SHORTEST_SLICE_SECONDS, plan.seconds / SLICES)
        self.record = Record(slice_us=round(slice_seconds * 1e6))
        self._target = target
        self._codec = codec
        self._token = token
        self._connector = connector
        self._random = random or Random()  # noqa: S311 - masks and jitter are no secrets
        self._stop = trio.Event()
        self._tokens: dict[int, str] = {}
        self._members: list[Member] = []
        self._acknowledged: list[set[int]] = [set() for _ in range(plan.rooms)]
        self._last_news_at = 0.0
        self._started_at = 0.0
        self._sending_at = 0.0

    @property
    def now_us(self) -> int:
        """Microseconds since the run began, as the record's timelines count them."""
        return round((trio.current_time() - self._started_at) * 1e6)

    @property
    def sending_from_us(self) -> int:
        """When the first message was due, on the same clock."""
        return round((self._sending_at - self._started_at) * 1e6)

    def stop(self) -> None:
        """End in order, soon: what was sent is still awaited."""
        self._stop.set()

    async def run(self) -> Result:
        """Do what the plan says.

        Raises:
            LoadError: The node is not there, or does not let us in.
        """
        with one_error(NodeError):
            await self._get_tokens(1)
            await self._probe(self._tokens[0])
            await self._get_tokens(self.plan.connections)
            return await self._run()
        raise AssertionError("one_error lets nothing pass")  # pragma: no cover

    async def _get_tokens(self, count: int) -> None:
        """Have tokens for the first `count` members; the ramp is not to wait for them."""
        numbers = iter(range(len(self._tokens), count))

        async def get_some() -> None:
            for number in numbers:
                self._tokens[number] = await self._token(number)

        async with trio.open_nursery() as nursery:
            for _ in range(min(TOKENS_AT_ONCE, count)):
                nursery.start_soon(get_some)

    async def _run(self) -> Result:
        self.phase = "connecting"
        self._started_at = self._sending_at = trio.current_time()
        async with trio.open_nursery() as writers, trio.open_nursery() as nursery:
            around = Surroundings(
                plan=self.plan,
                target=self._target,
                codec=self._codec,
                connector=self._connector,
                tokens=self._tokens,
                random=self._random,
                record=self.record,
                nursery=writers,
                started_at=self._started_at,
                acknowledged=self._acknowledged,
            )
            self._members = [Member(number, around) for number in range(self.plan.connections)]
            for member in self._members:
                nursery.start_soon(member.live)
            await self._wait_joined()
            ramp_seconds = trio.current_time() - self._started_at
            self.phase = "sending"
            self._sending_at = trio.current_time()
            self.record.ack.zero_us = self.record.delivery.zero_us = self.sending_from_us
            gc.freeze()  # all that lives now lives on; a collection that looks at it takes 50 ms
            cpu = time.process_time()
            with trio.CancelScope() as sending:
                nursery.start_soon(self._cancel_on_stop, sending)
                if not self._stop.is_set():
                    await self._send()
            send_seconds = trio.current_time() - self._sending_at
            cpu = time.process_time() - cpu
            self.phase = "waiting for the rest"
            await self._wait_rest()
            result = Result(
                plan=self.plan,
                record=self.record,
                missing=sum(self._missing(m) for m in self._members if m.joined),
                absent=sum(map(self._is_absent, self._members)),
                interrupted=self._stop.is_set(),
                ramp_seconds=ramp_seconds,
                send_seconds=send_seconds,
                whole_seconds=self._last_news_at - self._sending_at,
                cpu_share=cpu / send_seconds if send_seconds else 0.0,
            )
            self.phase = "leaving"
            gc.unfreeze()
            nursery.cancel_scope.cancel()
            writers.cancel_scope.cancel()
        return result

    async def _probe(self, token: str) -> None:
        """Let one connection try, so that what keeps all of them out is said once and clearly."""
        where = self._target.authority
        codec = self._codec
        async with trio.open_nursery() as nursery:
            try:
                wire = await open_wire(
                    self._target,
                    codec=codec,
                    connector=self._connector,
                    nursery=nursery,
                    random=self._random,
                )
            except WireEnded as ended:
                raise LoadError(_complaint(where, ended)) from ended
            try:
                wire.send(codec.encode(Auth(id=1, token=token, client=CLIENT_NAME)))
                with trio.fail_after(PROBE_SECONDS):
                    payloads: list[bytes] = []
                    while not payloads:
                        payloads = await wire.receive()
                answer = codec.decode_answer(payloads[0])
            except (WireEnded, DecodeError, trio.TooSlowError) as error:
                raise LoadError(f"{where} does not answer AUTH ({error})") from error
            finally:
                await wire.aclose()
                nursery.cancel_scope.cancel()
        match answer:
            case AuthOk():
                pass
            case Error(code=ErrorCode.UNAUTHORIZED | ErrorCode.TOKEN_EXPIRED, message=message):
                raise LoadError(f"{where} does not take the token: {message}")
            case Error(message=message):
                raise LoadError(f"{where} refuses AUTH: {message}")
            case _:
                raise LoadError(f"{where} does not answer AUTH")

    async def _wait_joined(self) -> None:
        """Until all members are in, or those that are not had their time."""
        with trio.move_on_after(self.plan.ramp_seconds + JOIN_SECONDS):
            while not (self._stop.is_set() or self._all_back()):  # noqa: ASYNC110 - a look is enough
                await trio.sleep(_LOOK_SECONDS)
        if not self.record.connected and not self._stop.is_set():
            why = ", ".join(
                f"{reason}: {n}" for reason, n in self.record.disconnects.most_common(3)
            )
            raise LoadError(f"no member got into its room ({why or 'no answer'})")

    async def _cancel_on_stop(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    async def _send(self) -> None:
        """Every message at its time; late ones at once, never left out."""
        plan, members, lateness = self.plan, self._members, self.record.lateness
        for number in range(plan.messages):
            due = self._sending_at + plan.due_at(number)
            now = trio.current_time()
            if due > now:
                await trio.sleep_until(due)
                now = trio.current_time()
            elif number % _CHECKPOINT_EVERY == 0:
                await trio.lowlevel.checkpoint()
            lateness.add(round((now - due) * 1e6))
            members[plan.sender_of(number)].publish(
                plan.number_in_room(number), round((due - self._started_at) * 1e6)
            )
        await trio.sleep_until(self._sending_at + plan.seconds)

    async def _wait_rest(self) -> None:
        """Until everything owed has come, or nothing has come for a while."""
        record = self.record
        count, news_at = -1, trio.current_time()
        while True:
            before, count = count, record.delivered + record.acknowledged + record.refused
            if count != before:
                news_at = trio.current_time()
            owed = record.acknowledged * (self.plan.members - 1)
            if not record.in_flight() and record.delivered >= owed:
                break
            patience = QUIET_SECONDS if self._all_back() else RETURN_SECONDS
            if trio.current_time() - news_at > patience:
                break
            await trio.sleep(_LOOK_SECONDS)
        self._last_news_at = news_at

    def _all_back(self) -> bool:
        return all(member.joined or member.gone for member in self._members)

    def _is_absent(self, member: Member) -> bool:
        # Who was still on the way in when the run was stopped is held against nobody.
        return not member.joined and (member.entered or not self._stop.is_set())

    def _missing(self, member: Member) -> int:
        owed = self._acknowledged[member.room_number]
        if member.seen.has_all_below(max(owed, default=-1) + 1):  # spares most a look at each
            return 0
        return sum(1 for _ in member.seen.missing_of(owed))


def _complaint(where: str, ended: WireEnded) -> str:
    """What keeps everybody out, as one line that a person can act on."""
    if ended.status == 400:
        return f"{where} does not speak this codec (HTTP 400)"
    if ended.status is not None:
        return f"{where} lets nobody in ({ended.reason})"
    return f"can't reach {where} ({ended.reason}); is the node running? (greenroom serve)"
