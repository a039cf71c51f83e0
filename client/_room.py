"""A room as its user sees it: publish, and iterate over what the others say."""

import secrets
from collections.abc import AsyncIterator

import trio

from greenroom.client._engine import Engine
from greenroom.client._errors import CommandRefused
from greenroom.client._feed import QUEUE_MESSAGES, Item
from greenroom.client._membership import Membership, RoomEvent
from greenroom.client._request import Request
from greenroom.client._status import Subscription
from greenroom.protocol import (
    DEFAULT_HISTORY_MESSAGES,
    Ack,
    ErrorCode,
    History,
    HistoryOk,
    Member,
    Position,
    Presence,
    PresenceOk,
    Publish,
)

_ENVELOPE_BYTES = 1024  # more than a PUBLISH has around its content
_WORST_ESCAPE = 6  # in JSON, bytes for one byte of content: a control character is \u0001


class Room(AsyncIterator[Item]):
    """A room this client is in; made by `Client.join`.

    Iterate over it for a `Message` after the other, in the order of their offsets, each exactly
    once, over any number of reconnects. A `Gap` among them says which messages can't be had: they
    are older than what the room keeps, or too many to be recovered at once (then `history` may
    still have them). Messages published through this client are not among them, they have their
    `Ack`; one whose ACK got lost with its connection may come both ways, under one offset.

    The queue is bounded. What a slow reader leaves is read later from the room's history, so it
    neither loses messages nor keeps the client from hearing the node; an ephemeral room has no
    history, and there a `Gap` tells what was dropped.
    """

    def __init__(self, membership: Membership, engine: Engine) -> None:
        self._membership = membership
        self._engine = engine

    @property
    def name(self) -> str:
        """The room's name."""
        return self._membership.room

    @property
    def members(self) -> int:
        """How many users are in the room, as far as this client has heard."""
        return self._membership.members

    @property
    def position(self) -> Position | None:
        """The last message received from the node; `Client.join(since=...)` goes on from there.

        Messages that wait in the queue count as received.
        """
        return self._membership.feed.position

    async def publish(self, content: str, *, key: str | None = None, echo: bool = False) -> Ack:
        """Say something, and wait until it is stored.

        While there is no connection it waits for one. When the connection is lost, or the node
        answers that it can't just now, the same PUBLISH is sent again under the same key, so that
        it is stored once. At most 64 wait for their ACK at a time; others wait for their turn.
        When that is more than the node allows, they go out as fast as it does allow.
        There is no timeout argument; wrap the call in `trio.fail_after`.

        Args:
            content: The text; how many bytes of UTF-8 it may have the node decides (32 KiB).
            key: At most 64 characters that name this message among all of the user's in the room.
                Give the same key to repeat a publish after a restart of your program. None makes
                a random one.
            echo: Also receive the message by iteration, as others do.

        Raises:
            CommandRefused: The node does not take it, now or later.
            RemovedFromRoom: The client is no longer in the room.
            ClientClosed: The client can't connect any more.

        Cancellation:
            The message may have been stored. Publishing again under the same `key` finds out.
        """
        command = Publish(
            room=self.name, key=key or secrets.token_hex(16), content=content, echo=echo
        )
        self._check_size(command)

        def attempt() -> Request[Ack]:
            self._check_open()
            if echo:  # the MESSAGE comes too, and is what counts
                return Request(command, Ack)
            return Request(command, Ack, self._membership.acknowledged)

        self._check_open()
        async with self._engine.publish_slots:
            return await self._engine.request_until_final(attempt, over=self._membership.over)

    def typing(self) -> None:
        """Let the others see that the user is typing; dropped if it can't be sent at once."""
        self._check_open()
        self._engine.typing(self.name)

    async def history(
        self,
        *,
        before: Position | None = None,
        since: Position | None = None,
        limit: int = DEFAULT_HISTORY_MESSAGES,
    ) -> HistoryOk:
        """Read stored messages: the latest, those before a position, or those since one.

        When that is more often than the node allows, it waits.

        Args:
            before: Messages with a lower offset, the nearest ones.
            since: Messages with a higher offset, the nearest ones. Not together with `before`.
            limit: Most messages to read, 1 to 1000; the node may give fewer.

        Raises:
            CommandRefused: The node refuses, or can't just now (`temporary`).
            RemovedFromRoom: The client is no longer in the room.
            ClientClosed: The client can't connect any more.
        """
        if before is not None and since is not None:
            raise ValueError("history takes before or since, not both")
        self._check_open()
        command = History(room=self.name, before=before, since=since, limit=limit)
        return await self._engine.request(Request(command, HistoryOk))

    async def presence(self) -> tuple[Member, ...]:
        """Ask who is in the room; raises as `history` does."""
        self._check_open()
        reply = await self._engine.request(Request(Presence(room=self.name), PresenceOk))
        return reply.members

    def events(self) -> Subscription[RoomEvent]:
        """Who comes, goes and types, from now on: `async for event in room.events()`.

        These are hints that no recovery repeats: after a reconnect ask `presence`. A slow reader
        loses the oldest. The iteration ends with the room.
        """
        return self._membership.events.subscribe()

    async def __anext__(self) -> Item:
        """The next message or gap.

        Raises:
            RemovedFromRoom: The client is no longer in the room.
            CommandRefused: The room could not be entered again after a reconnect.
            ClientClosed: The client can't connect any more.
            trio.ClosedResourceError: The `async with` block of the room or the client was left.
        """
        feed = self._membership.feed
        await trio.lowlevel.checkpoint()
        while not feed:
            self._check_open()
            if feed.behind:
                await self._catch_up()
            else:
                await self._membership.wait_change()
        return feed.pop()

    async def _catch_up(self) -> None:
        """Read one page of what the queue had no place for."""
        feed = self._membership.feed
        limit = max(1, min(QUEUE_MESSAGES, self._engine.limits.history))

        def attempt() -> Request[HistoryOk]:
            self._check_open()
            command = History(room=self.name, since=feed.position, limit=limit)
            return Request(command, HistoryOk, feed.page)

        try:
            await self._engine.request_until_final(attempt, over=self._membership.over)
        except CommandRefused:
            self._check_open()  # the room is over: that is the error to raise
            feed.give_up()

    def _check_open(self) -> None:
        self._engine.check_open()
        if self._membership.error is not None:
            raise self._membership.error

    def _check_size(self, command: Publish) -> None:
        """Refuse here what the node would refuse; a frame too large would end the connection."""
        limits = self._engine.limits
        content_bytes = len(command.content.encode())  # UnicodeEncodeError for a lone surrogate
        too_large = content_bytes > limits.content_bytes
        if not too_large and _WORST_ESCAPE * content_bytes + _ENVELOPE_BYTES > limits.frame_bytes:
            frame_bytes = len(self._engine.codec.encode(command)) + _ENVELOPE_BYTES // 4
            too_large = frame_bytes > limits.frame_bytes
        if too_large:
            raise CommandRefused.of(ErrorCode.CONTENT_TOO_LARGE)
