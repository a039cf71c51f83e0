"""What a room understands, and what it answers. Frozen, shared, never copied."""

from collections.abc import Sequence

import attrs

from greenroom.actors.subscription import Subscription
from greenroom.protocol import ErrorCode, Member, Message, Position
from greenroom.supervisor import Request


@attrs.frozen
class Refused:
    """No, and why; becomes an ERROR."""

    code: ErrorCode


@attrs.frozen
class Admitted:
    """The member is in the room; the room itself has written JOIN_OK to its outbox."""


@attrs.frozen(kw_only=True)
class Published:
    """The message is stored (in an ephemeral room: was sent)."""

    message: Message
    status: int
    duplicate: bool


@attrs.frozen
class NotYet:
    """An earlier PUBLISH of the same connection was lost in a crash and is on its way again.

    This one was not taken, and has to be sent again behind that.
    """


@attrs.frozen(kw_only=True)
class Page:
    """A stretch of the room's history."""

    epoch: str
    messages: Sequence[Message]
    more: bool


@attrs.frozen(kw_only=True)
class JoinRoom(Request[Admitted | Refused]):
    """Enter, or (after a crash of the room) enter again.

    A gate that is open already means "again": the room then answers nothing to the client and only
    makes up for what the gate has not seen.
    """

    member: Subscription
    id: int | None = None
    """Of the JOIN, for its JOIN_OK."""
    since: Position | None = None


@attrs.frozen
class LeaveRoom:
    """The member has closed its gate."""

    member: Subscription


@attrs.frozen(kw_only=True)
class PublishTo(Request[Published | Refused | NotYet]):
    """Say something in the room."""

    member: Subscription
    number: int
    """In the member's `order`."""
    key: str
    content: str
    echo: bool = False


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
class EndIfEmpty:
    """Timer: nobody has been here for a while."""
