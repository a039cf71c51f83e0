"""Who may do what in which room: the one place that decides, pure, from a table.

A room's name says its policy: what stands before the first `:`. The policy's kind and the token's
claim `rooms` then say where the rights of a user come from. Nobody else asks what kind a room is in
order to refuse something.
"""

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from greenroom.protocol import (
    ALL_RIGHTS,
    NO_RIGHTS,
    Claims,
    ErrorCode,
    Right,
    Rights,
    is_direct_room_of,
    match_room,
    room_prefix,
)


class RoomKind(enum.Enum):
    """What a room is for."""

    PUBLIC = "public"
    """Stored, open to every authenticated user."""
    EPHEMERAL = "ephemeral"
    """The same, but nothing is stored: at most once."""
    PRIVATE = "private"
    """Stored, open to those whom their token or the gate lets in."""
    DIRECT = "direct"
    """Stored, open to the two users whom it is named after."""


@attrs.frozen(kw_only=True)
class RoomPolicy:
    """What holds in all rooms of one prefix."""

    kind: RoomKind = RoomKind.PUBLIC
    anyone: Rights = ALL_RIGHTS
    """In a public or ephemeral room: of everybody about whom the token says nothing else."""
    max_members: int | None = None
    """Users in one room, those included who may come back; one more gets ERROR 123."""
    max_content_bytes: int | None = None
    """Of one message, where that is less than the node's own limit; a larger one is ERROR 121."""
    max_rooms_per_connection: int | None = None
    """Rooms of this prefix that one connection is in; one more gets ERROR 106."""

    @property
    def stored(self) -> bool:
        """Whether messages outlive their room's actor."""
        return self.kind is not RoomKind.EPHEMERAL


@attrs.frozen
class RoomPolicies:
    """The policy of every room, by its name alone: every node comes to the same answer."""

    by_prefix: Mapping[str, RoomPolicy] = attrs.field(
        factory=lambda: {
            "ephemeral": RoomPolicy(kind=RoomKind.EPHEMERAL),
            "private": RoomPolicy(kind=RoomKind.PRIVATE),
            "direct": RoomPolicy(kind=RoomKind.DIRECT),
        }
    )
    others: RoomPolicy = RoomPolicy()
    """Of rooms without a prefix, or with one that is not listed."""

    def of(self, room: str) -> RoomPolicy:
        """The policy of `room`."""
        prefix = room_prefix(room)
        return self.others if prefix is None else self.by_prefix.get(prefix, self.others)


class Word(enum.Enum):
    """What a token's claim `rooms` says about one room."""

    NONE = enum.auto()
    PATTERN = enum.auto()
    """Something, about all rooms that begin like it."""
    NAME = enum.auto()
    """Something, about this very room."""


class Source(enum.Enum):
    """Where a user's rights in a room come from."""

    ANYONE = enum.auto()
    """Everybody has these."""
    CLAIM = enum.auto()
    """The token says them."""
    NAMED = enum.auto()
    """The room is named after its two users, and this is one of them."""
    GATE = enum.auto()
    """The gate has to be asked; without an answer there are none."""
    NOWHERE = enum.auto()


SOURCES: Final[dict[tuple[RoomKind, Word], Source]] = {
    (RoomKind.PUBLIC, Word.NONE): Source.ANYONE,
    (RoomKind.PUBLIC, Word.PATTERN): Source.CLAIM,
    (RoomKind.PUBLIC, Word.NAME): Source.CLAIM,
    (RoomKind.EPHEMERAL, Word.NONE): Source.ANYONE,
    (RoomKind.EPHEMERAL, Word.PATTERN): Source.CLAIM,
    (RoomKind.EPHEMERAL, Word.NAME): Source.CLAIM,
    (RoomKind.PRIVATE, Word.NONE): Source.GATE,
    (RoomKind.PRIVATE, Word.PATTERN): Source.CLAIM,
    (RoomKind.PRIVATE, Word.NAME): Source.CLAIM,
    # For one of its two users; anybody else needs a claim that names the room: a pattern such as
    # "*" was never meant to open what two people say to each other.
    (RoomKind.DIRECT, Word.NONE): Source.NAMED,
    (RoomKind.DIRECT, Word.PATTERN): Source.CLAIM,
    (RoomKind.DIRECT, Word.NAME): Source.CLAIM,
}


def source_of(room: str, policy: RoomPolicy, claims: Claims) -> Source:
    """Where the rights of the bearer of `claims` in `room` come from."""
    word = _word(room, claims)
    outsider = policy.kind is RoomKind.DIRECT and not is_direct_room_of(room, claims.subject)
    if outsider and word is not Word.NAME:
        return Source.NOWHERE
    return SOURCES[policy.kind, word]


def rights_in(
    room: str, policy: RoomPolicy, claims: Claims, *, answer: Rights | None = None
) -> Rights:
    """What the bearer of `claims` may do in `room`.

    Args:
        room: Its name.
        policy: The room's.
        claims: Of the token in force.
        answer: The gate's, where the rights come from there; None: it lets nobody in.
    """
    match source_of(room, policy, claims):
        case Source.ANYONE:
            return policy.anyone
        case Source.CLAIM:
            decided = match_room(room, claims.rooms)
            return NO_RIGHTS if decided is None else decided[1]
        case Source.NAMED:
            return ALL_RIGHTS
        case Source.GATE:
            return answer or NO_RIGHTS
        case Source.NOWHERE:
            return NO_RIGHTS


def refusal(right: Right, rights: Rights) -> ErrorCode | None:
    """The error that answers who wants to use `right` and has `rights`, or None.

    Nobody has looked by then whether the room exists: the answer is the same whether or not.
    """
    return None if right in rights else ErrorCode.PERMISSION_DENIED


def _word(room: str, claims: Claims) -> Word:
    decided = match_room(room, claims.rooms) if claims.rooms else None
    if decided is None:
        return Word.NONE
    return Word.NAME if decided[0] == room else Word.PATTERN
