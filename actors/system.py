"""The whole tree on one page."""

from typing import Any

from greenroom.actors.archive import archive_spec
from greenroom.actors.ports import MessageStore
from greenroom.actors.registry import registry_spec
from greenroom.actors.services import Services
from greenroom.supervisor import ChildSpec, RestartLimit, Strategy, SupervisorSpec


def node_spec(
    *,
    services: Services,
    store: MessageStore,
    listener: ChildSpec[Any] | None = None,  # Any: node's own actor, with messages of its own
) -> SupervisorSpec:
    """A node: started from top to bottom, stopped from bottom to top.

        node                    one_for_one: each of these can come back alone
        ├── registry            sessions by user; opens rooms
        ├── archive             the only writer of history
        ├── rooms               dynamic: one actor a room; empty rooms end after a while
        ├── connections         dynamic: one actor a connection; temporary
        └── listener            accepts last, stops first

    Args:
        services: What every actor is handed.
        store: Where the archive keeps history.
        listener: The actor that accepts sockets and starts connections; None in tests.
    """
    return SupervisorSpec(
        id="node",
        strategy=Strategy.ONE_FOR_ONE,
        # A crash of the standing cast is a bug; ten in a minute are one that does not go away.
        limit=RestartLimit(max_restarts=10, max_seconds=60),
        children=[
            registry_spec(services),
            archive_spec(store, services.limits, services.commits),
            SupervisorSpec(
                id="rooms",
                dynamic=True,
                max_children=services.limits.max_rooms,
                # One room's crashes must not end all rooms: each has its own backoff, and this
                # many in so short a time are no longer one room's bug.
                limit=RestartLimit(max_restarts=1_000, max_seconds=10),
            ),
            SupervisorSpec(
                id="connections",
                dynamic=True,
                max_children=services.limits.max_connections,
            ),
            *([] if listener is None else [listener]),
        ],
    )
