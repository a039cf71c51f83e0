"""Turns an accepted WebSocket handshake into a connection actor."""

from greenroom.actors.cast import Cast
from greenroom.actors.connection import connection_spec
from greenroom.actors.connection_messages import Opening
from greenroom.node.listener import Arrival
from greenroom.node.peek import DRAINING, FULL, Refusal
from greenroom.node.streams import Transport
from greenroom.supervisor import SupervisorStopped, TooManyChildren


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
    return None
