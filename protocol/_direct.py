"""The name of the room of two users: made from their names alone, so both come to the same one.

A room's name holds less than a user's, so a user is written with an escape: letters, digits, `-`
and `_` stand for themselves, every other byte of the UTF-8 is `.` and two hexadecimal digits. No
two users are written alike, and none with a `:`.
"""

import re

from greenroom.protocol._limits import MAX_ROOM_CHARS

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_PARTS = re.compile(r"([A-Za-z0-9._-]+):([A-Za-z0-9._-]+)")


def direct_room(user: str, other: str, *, prefix: str = "direct") -> str | None:
    """The name of the room of two users, whoever asks; None if there can be none.

    There is none of a user alone, nor where the name would be longer than a room's may be: two
    users of up to 46 plain characters each always have one.
    """
    if user == other:
        return None
    first, second = sorted((write_user(user), write_user(other)))
    room = f"{prefix}:{first}:{second}"
    return room if len(room) <= MAX_ROOM_CHARS else None


def is_direct_room_of(room: str, user: str) -> bool:
    """Whether `room` is named, behind its prefix, as the room of `user` and one other."""
    parts = _PARTS.fullmatch(room.partition(":")[2])
    return parts is not None and parts[1] < parts[2] and write_user(user) in parts.groups()


def write_user(user: str) -> str:
    """`user` as a direct room's name has it."""
    return "".join(chr(byte) if byte in _PLAIN else f".{byte:02x}" for byte in user.encode())
