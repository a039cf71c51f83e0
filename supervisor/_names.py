"""Names and groups of one tree: held by incarnations, gone the moment their owner ends.

A name has one owner, a group any number of members (Elixir's `Registry` with unique and duplicate
keys).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import attrs

from ._errors import NameTaken

if TYPE_CHECKING:
    from ._incarnation import Incarnation
    from ._ref import Ref


@attrs.frozen(kw_only=True)
class NameEvent:
    """A name was taken or freed, a group joined or left.

    Each listener gets exactly one for each change.
    """

    key: Hashable
    ref: Ref[Any]  # Any: names do not know message types
    held: bool
    """True: taken or joined. False: freed or left."""


class Names:
    """Who holds which name, who is in which group, and who listens."""

    def __init__(self) -> None:
        self._owners: dict[Hashable, Incarnation] = {}
        self._groups: dict[Hashable, dict[Incarnation, None]] = {}  # in the order they joined
        self._listeners: dict[Hashable, dict[Incarnation, None]] = {}
        self._held: dict[Incarnation, dict[tuple[str, Hashable], None]] = {}

    def register(self, name: Hashable, owner: Incarnation) -> None:
        """Give `name` to `owner`.

        Raises:
            NameTaken: Another living actor holds it.
        """
        holder = self._owners.get(name)
        if holder is owner:
            return
        if holder is not None:
            raise NameTaken(name, holder.child.path)
        self._owners[name] = owner
        self._hold(owner, "name", name)
        self._tell(name, owner, held=True)

    def unregister(self, name: Hashable, owner: Incarnation) -> None:
        """Free `name`, if `owner` holds it."""
        if self._owners.get(name) is owner:
            del self._owners[name]
            self._held[owner].pop(("name", name), None)
            self._tell(name, owner, held=False)

    def join(self, group: Hashable, member: Incarnation) -> None:
        """Add `member` to `group`; joining twice changes nothing."""
        members = self._groups.setdefault(group, {})
        if member not in members:
            members[member] = None
            self._hold(member, "group", group)
            self._tell(group, member, held=True)

    def leave(self, group: Hashable, member: Incarnation) -> None:
        """Take `member` out of `group`, if it is in."""
        members = self._groups.get(group, {})
        if member in members:
            del members[member]
            if not members:
                del self._groups[group]
            self._held[member].pop(("group", group), None)
            self._tell(group, member, held=False)

    def listen(self, key: Hashable, listener: Incarnation) -> None:
        """Send `listener` a `NameEvent` for each change to the name or group `key`."""
        self._listeners.setdefault(key, {})[listener] = None
        self._hold(listener, "listener", key)

    def owner(self, name: Hashable) -> Ref[Any] | None:
        """The ref that holds `name`."""
        owner = self._owners.get(name)
        return None if owner is None else owner.child.ref

    def members(self, group: Hashable) -> tuple[Ref[Any], ...]:
        """The refs in `group`, in the order they joined."""
        return tuple(member.child.ref for member in self._groups.get(group, ()))

    def _hold(self, holder: Incarnation, kind: str, key: Hashable) -> None:
        held = self._held.get(holder)
        if held is None:
            held = self._held[holder] = {}
            holder.on_end(lambda: self._release(holder))
        held[kind, key] = None

    def _release(self, holder: Incarnation) -> None:
        held = self._held[holder]
        for kind, key in tuple(held):  # listeners first: nobody hears of its own end
            if kind == "listener":
                listeners = self._listeners[key]
                listeners.pop(holder, None)
                if not listeners:
                    del self._listeners[key]
        for kind, key in tuple(held):
            if kind == "name":
                self.unregister(key, holder)
            elif kind == "group":
                self.leave(key, holder)
        del self._held[holder]

    def _tell(self, key: Hashable, holder: Incarnation, *, held: bool) -> None:
        listeners = self._listeners.get(key)
        if listeners:
            event = NameEvent(key=key, ref=holder.child.ref, held=held)
            for listener in tuple(listeners):
                listener.child.box.deliver_to(listener.number, event)
