"""The whole tree on one page."""

from collections.abc import Sequence
from typing import Any

from greenroom.actors.archive.archive import archive_spec
from greenroom.actors.beats import beats_spec
from greenroom.actors.callbacks.callbacks import callbacks_spec
from greenroom.actors.callbacks.courier import CallbackAdapters
from greenroom.actors.ports import MessageStore, RevocationStore, RoomGate
from greenroom.actors.readiness import readiness_spec
from greenroom.actors.registry import registry_spec
from greenroom.actors.rights.bearers import bearers_spec
from greenroom.actors.rights.doorkeeper import NobodyKnows, doorkeeper_spec
from greenroom.actors.rights.warden import warden_spec
from greenroom.actors.services import Services
from greenroom.supervisor import ChildSpec, RestartLimit, Strategy, SupervisorSpec


def node_spec(
    *,
    services: Services,
    store: MessageStore,
    gate: RoomGate | None = None,
    revocations: RevocationStore | None = None,
    callbacks: CallbackAdapters | None = None,
    keys: ChildSpec[Any] | None = None,  # Any, here and below: node's own actors
    operators: Sequence[ChildSpec[Any]] = (),
    listener: ChildSpec[Any] | None = None,
) -> SupervisorSpec:
    """A node: started from top to bottom, stopped from bottom to top.

        node                    one_for_one: each of these can come back alone
        ├── keys                the keys of tokens, where they may change
        ├── warden              keeps revocations, and reads those of others
        ├── registry            sessions by user; opens rooms
        ├── archive             the only writer of history
        ├── callbacks           webhooks, where they are configured
        ├── doorkeeper          asks the gate who may enter, and remembers
        ├── operators           their gate and the speaker for it, where there is one
        ├── rooms               dynamic: one actor a room; empty rooms end after a while
        ├── readiness           says which sockets have something to read
        ├── beats               says which clients may have been silent for long
        ├── bearers             ends connections in time with their tokens
        ├── connections         dynamic: one actor a connection; temporary
        └── listener            accepts last, stops first

    Args:
        services: What every actor is handed.
        store: Where the archive keeps history.
        gate: Who knows the members of private rooms besides the tokens; None: nobody does.
        revocations: Where revocations are kept; None: in memory only.
        callbacks: Who is told of what happens, where `services.callbacks` says that somebody is.
        keys: The actor that keeps the keys of tokens up to date; None: they never change.
        operators: The actors of the operators' gate.
        listener: The actor that accepts sockets and starts connections; None in tests.
    """
    return SupervisorSpec(
        id="node",
        strategy=Strategy.ONE_FOR_ONE,
        # A crash of the standing cast is a bug; ten in a minute are one that does not go away.
        limit=RestartLimit(max_restarts=10, max_seconds=60),
        children=[
            *([] if keys is None else [keys]),
            warden_spec(services.warden, revocations, store_seconds=services.limits.store_seconds),
            registry_spec(services),
            archive_spec(store, services),
            *(
                []
                if callbacks is None or services.callbacks is None
                else [callbacks_spec(services, services.callbacks, callbacks)]
            ),
            doorkeeper_spec(gate or NobodyKnows(), services.limits),
            *operators,
            SupervisorSpec(
                id="rooms",
                dynamic=True,
                max_children=services.limits.max_rooms,
                # One room's crashes must not end all rooms: each has its own backoff, and this
                # many in so short a time are no longer one room's bug.
                limit=RestartLimit(max_restarts=1_000, max_seconds=10),
            ),
            readiness_spec(services.readiness),
            beats_spec(services.beats),
            bearers_spec(services.bearers),
            SupervisorSpec(
                id="connections",
                dynamic=True,
                max_children=services.limits.max_connections,
            ),
            *([] if listener is None else [listener]),
        ],
    )
