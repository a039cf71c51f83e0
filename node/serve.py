"""One node, put together: settings in, a running tree, and an orderly end. Start reading here.

The composition root. Opens what is outside (directory, database, sockets), builds what the actors
need, hands all of it to the tree, and drains when it is told to stop. Decides nothing about chat.
"""

import secrets
import signal
import ssl
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import structlog
import trio

from greenroom.actors.cast import cast_of
from greenroom.actors.health import StoreHealth
from greenroom.actors.ports import MessageStore, StoreUnavailable
from greenroom.actors.services import CastLimits, Services
from greenroom.actors.system import node_spec
from greenroom.node.admission import admit_connection
from greenroom.node.assets import load_assets
from greenroom.node.datadir import (
    DataDirectory,
    make_development_secret,
    open_data_directory,
    read_development_secret,
)
from greenroom.node.http import WebServices, make_app
from greenroom.node.listener import Door, open_listeners, serve_listener
from greenroom.node.peek import Policy
from greenroom.node.settings import Settings
from greenroom.node.storage import SqlStore, open_sqlite
from greenroom.node.tls import make_tls_context
from greenroom.node.tokens import TokenOffice
from greenroom.node.trust import Trust, decide_trust
from greenroom.node.web import WebSide
from greenroom.protocol import Drain
from greenroom.supervisor import ChildSpec, Inbox, InboxFull, Supervisor, open_supervisor

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")

LISTENER_GRACE_SECONDS = 5.0
DRAIN_SPREAD_MS = 2_000  # clients come back over this time, not all at once


@attrs.define(eq=False)
class NodeState:
    """What changes while a node runs and more than one part of it has to know."""

    draining: bool = False


@attrs.frozen(kw_only=True)
class Outside:
    """What is open by the time the tree is built, and what it is built to trust."""

    trust: Trust
    tls: ssl.SSLContext | None
    listeners: Sequence[trio.SocketListener]
    store: SqlStore
    office: TokenOffice


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
    trust = decide_trust(settings)
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = make_tls_context(settings.tls_cert, settings.tls_key)
    # What fails without leaving files behind comes first, the secret that we would make up last.
    async with open_address(settings) as listeners:
        with open_data_directory(settings.data) as directory:
            async with open_store(directory, name=settings.name) as store:
                outside = Outside(
                    trust=trust,
                    tls=tls,
                    listeners=listeners,
                    store=store,
                    office=open_token_office(settings, trust, directory),
                )
                await _run(settings, outside, task_status)
    log.info("stopped")


async def _run(
    settings: Settings, outside: Outside, task_status: trio.TaskStatus[Sequence[str]]
) -> None:
    """Build the tree over what is open, and keep it until a signal comes."""
    trust, store = outside.trust, outside.store
    state = NodeState()
    services = Services(
        node=settings.name,
        now=time.time,
        verify=outside.office.verify,
        limits=CastLimits(max_connections=settings.max_connections),
    )
    web = WebSide(
        make_app(
            WebServices(
                assets=load_assets(),
                draining=lambda: state.draining,
                ping_store=partial(check_store, store, services.commits, StoreHealth("read")),
                issue_guest_token=outside.office.issue_for_guest if trust.guests else None,
                development=trust.development,
                origins=settings.origins,
            )
        )
    )
    policy = Policy(tls=outside.tls is not None, origins=settings.origins)
    door = Door(
        listeners=outside.listeners,
        tls=outside.tls,
        policy=lambda: attrs.evolve(policy, draining=state.draining),
        web=web,
        handshake_seconds=services.limits.handshake_seconds,
    )
    spec = node_spec(services=services, store=store, listener=_listener_spec(door, services))
    # After that long every grace in the tree is over.
    spec = attrs.evolve(spec, shutdown_seconds=settings.drain_seconds)
    urls = [settings.url(listener.socket.getsockname()[1]) for listener in outside.listeners]
    async with trio.open_nursery() as nursery:
        stop = await nursery.start(_watch_signals, nursery.cancel_scope)
        async with open_supervisor([spec]) as root:
            _announce(urls, settings, trust)
            task_status.started(urls)
            await stop.wait()
            await _drain(state, web, root.supervisor("node"))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_address(settings: Settings) -> AsyncGenerator[Sequence[trio.SocketListener]]:
    """Listen where the settings say, and close what the listener has not closed in the end.

    Raises:
        ListenError: The address is taken, not ours, or not to be resolved.
    """
    listeners = await open_listeners(settings.host, settings.port)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.socket.close()


def open_token_office(settings: Settings, trust: Trust, directory: DataDirectory) -> TokenOffice:
    """Return what signs and checks tokens, making the directory's own secret if it is needed.

    Raises:
        DataDirectoryError: The secret there can't be used or made.
    """
    secret = trust.secret or read_development_secret(directory)
    if secret is None:
        secret = make_development_secret(directory)
        log.info("made a development secret", path=str(directory.secret))
    return TokenOffice(secret=secret, lifetime_seconds=settings.token_seconds)


@asynccontextmanager
async def open_store(directory: DataDirectory, *, name: str) -> AsyncGenerator[SqlStore]:
    """Open the directory's database, and close it in the end.

    Raises:
        DataDirectoryError: The file can't be opened, or is no database of ours.
    """
    engine = await trio.to_thread.run_sync(
        partial(open_sqlite, directory.database, new_epoch=secrets.token_hex(6))
    )
    store = SqlStore(engine, node=name)
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):  # closes idle connections: waits for nobody
            await store.close()


async def check_store(store: MessageStore, commits: StoreHealth, reads: StoreHealth) -> None:
    """Return when the store can be read now and its last commit worked.

    Whoever asks is a stranger, so asking must not write: whether commits work, the archive knows.

    Raises:
        StoreUnavailable: One of the two is not so; the log says why.
    """
    try:
        await store.ping()
    except StoreUnavailable as trouble:
        reads.failed(trouble)
        raise
    reads.worked()
    if not commits.good:
        raise StoreUnavailable("commits fail")


def _listener_spec(door: Door, services: Services) -> ChildSpec[Any]:
    # Any, here and below: nobody sends the listener anything.
    async def listener(inbox: Inbox[Any], *, task_status: trio.TaskStatus[None]) -> None:
        admit = partial(admit_connection, cast_of(inbox.supervisor, services))
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


async def _watch_signals(
    hurry: trio.CancelScope, *, task_status: trio.TaskStatus[trio.Event]
) -> None:
    stop = trio.Event()
    hangup = _hangup()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *hangup) as signals:
        task_status.started(stop)
        async for number in signals:
            # A closing terminal hangs up, and so does the shell that ends with it: one wish, twice.
            if stop.is_set() and number not in hangup:
                log.warning("stopping at once", signal=signal.Signals(number).name)
                hurry.cancel()
            stop.set()


def _hangup() -> set[signal.Signals]:
    """Return SIGHUP where there is one, unless nohup has told us to outlive the terminal."""
    number = getattr(signal, "SIGHUP", None)  # Windows has none
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        return set()
    return {number}


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
    for url in urls:
        log.info("listening", url=url, data=str(settings.data))
