"""The setting of rooms: which kind of room each prefix means, with its limits.

In TOML a table for each prefix, `[rooms.team]`; in the environment one text, in which
`team=private,max_members=50` stands for it. What a kind means, `actors/rights/access.py` decides.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

import attrs

from greenroom.actors.rights.access import RoomKind, RoomPolicies, RoomPolicy
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import Choice, Integer, Kind, MisfitError
from greenroom.protocol import (
    ALL_RIGHTS,
    MAX_CONTENT_BYTES,
    MAX_ROOMS_PER_CONNECTION,
    Right,
    Rights,
    read_rights,
    read_room_rights,
)

OTHERS: Final = "*"
"""Stands for all rooms without a listed prefix."""
EXAMPLE: Final = "team=private,max_members=50 news=public,anyone=join+read"

_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,50}|\*")
_OPEN = frozenset({RoomKind.PUBLIC, RoomKind.EPHEMERAL})


@attrs.frozen
class RightList:
    """Some of the rights, each by its name; in the environment joined by `+`, or `none`."""

    def from_text(self, text: str) -> object:
        """Read names of rights."""
        return self.check([] if text == "none" else text.split("+"))

    def check(self, value: object) -> object:
        """Accept a list of names."""
        rights = read_rights(value)
        if rights is None:
            raise MisfitError(f"a list of some of {', '.join(Right)}")
        return rights


OPTIONS: Final[dict[str, Kind]] = {
    "kind": Choice(tuple(kind.value for kind in RoomKind)),
    "anyone": RightList(),
    "max_members": Integer(1, 1_000_000),
    "max_content_bytes": Integer(1, MAX_CONTENT_BYTES),
    "max_rooms_per_connection": Integer(1, MAX_ROOMS_PER_CONNECTION),
}


@attrs.frozen
class Rooms:
    """The policy of every room, and how it is written in one line."""

    policies: RoomPolicies = attrs.field(factory=RoomPolicies)

    def __str__(self) -> str:
        table = self.policies.by_prefix.items()
        entries = [f"{prefix}={_write(policy)}" for prefix, policy in table]
        if self.policies.others != RoomPolicy():
            entries.append(f"{OTHERS}={_write(self.policies.others)}")
        return " ".join(entries)


@attrs.frozen
class RoomTable:
    """What holds in rooms, by their prefix."""

    def from_text(self, text: str) -> object:
        """Read entries with spaces between them, each `prefix=kind[,option=value]...`."""
        table: dict[str, RoomPolicy] = {}
        for entry in text.split():
            prefix, _, rest = entry.partition("=")
            kind, *options = rest.split(",")
            values = {"kind": kind}
            for option in options:
                name, sign, value = option.partition("=")
                if not sign or name in values:
                    raise MisfitError(f"entries such as {EXAMPLE}")
                values[name] = value
            if prefix in table:
                raise MisfitError(f"entries of which only one is for {prefix}")
            table[prefix] = _policy(prefix, values, as_text=True)
        return _rooms(table)

    def check(self, value: object) -> object:
        """Accept a table of tables: those of TOML."""
        if isinstance(value, Rooms):
            return value
        if not isinstance(value, dict):
            raise MisfitError("tables such as [rooms.team]")
        table: dict[str, RoomPolicy] = {}
        for prefix, values in cast("dict[str, object]", value).items():
            if not isinstance(values, dict):
                raise MisfitError("tables such as [rooms.team]")
            table[prefix] = _policy(prefix, cast("dict[str, object]", values), as_text=False)
        return _rooms(table)


def read_grant(text: str) -> tuple[str, Rights]:
    """What `greenroom token --room` was given: a pattern, and all rights or those behind a `=`.

    Raises:
        SettingsError: It names other rights, or what can be no room.
    """
    pattern, sign, names = text.partition("=")
    rights = read_rights(names.split("+")) if sign else ALL_RIGHTS
    if rights is None:
        raise SettingsError(f"--room {text}: after = come some of {'+'.join(Right)}")
    if read_room_rights({pattern: rights}) is None:
        raise SettingsError(f"--room {text}: neither a room's name nor its beginning and a *")
    return pattern, rights


def _rooms(table: Mapping[str, RoomPolicy]) -> Rooms:
    """Put what is configured over what holds anyway."""
    usual = RoomPolicies()
    by_prefix = {**usual.by_prefix, **table}
    others = by_prefix.pop(OTHERS, usual.others)
    return Rooms(RoomPolicies(by_prefix, others))


def _policy(prefix: str, values: Mapping[str, object], *, as_text: bool) -> RoomPolicy:
    if not _PREFIX.fullmatch(prefix):
        raise MisfitError(f"prefixes of A-Z a-z 0-9 . _ - (or {OTHERS}), which {prefix!r} is not")
    read: dict[str, object] = {}
    for name, value in values.items():
        kind = OPTIONS.get(name)
        if kind is None:
            close = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(OPTIONS)}"
            raise MisfitError(f"without {name!r} in {prefix} ({hint})")
        try:
            read[name] = kind.from_text(str(value)) if as_text else kind.check(value)
        except MisfitError as error:
            raise MisfitError(f"such that {name} of {prefix} is {error}") from None
    if "kind" not in read:
        raise MisfitError(f"such that {prefix} has a kind")
    read["kind"] = RoomKind(read["kind"])
    if "anyone" in read and read["kind"] not in _OPEN:
        raise MisfitError(f"without anyone in {prefix}: it is not for anyone")
    return RoomPolicy(**read)  # type: ignore[arg-type]  # checked by their kinds


def _write(policy: RoomPolicy) -> str:
    words = [policy.kind.value]
    if policy.anyone != ALL_RIGHTS:
        words.append(f"anyone={'+'.join(_in_order(policy.anyone)) or 'none'}")
    for name in ("max_members", "max_content_bytes", "max_rooms_per_connection"):
        value = getattr(policy, name)
        if value is not None:
            words.append(f"{name}={value}")
    return ",".join(words)


def _in_order(rights: Rights) -> Sequence[str]:
    return [right.value for right in Right if right in rights]
