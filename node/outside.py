"""What a node opens before its tree is built, and closes after: addresses, directory, database.

Whatever can't be had ends the start here, as one line, before an actor runs.
"""

import os
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import attrs
import structlog
import trio

from greenroom.node.admin.actor import open_admin_address
from greenroom.node.callbacks import open_webhooks
from greenroom.node.datadir import DataDirectory, open_data_directory
from greenroom.node.door.listener import open_address
from greenroom.node.door.tls import make_tls_context
from greenroom.node.identity.tokens import TokenOffice, open_token_office
from greenroom.node.identity.trust import Trust, decide_trust
from greenroom.node.settings.record import Settings
from greenroom.node.storage import Pool, SqlStore, open_database
from greenroom.node.webhooks import Poster

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")


@attrs.frozen(kw_only=True)
class Outside:
    """What is open by the time the tree is built, and what it is built to trust."""

    trust: Trust
    tls: ssl.SSLContext | None
    listeners: Sequence[trio.SocketListener]
    gate_listeners: Sequence[trio.SocketListener]
    """Of the operators; empty: there is no gate."""
    store: SqlStore
    office: TokenOffice
    poster: Poster | None


@asynccontextmanager
async def open_outside(settings: Settings) -> AsyncGenerator[Outside]:
    """Open all of it, and close it in the end.

    Raises:
        NodeError: Something can't be had. Nothing stays open, and for an address that can't be had
            no data directory is made either.
    """
    trust = decide_trust(settings)
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = make_tls_context(settings.tls_cert, settings.tls_key)
    # What fails without leaving files behind comes first, the secret that we would make up last.
    async with (
        open_address(settings.host, settings.port) as listeners,
        open_admin_address(settings) as gate_listeners,
    ):
        with open_data_directory(settings.data) as directory:
            async with open_store(settings, directory) as store, open_webhooks(settings) as poster:
                yield Outside(
                    trust=trust,
                    tls=tls,
                    listeners=listeners,
                    gate_listeners=gate_listeners,
                    store=store,
                    office=open_token_office(settings, trust, directory),
                    poster=poster,
                )


@asynccontextmanager
async def open_store(settings: Settings, directory: DataDirectory) -> AsyncGenerator[SqlStore]:
    """Open the database and close it in the end; the directory's own is migrated on the way.

    Raises:
        DatabaseError: It can't be opened, is no database of ours, or lacks migrations.
    """
    database = await trio.to_thread.run_sync(
        open_database, settings.database, directory.database, pool_of(settings)
    )
    for step in database.migrated:
        log.info("migrated the database", step=str(step))
    store = SqlStore(database, node=settings.name)
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):  # closes idle connections: waits for nobody
            await store.close()


def pool_of(settings: Settings) -> Pool:
    """Return the pool that the settings ask for."""
    usual = max(4, 2 * (os.cpu_count() or 1))
    return Pool(
        size=settings.database_connections or usual,
        overflow=settings.database_overflow,
        wait_seconds=settings.database_wait_seconds,
        recycle_seconds=settings.database_recycle_seconds,
        statement_seconds=settings.database_statement_seconds,
    )
