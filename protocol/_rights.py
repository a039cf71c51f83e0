"""What somebody may do in a room, and how a token or another authority says so.

The claim `rooms` maps rooms to rights: `{"team:red": ["join", "publish"], "team:*": ["join"]}`. A
name that ends in `*` means every room that begins so. What a room asks for, the node decides.
"""

import enum
import re
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias, cast

from greenroom.protocol._limits import MAX_ROOM_CHARS


class Right(enum.StrEnum):
    """One thing that can be allowed in a room."""

    JOIN = "join"
    """Be a member: hear what is said from now on, and who is there."""
    PUBLISH = "publish"
    """Say something, and be seen typing."""
    READ = "read"
    """Read what was said before: HISTORY, and what JOIN with `since` brings."""


Rights: TypeAlias = frozenset[Right]

ALL_RIGHTS: Final[Rights] = frozenset(Right)
NO_RIGHTS: Final[Rights] = frozenset()

_PATTERN = re.compile(
    rf"[A-Za-z0-9._:-]{{1,{MAX_ROOM_CHARS}}}|[A-Za-z0-9._:-]{{0,{MAX_ROOM_CHARS}}}\*"
)


def read_rights(value: object) -> Rights | None:
    """Rights from a list of their names, each at most once; None if it is anything else."""
    if not isinstance(value, list | tuple | set | frozenset):
        return None
    names = list(cast("Collection[object]", value))
    try:
        rights = frozenset(Right(cast("str", name)) for name in names)
    except ValueError:
        return None
    return rights if len(rights) == len(names) else None


def read_room_rights(value: object) -> dict[str, Rights] | None:
    """The claim `rooms`; None if any part of it is not of its shape."""
    if not isinstance(value, dict):
        return None
    rooms: dict[str, Rights] = {}
    for pattern, names in cast("dict[object, object]", value).items():
        rights = read_rights(names)
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern) or rights is None:
            return None
        rooms[pattern] = rights
    return rooms


def match_room(room: str, rooms: Mapping[str, Rights]) -> tuple[str, Rights] | None:
    """The pattern that decides about `room`, the longest that fits, and its rights; else None."""
    if room in rooms:
        return room, rooms[room]
    for end in range(len(room), -1, -1):
        pattern = room[:end] + "*"
        if pattern in rooms:
            return pattern, rooms[pattern]
    return None
