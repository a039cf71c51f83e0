"""One node, put together: settings in, a running tree, and an orderly end. Start reading here.

The composition root. Over what `outside.py` has opened (sockets, directory, database) it builds
what the actors need, hands all of it to the tree, and drains when it is told to stop. Decides
nothing about chat.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import attrs
import structlog
import trio
from starlette.types import ASGIApp

from greenroom.actors.cast import cast_of
from greenroom.actors.health import StoreHealth
from greenroom.actors.rates import Rates
from greenroom.actors.rights.revocations import Revocations
from greenroom.actors.services import CastLimits, Services
from greenroom.actors.system import node_spec
from greenroom.node.admin.actor import GATE_CONNECTIONS, AdminGate, admin_specs
from greenroom.node.callbacks import callback_adapters, plan_callbacks, room_gate
from greenroom.node.collector import calm_collector, look_often
from greenroom.node.door.admission import admit_connection
from greenroom.node.door.capacity import find_room
from greenroom.node.door.headcount import Headcount
from greenroom.node.door.listener import serve_listener
from greenroom.node.door.peek import ECHO_PATH, WEBSOCKET_PATH, Policy
from greenroom.node.door.proxies import counted_as
from greenroom.node.door.turnstile import Turnstile
from greenroom.node.door.visit import Door
from greenroom.node.http.app import WebServices, make_app
from greenroom.node.http.assets import load_assets
from greenroom.node.http.health import Shared, check_store
from greenroom.node.http.server import WebSide
from greenroom.node.identity.accounts import open_accounts, sign_in_routes
from greenroom.node.identity.keyring import keyring_spec
from greenroom.node.identity.names import account_key
from greenroom.node.identity.revoking import Revoker
from greenroom.node.identity.trust import Trust
from greenroom.node.outside import Outside, open_outside, pool_of
from greenroom.node.settings.record import Settings
from greenroom.node.signals import watch_signals
from greenroom.node.storage import SqlRevocations
from greenroom.protocol import Drain
from greenroom.supervisor import ChildSpec, Inbox, InboxFull, Supervisor, open_supervisor

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")

LISTENER_GRACE_SECONDS = 5.0
DRAIN_SPREAD_MS = 2_000  # clients come back over this time, not all at once


@attrs.define(eq=False)
class NodeState:
    """What changes while a node runs and more than one part of it has to know."""

    draining: bool = False


async def serve(
    settings: Settings,
    *,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node until SIGTERM, SIGINT or SIGHUP, then drain.

    A second SIGTERM or SIGINT ends the graces at once.

    Args:
        settings: Checked settings.
        task_status: Told the node's URLs once it accepts connections.

    Raises:
        NodeError: It can't start. Nothing stays open, and for an address that can't be had no
            data directory is made either.
    """
    async with open_outside(settings) as outside:
        await _run(settings, outside, task_status)
    log.info("stopped")


async def _run(
    settings: Settings, outside: Outside, task_status: trio.TaskStatus[Sequence[str]]
) -> None:
    """Build the tree over what is open, and keep it until a signal comes."""
    trust, store, keyring = outside.trust, outside.store, outside.office.keyring
    state = NodeState()
    capacity = find_room(settings.max_connections, reserved=_descriptors_of(settings))
    services = _services(settings, outside, connections=capacity.connections)
    check = Shared(partial(check_store, store, services.commits, StoreHealth("read")))
    web = WebSide(_web_app(settings, outside, services, state, check))
    door = Door(
        listeners=outside.listeners,
        tls=outside.tls,
        policy=_policy(settings, outside, state),
        web=web,
        proxies=settings.proxies,
        handshake_seconds=services.limits.handshake_seconds,
        max_pending=capacity.pending,
        pending=Headcount(min(settings.max_connections_per_address, max(1, capacity.pending // 2))),
        connects=Turnstile(settings.connect_rate.budget),
        requests=Turnstile(settings.request_rate.budget),
    )
    revocations = SqlRevocations(store)
    # Here, where a signal still ends the process at once: a database away is waited for.
    await services.warden.load(revocations)
    spec = node_spec(
        services=services,
        store=store,
        gate=room_gate(settings, outside.poster),
        revocations=revocations,
        callbacks=callback_adapters(settings, outside.poster, store),
        keys=keyring_spec(settings, keyring),
        operators=_operators(settings, outside, services, state, check),
        listener=_listener_spec(door, services, Headcount(settings.max_connections_per_address)),
    )
    # After that long every grace in the tree is over.
    spec = attrs.evolve(spec, shutdown_seconds=settings.drain_seconds)
    urls = [settings.url(listener.socket.getsockname()[1]) for listener in outside.listeners]
    async with trio.open_nursery() as nursery:
        stop = await nursery.start(watch_signals, nursery.cancel_scope)
        with ExitStack() as at_end:
            async with open_supervisor([spec]) as root:
                _announce(urls, settings, trust)
                # Until the tree has ended: 5,000 connections that end at once are much to look at.
                at_end.enter_context(calm_collector())
                nursery.start_soon(look_often)
                task_status.started(urls)
                await stop.wait()
                await _drain(state, web, root.supervisor("node"))
        nursery.cancel_scope.cancel()


def _services(settings: Settings, outside: Outside, *, connections: int) -> Services:
    """Build what every actor is handed."""
    keyring = outside.office.keyring
    return Services(
        node=settings.name,
        now=time.time,
        verify=outside.office.verify,
        refresh_keys=keyring.refresh if keyring.changes else None,
        policies=settings.rooms.policies,
        callbacks=plan_callbacks(settings),
        rates=Rates(settings.rate_limits, counted_as=counted_as),
        limits=limits_of(settings, connections),
        revocations=Revocations(
            keep_seconds=settings.revocation_seconds,
            # There a guest may have any spelling of a name until somebody makes an account of it.
            one_user=account_key if outside.trust.development else str,
        ),
    )


def limits_of(settings: Settings, connections: int) -> CastLimits:
    """Return the bounds and waits that the settings ask for.

    Args:
        settings: Checked settings.
        connections: How many there may be, as far as the system lets us.
    """
    pool = pool_of(settings)
    return CastLimits(
        handshake_seconds=settings.handshake_seconds,
        auth_seconds=settings.auth_seconds,
        close_seconds=settings.close_seconds,
        max_connections=connections,
        max_connections_per_user=settings.max_connections_per_user,
        max_rooms=settings.max_rooms,
        max_rooms_per_address=settings.max_rooms_per_address,
        rates=settings.rate_limits,
        revocation_seconds=settings.revocation_seconds,
        session_seconds=settings.session_seconds,
        # One is for the commit, one for rooms that open.
        reads_at_once=pool.most - 2,
        store_seconds=pool.most_seconds,
        retention_seconds=settings.retention_seconds,
        retention_messages=settings.retention_messages,
    )


def _web_app(
    settings: Settings,
    outside: Outside,
    services: Services,
    state: NodeState,
    ping_store: Callable[[], Awaitable[None]],
) -> ASGIApp:
    trust, office = outside.trust, outside.office
    accounts = open_accounts(settings, trust, services=services, store=outside.store, office=office)
    # Elsewhere guests have names of their own.
    shared_names = accounts if trust.development else None
    return make_app(
        WebServices(
            assets=load_assets(),
            draining=lambda: state.draining,
            ping_store=ping_store,
            issue_guest_token=office.hand_out if trust.guests else None,
            has_account=None if shared_names is None else shared_names.has_account,
            further=sign_in_routes(settings, trust, accounts),
            development=trust.development,
            origins=settings.origins,
        )
    )


def _policy(settings: Settings, outside: Outside, state: NodeState) -> Callable[[], Policy]:
    """Return what asks how request heads are judged now."""
    policy = Policy(
        tls=outside.tls is not None,
        origins=settings.origins,
        paths=(WEBSOCKET_PATH, ECHO_PATH) if settings.echo_route else (WEBSOCKET_PATH,),
        token_cookie=settings.token_cookie,
        local_names_only=outside.trust.development,
    )
    return lambda: attrs.evolve(policy, draining=state.draining)


def _descriptors_of(settings: Settings) -> int:
    """Return how many the node holds for others than clients."""
    gate = 0 if settings.admin_port is None else GATE_CONNECTIONS
    return pool_of(settings).most + settings.webhook_in_flight + gate


def _operators(
    settings: Settings,
    outside: Outside,
    services: Services,
    state: NodeState,
    ping_store: Callable[[], Awaitable[None]],
) -> Sequence[ChildSpec[Any]]:  # Any: nobody but the gate tells them anything
    if settings.admin_keys is None or not outside.gate_listeners:
        return []
    tls = outside.tls if settings.gate_has_tls(tls=settings.tls) else None
    for listener in outside.gate_listeners:
        host, port, *_ = listener.socket.getsockname()
        log.info("operators' gate", host=host, port=port, tls=tls is not None)
    return admin_specs(
        AdminGate(
            listeners=outside.gate_listeners,
            tls=tls,
            keys=settings.admin_keys,
            services=services,
            revoker=Revoker(services),
            draining=lambda: state.draining,
            ping_store=ping_store,
        )
    )


def _listener_spec(door: Door, services: Services, headcount: Headcount) -> ChildSpec[Any]:
    # Any, here and below: nobody sends the listener anything.
    async def listener(inbox: Inbox[Any], *, task_status: trio.TaskStatus[None]) -> None:
        admit = partial(admit_connection, cast_of(inbox.supervisor, services), headcount)
        await serve_listener(inbox, door, admit, task_status=task_status)

    return ChildSpec(id="listener", start=listener, shutdown_seconds=LISTENER_GRACE_SECONDS)


async def _drain(state: NodeState, web: WebSide, node: Supervisor) -> None:
    """Say that the node goes; the tree then stops from the listener to the archive."""
    log.info("draining")
    state.draining = True
    await web.drain()
    notice = Drain(after_ms=0, spread_ms=DRAIN_SPREAD_MS)
    for child in node.supervisor("connections").which_children():
        with suppress(InboxFull):  # too busy to be told: the close frame, 4001, says it too
            child.ref.tell_nowait(notice)


def _announce(urls: Sequence[str], settings: Settings, trust: Trust) -> None:
    if trust.development:
        log.info("development node: signs tokens with its own secret", guests=trust.guests)
        if settings.origins:
            # Only a proxy brings pages of other origins here, and whom it lets in we can't see.
            log.warning(
                "development node for other origins: whoever a proxy lets in gets its trust",
                origins=settings.origins,
                hint="set GREENROOM_JWT_SECRET",
            )
    if trust.issuer:
        log.info("tokens of the issuer are believed", signs=trust.signs, guests=trust.guests)
    if settings.echo_route:
        log.warning(
            "the echo route is on: anybody may have 16 MiB sent back to them, without AUTH",
            path=ECHO_PATH,
            hint="for a test suite only; leave out --echo-route",
        )
    for url in urls:
        log.info("listening", url=url, data=str(settings.data))
