"""Turns an accepted WebSocket handshake into a connection actor."""

import structlog

from greenroom.actors.cast import Cast
from greenroom.actors.connection import connection_spec
from greenroom.actors.connection_messages import Opening
from greenroom.node.listener import Arrival
from greenroom.node.peek import DRAINING, FULL, NOT_STARTED, Refusal
from greenroom.node.streams import Transport
from greenroom.supervisor import StartFailed, SupervisorStopped, TooManyChildren

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.admission")


async def admit_connection(cast: Cast, stream: Transport, arrival: Arrival) -> Refusal | None:
    """Start an actor that owns `stream` from here on, or say why there is none."""
    opening = Opening(
        received=arrival.received, peer=arrival.peer, handshake_until=arrival.deadline
    )
    try:
        await cast.connections.start_child(connection_spec(stream, opening, cast))
    except TooManyChildren:
        return FULL
    except SupervisorStopped:
        return DRAINING
    except StartFailed as failure:
        if failure.report is None:  # the tree stopped meanwhile
            return DRAINING
        # The supervisor has logged the traceback.
        log.error("no connection", reason=str(failure), peer=arrival.peer)  # noqa: TRY400
        return NOT_STARTED
    return None
