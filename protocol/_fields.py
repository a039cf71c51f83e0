"""The kinds of field a message has: exact types with their ranges, read by the codecs and the docs.

An annotation such as `Offset` is a plain `int` to a type checker and carries its range for the
decoder. Nothing is checked when a message is built by our own code: the hot path builds one
for each MESSAGE, and what comes from outside passes the decoder.
"""

import re
from typing import Annotated, TypeAlias

import attrs

from greenroom.protocol._limits import (
    MAX_HISTORY_MESSAGES,
    MAX_KEY_CHARS,
    MAX_LABEL_CHARS,
    MAX_ROOM_CHARS,
    MAX_SAFE_INTEGER,
    MAX_TOKEN_CHARS,
    MAX_UINT32,
    MAX_USER_CHARS,
)


@attrs.frozen
class IntRange:
    """An integer from `low` to `high`, both included; `unit` is for the reader of the docs."""

    low: int
    high: int
    unit: str = ""


@attrs.frozen
class TextRule:
    """A string of `low` to `high` code points without U+0000, matching `pattern` if there is one.

    `high` is None where only the size of the frame bounds the text.
    """

    low: int
    high: int | None
    pattern: re.Pattern[str] | None = None


ROOM_NAME = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_ROOM_CHARS}}}")

RequestId: TypeAlias = Annotated[int, IntRange(0, MAX_UINT32)]
Offset: TypeAlias = Annotated[int, IntRange(0, MAX_SAFE_INTEGER)]
MessageId: TypeAlias = Annotated[int, IntRange(0, MAX_SAFE_INTEGER)]
Milliseconds: TypeAlias = Annotated[int, IntRange(0, MAX_SAFE_INTEGER, "ms")]
UnixMilliseconds: TypeAlias = Annotated[
    int, IntRange(0, MAX_SAFE_INTEGER, "ms since 1970-01-01T00:00:00Z")
]
Count: TypeAlias = Annotated[int, IntRange(0, MAX_SAFE_INTEGER)]
Bytes: TypeAlias = Annotated[int, IntRange(0, MAX_SAFE_INTEGER, "bytes")]
Status: TypeAlias = Annotated[int, IntRange(0, 255)]
Code: TypeAlias = Annotated[int, IntRange(0, 9999)]
HistoryLimit: TypeAlias = Annotated[int, IntRange(1, MAX_HISTORY_MESSAGES, "messages")]

RoomName: TypeAlias = Annotated[str, TextRule(1, MAX_ROOM_CHARS, ROOM_NAME)]
Key: TypeAlias = Annotated[str, TextRule(1, MAX_KEY_CHARS)]
UserName: TypeAlias = Annotated[str, TextRule(1, MAX_USER_CHARS)]
Token: TypeAlias = Annotated[str, TextRule(1, MAX_TOKEN_CHARS)]
Label: TypeAlias = Annotated[str, TextRule(1, MAX_LABEL_CHARS)]
Content: TypeAlias = Annotated[str, TextRule(0, None)]


def is_valid_room_name(name: str) -> bool:
    """Whether `name` is 1 to 100 characters of `A-Z a-z 0-9 . _ : -`."""
    return ROOM_NAME.fullmatch(name) is not None


def room_prefix(name: str) -> str | None:
    """What stands before the first `:` of a room's name and selects its kind; None without one."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon else None
