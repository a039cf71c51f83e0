"""What a room understands, and what it answers. Frozen, shared, never copied."""

from collections.abc import Sequence

import attrs

from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.connection.voice import Said
from greenroom.protocol import ErrorCode, Member, Message, Position
from greenroom.supervisor import Request


@attrs.frozen
class Refused:
    """No, and why; becomes an ERROR."""

    code: ErrorCode


@attrs.frozen
class Admitted:
    """The member is in the room; the room itself has written JOIN_OK to its outbox."""

    incarnation: int
    """Of the room: this one takes what the connection says."""


@attrs.frozen(kw_only=True)
class Page:
    """A stretch of the room's history."""

    epoch: str
    messages: Sequence[Message]
    more: bool


@attrs.frozen(kw_only=True)
class JoinRoom(Request[Admitted | Refused]):
    """Enter, or (after a crash of the room) enter again.

    A subscription that is open already means "again": the room then answers nothing to the client
    and only makes up for what has not passed it.
    """

    member: Subscription
    id: int | None = None
    """Of the JOIN, for its JOIN_OK."""
    since: Position | None = None
    may_read: bool = True
    """Whether it may have what was said after `since`; else that is a GAP."""

    @property
    def position(self) -> Position | None:
        """The last that the member has: of an open subscription now, not when this was sent."""
        if self.member.state is SubscriptionState.OPEN:
            return Position(self.member.epoch, self.member.next_offset - 1)
        return self.since


@attrs.frozen
class LeaveRoom:
    """The member has closed its subscription."""

    member: Subscription


@attrs.define(eq=False)
class PublishTo:
    """Say something in the room. It is answered through `said`; `Down` tells that it won't be."""

    said: Said
    term: int
    """The room's incarnation, as the connection knew it. Another one does not take this: the
    connection says it again, in its turn, as soon as it has heard of the crash."""


@attrs.frozen
class TypingIn:
    """Tell the other users that this one is typing."""

    member: Subscription


@attrs.frozen
class WhoIsIn(Request[Sequence[Member]]):
    """Ask for the users in the room."""


@attrs.frozen(kw_only=True)
class ReadHistory(Request[Page | Refused]):
    """Ask for messages: the newest, those before or those after a position."""

    member: Subscription
    """When its connection has ended, nobody reads for it any more."""
    before: Position | None = None
    since: Position | None = None
    limit: int


@attrs.frozen
class TellChanges:
    """Timer: who came and who went since the last time."""


@attrs.frozen
class WaitedEnough:
    """Timer: sessions that were lost have not come back."""


@attrs.frozen(kw_only=True)
class Forsake:
    """From the registry: a session that was lost does not come back, its token was revoked."""

    user: str
    session: str = attrs.field(repr=False)


@attrs.frozen
class Forget:
    """From the archive: what lies below this offset has been deleted."""

    first: int


@attrs.frozen
class EndIfEmpty:
    """Timer: nobody has been here for a while."""
