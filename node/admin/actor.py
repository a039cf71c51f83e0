"""The operators' gate as an actor: its own address, its own keys, the server API behind it.

A listener of its own, of the same make as the clients': what is served here can't be reached
there. It stands beside the cast, so that it can be asked while connections are still drained.
"""

import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio
from starlette.types import ASGIApp

from greenroom.actors.cast import cast_of
from greenroom.actors.services import Services
from greenroom.actors.speaker import speaker_spec
from greenroom.node.admin.actions import Actions
from greenroom.node.admin.gate import with_gate
from greenroom.node.admin.keys import AdminKeys
from greenroom.node.admin.openapi import describe
from greenroom.node.admin.table import Call, Entry, JsonObject, app_of
from greenroom.node.admin.views import Operated, Views
from greenroom.node.door.headcount import Headcount
from greenroom.node.door.listener import open_address, serve_listener
from greenroom.node.door.peek import NO_SUCH_PATH, Policy, Refusal
from greenroom.node.door.visit import Arrival, Door
from greenroom.node.http.server import WebSide
from greenroom.node.http.streams import Transport
from greenroom.node.identity.revoking import Revoker
from greenroom.node.settings.record import Settings
from greenroom.supervisor import ChildSpec, Inbox

GATE_CONNECTIONS: Final = 100
"""At a time; one more is dropped."""
GRACE_SECONDS: Final = 2.0


@attrs.frozen(kw_only=True)
class AdminGate:
    """What the gate is built from."""

    listeners: Sequence[trio.SocketListener]
    tls: ssl.SSLContext | None
    keys: AdminKeys
    services: Services
    revoker: Revoker
    draining: Callable[[], bool]
    ping_store: Callable[[], Awaitable[None]]
    """Raises when the store can't be read or written."""


@asynccontextmanager
async def open_admin_address(settings: Settings) -> AsyncGenerator[Sequence[trio.SocketListener]]:
    """Listen where the settings say, or nowhere; close what the actor has not closed in the end.

    Raises:
        ListenError: The address is taken, not ours, or not to be resolved.
    """
    if settings.admin_port is None:
        yield []
        return
    async with open_address(settings.admin_host, settings.admin_port) as listeners:
        yield listeners


def admin_specs(gate: AdminGate) -> Sequence[ChildSpec[Any]]:  # Any: nobody tells the gate anything
    """The recipes of the gate and of the speaker that publishes for it."""
    started_at = time.time()

    async def operators(inbox: Inbox[Any], *, task_status: trio.TaskStatus[None]) -> None:
        cast = cast_of(inbox.supervisor, gate.services)
        operated = Operated(
            cast=cast,
            tree=inbox.supervisor,
            started_at=started_at,
            draining=gate.draining,
            ping_store=gate.ping_store,
        )
        actions = Actions(gate.services, inbox.supervisor.ref("speaker"), gate.revoker)
        door = Door(
            listeners=gate.listeners,
            tls=gate.tls,
            policy=lambda: Policy(tls=gate.tls is not None),
            web=WebSide(admin_app(operated, actions, gate.keys)),
            max_pending=GATE_CONNECTIONS,
            pending=Headcount(GATE_CONNECTIONS // 2),
        )
        await serve_listener(inbox, door, _admit_nobody, task_status=task_status)

    return [
        speaker_spec(gate.services),
        ChildSpec(id="operators", start=operators, shutdown_seconds=GRACE_SECONDS),
    ]


def admin_app(operated: Operated, actions: Actions, keys: AdminKeys) -> ASGIApp:
    """Build the app of the server API, behind its gate."""

    async def openapi(_call: Call) -> JsonObject:
        await trio.lowlevel.checkpoint()
        return describe(table)

    table = [
        *Views(operated).table(),
        *actions.table(),
        Entry(
            method="GET",
            path="openapi.json",
            summary="This description.",
            answer=openapi,
        ),
    ]
    return with_gate(app_of(table), lambda: keys, now=trio.current_time)


async def _admit_nobody(stream: Transport, arrival: Arrival) -> Refusal:  # noqa: ARG001  # `Admit`
    """There is no WebSocket here."""
    await trio.lowlevel.checkpoint()
    return NO_SUCH_PATH
