"""Where an actor finds the others: refs of the standing cast, and the two dynamic supervisors."""

from typing import Any

import attrs

from greenroom.actors.callbacks.feed import CallbackFeed
from greenroom.actors.services import Services
from greenroom.supervisor import Ref, Supervisor


@attrs.frozen(kw_only=True)
class Cast:
    """Handed on by whoever starts an actor; refs and handles stay valid over every restart."""

    services: Services
    registry: Ref[Any]  # Any here and below: each module knows what its peers understand
    archive: Ref[Any]
    doorkeeper: Ref[Any]
    callbacks: CallbackFeed
    rooms: Supervisor
    """Children: one actor a room, its id the room's name."""
    connections: Supervisor
    """Children: one actor a connection."""


def cast_of(node: Supervisor, services: Services) -> Cast:
    """The cast of a node, for an actor that is a direct child of it."""
    return Cast(
        services=services,
        registry=node.ref("registry"),
        archive=node.ref("archive"),
        doorkeeper=node.ref("doorkeeper"),
        callbacks=CallbackFeed(node, services),
        rooms=node.supervisor("rooms"),
        connections=node.supervisor("connections"),
    )
