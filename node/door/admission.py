"""Turns an accepted WebSocket handshake into a connection actor, if its token is good."""

from typing import Any

import attrs
import structlog
import trio

from greenroom.actors.cast import Cast
from greenroom.actors.connection.connection import connection_spec
from greenroom.actors.connection.identity import EXPIRED, Rejected, check_token
from greenroom.actors.connection.messages import Opening
from greenroom.node.door.echo import echo_spec
from greenroom.node.door.headcount import Headcount, Seat
from greenroom.node.door.peek import (
    BAD_TOKEN,
    DRAINING,
    ECHO_PATH,
    EXPIRED_TOKEN,
    FULL,
    NOT_STARTED,
    TOO_MANY_HERE,
    UNCHECKED_TOKEN,
    Refusal,
)
from greenroom.node.door.visit import Arrival
from greenroom.node.http.streams import Transport
from greenroom.protocol import CloseCode
from greenroom.supervisor import (
    ChildSpec,
    Inbox,
    StartFailed,
    SupervisorStopped,
    TooManyChildren,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.admission")


async def admit_connection(
    cast: Cast, headcount: Headcount, stream: Transport, arrival: Arrival
) -> Refusal | None:
    """Start an actor that owns `stream` from here on, or say why there is none.

    Args:
        cast: The node's.
        headcount: Whose connections are counted, until they end.
        stream: The connection.
        arrival: What is known of it.
    """
    # Before the token, whose check may cost a signature.
    seat = headcount.enter(arrival.peer.address)
    if seat is None:
        return TOO_MANY_HERE
    started = False
    try:
        refusal = await _refusal_of(cast, arrival) or await _start(cast, seat, stream, arrival)
        started = refusal is None
    finally:
        if not started:
            seat.leave()
    return refusal


async def _refusal_of(cast: Cast, arrival: Arrival) -> Refusal | None:
    """Say what is wrong with the token of the Authorization header, where there is one.

    A cookie's is not looked at here: browsers send it unasked, and can't read an answer to this.
    """
    if arrival.upgrade.bearer is None:
        return None
    with trio.move_on_at(arrival.deadline):
        verdict = await check_token(cast.services, arrival.upgrade.bearer)
        match verdict:
            case Rejected(close=CloseCode.TRY_AGAIN_LATER):
                return UNCHECKED_TOKEN
            case Rejected():
                return EXPIRED_TOKEN if verdict is EXPIRED else BAD_TOKEN
            case _:
                return None
    return UNCHECKED_TOKEN


async def _start(cast: Cast, seat: Seat, stream: Transport, arrival: Arrival) -> Refusal | None:
    opening = Opening(
        received=arrival.received,
        peer=str(arrival.peer),
        address=arrival.peer.address,
        token=arrival.upgrade.bearer or arrival.upgrade.cookie,
        handshake_until=arrival.deadline,
    )
    spec_of = echo_spec if arrival.upgrade.head.path == ECHO_PATH else connection_spec
    spec = _in_its_seat(spec_of(stream, opening, cast), seat)
    try:
        await cast.connections.start_child(spec)
    except TooManyChildren:
        return FULL
    except SupervisorStopped:
        return DRAINING
    except StartFailed as failure:
        if failure.report is None:  # the tree stopped meanwhile
            return DRAINING
        # The supervisor has logged the traceback.
        log.error("no connection", reason=str(failure), peer=str(arrival.peer))  # noqa: TRY400
        return NOT_STARTED
    return None


def _in_its_seat(spec: ChildSpec[Any], seat: Seat) -> ChildSpec[Any]:
    """Have the actor leave the seat when it ends, however it does."""
    start: Any = spec.start  # Any, in all of this: whatever the actor's own spec says

    async def seated(inbox: Inbox[Any], *args: Any, **options: Any) -> None:
        try:
            await start(inbox, *args, **options)
        finally:
            seat.leave()

    return attrs.evolve(spec, start=seated)
