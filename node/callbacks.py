"""The webhooks of a node, put together: what its settings say, as what the actors are handed."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from greenroom.actors.callbacks.courier import CallbackAdapters
from greenroom.actors.callbacks.events import EventKind
from greenroom.actors.callbacks.plan import CallbackPlan, CallbackState
from greenroom.actors.ports import RoomGate
from greenroom.actors.services import CastLimits
from greenroom.node.settings.record import Settings
from greenroom.node.storage import SqlDeadCallbacks, SqlStore
from greenroom.node.webhooks import Poster, WebhookGate, WebhookSink, open_poster


@asynccontextmanager
async def open_webhooks(settings: Settings) -> AsyncGenerator[Poster | None]:
    """Hold what posts webhooks, where there are any."""
    if settings.webhook_secret is None:
        yield None
        return
    # Who may enter must not wait for the receiver of callbacks.
    connections = settings.webhook_in_flight + CastLimits().gate_questions_at_once
    async with open_poster(
        settings.webhook_secret, connections=connections, now=time.time
    ) as poster:
        yield poster


def plan_callbacks(settings: Settings) -> CallbackState | None:
    """Return what is to be called back; None: nothing is."""
    if settings.webhook_url is None:
        return None
    return CallbackState(
        CallbackPlan(
            kinds=frozenset(EventKind(name) for name in settings.webhook_events),
            ephemeral=settings.webhook_ephemeral,
            max_events=settings.webhook_batch,
            in_flight=settings.webhook_in_flight,
            patience_seconds=settings.webhook_patience_seconds,
        )
    )


def callback_adapters(
    settings: Settings, poster: Poster | None, store: SqlStore
) -> CallbackAdapters | None:
    """Return who takes the callbacks, and where those that nobody took are kept; None: nobody."""
    url = settings.webhook_url
    if url is None or poster is None:
        return None
    return CallbackAdapters(
        sink=WebhookSink(poster, url.reveal(), seconds=settings.webhook_timeout_seconds),
        dead=SqlDeadCallbacks(store, node=settings.name, limit=settings.webhook_dead_letters),
    )


def room_gate(settings: Settings, poster: Poster | None) -> RoomGate | None:
    """Return who is asked who may enter a private room; None: nobody."""
    url = settings.webhook_access_url
    if url is None or poster is None:
        return None
    return WebhookGate(poster, url.reveal(), node=settings.name)
