"""What operators see of a running node. Reads, never waits long, and shows no token or session."""

import heapq
import platform
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, Final

import attrs
import trio

from greenroom.actors.cast import Cast
from greenroom.actors.ledger import Copies, RoomLedger
from greenroom.actors.roll import Visitor
from greenroom.actors.room.messages import WhoIsIn
from greenroom.node.admin.table import MAX_LIMIT, Call, Entry, Field, JsonObject, Problem
from greenroom.protocol import is_valid_room_name
from greenroom.supervisor import (
    ActorError,
    ChildSnapshot,
    CrashReport,
    NoSuchChild,
    Supervisor,
    SupervisorSnapshot,
)

STORE_SECONDS: Final = 2.0
ROOM_SECONDS: Final = 2.0
MOST_MEMBERS: Final = 1_000
"""Users that are listed of one room; the count is always right."""
LOOKS_PER_PASS: Final = 200
"""At connections, some 10 µs each; then the other tasks have their turn."""
CHILDREN_PER_PASS: Final = 50
"""Of the tree, some 30 µs each; then the other tasks have their turn."""
ROOMS_PER_PASS: Final = 50
"""Of the ledger; then the other tasks have their turn."""

LIMIT: Final = Field(
    name="limit", help="Entries in the answer at the most.", kind=int, low=1, high=MAX_LIMIT
)
AFTER: Final = Field(name="after", help="`next` of the answer before.", kind=int)


@attrs.frozen(kw_only=True)
class Operated:
    """The node, as the gate has it."""

    cast: Cast
    tree: Supervisor
    """Of the node."""
    started_at: float
    """Seconds since 1970."""
    draining: Callable[[], bool]
    ping_store: Callable[[], Awaitable[None]]
    """Raises when the store can't be read or written."""


class Views:
    """The answers to every GET."""

    def __init__(self, node: Operated) -> None:
        self._node = node
        self._cast = node.cast
        self._services = node.cast.services

    def table(self) -> Iterator[Entry]:
        """The lines of the table that are answered here."""
        text = Field(name="user", help="Only those of this user.", high=255)
        yield Entry(method="GET", path="status", summary="How the node is.", answer=self.status)
        yield Entry(
            method="GET",
            path="tree",
            summary="The supervision tree: states, restarts, inboxes, where each actor waits.",
            answer=self.tree,
        )
        yield Entry(
            method="GET",
            path="tree/{supervisor}",
            summary="The same of each room, or each connection, by their ids.",
            answer=self.crowd,
            fields=[
                Field(name="supervisor", help="rooms or connections.", required=True, high=100),
                attrs.evolve(text, name="after", help=AFTER.help, high=100),
                LIMIT,
            ],
        )
        yield Entry(
            method="GET",
            path="connections",
            summary="Who is connected, the oldest connection first.",
            answer=self.connections,
            fields=[
                AFTER,
                LIMIT,
                text,
                attrs.evolve(text, name="room", help="Only those in this room.", high=100),
                attrs.evolve(text, name="address", help="Only those from this address.", high=64),
            ],
        )
        yield Entry(
            method="GET",
            path="rooms",
            summary="The rooms that are open on this node, by name.",
            answer=self.rooms,
            fields=[attrs.evolve(text, name="after", help=AFTER.help, high=100), LIMIT],
        )
        yield Entry(
            method="GET",
            path="rooms/{room}",
            summary="One open room: its members, its last message's place, its ledger.",
            answer=self.room,
            fields=[Field(name="room", help="Its name.", required=True, high=100)],
        )
        yield Entry(
            method="GET",
            path="ledger",
            summary="What became of every message and every copy since the start.",
            answer=self.ledger,
        )
        yield Entry(
            method="GET",
            path="revocations",
            summary="Who is thrown out, the first revoked first.",
            answer=self.revocations,
            fields=[AFTER, LIMIT],
        )

    async def status(self, _call: Call) -> JsonObject:
        """Name, age, versions, counts, readiness."""
        node, services = self._node, self._services
        ready = not node.draining()
        try:
            with trio.fail_after(STORE_SECONDS):
                await node.ping_store()
            store = "ready"
        except Exception:  # noqa: BLE001  # as /readyz: whatever it is, the store is not ready
            store, ready = "unavailable", False
        return {
            "node": services.node,
            "now": services.now_ms(),
            "started": int(node.started_at * 1000),
            "uptime_seconds": max(0.0, round(services.now() - node.started_at, 3)),
            "ready": ready,
            "draining": node.draining(),
            "store": store,
            "connections": len(services.roll),
            "rooms": self._cast.rooms.count_children().active,
            "revocations": len(services.revocations),
            "versions": {
                "greenroom": _version(),
                "python": platform.python_version(),
                "trio": trio.__version__,
            },
        }

    async def tree(self, _call: Call) -> JsonObject:
        """The tree; of dynamic supervisors only how many children there are."""
        await trio.lowlevel.checkpoint()
        return _supervisor(self._node.tree.snapshot(dynamic_children=False))

    async def crowd(self, call: Call) -> JsonObject:
        """A page of a dynamic supervisor's children."""
        crowds = {"rooms": self._cast.rooms, "connections": self._cast.connections}
        crowd = crowds.get(call.given["supervisor"])
        if crowd is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"known are {', '.join(crowds)}")
        after, limit, ids = call.given["after"] or "", call.given["limit"] or 100, crowd.child_ids()
        page = heapq.nsmallest(limit + 1, (id for id in ids if id > after))
        described: list[JsonObject] = []
        for count, id in enumerate(page[:limit], start=1):
            with suppress(NoSuchChild):  # gone since
                described += _children([crowd.snapshot_child(id)])
            if count % CHILDREN_PER_PASS == 0:
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        return {
            "children": described,
            "next": page[limit - 1] if len(page) > limit else None,
            "total": len(ids),
        }

    async def connections(self, call: Call) -> JsonObject:
        """A page of connections."""
        given, limit = call.given, call.given["limit"] or 100
        roll = self._services.roll
        page: list[tuple[int, Visitor]] = []
        for count, (number, visited) in enumerate(roll.after(given["after"] or 0), start=1):
            if count % LOOKS_PER_PASS == 0:
                await trio.lowlevel.checkpoint()
            if given["user"] not in (None, visited.user):
                continue
            visitor = visited.look()
            if visitor is not None and _is_asked_for(visitor, given):
                page.append((number, visitor))
                if len(page) > limit:
                    break
        await trio.lowlevel.checkpoint()
        return {
            "connections": [attrs.asdict(visitor) for _, visitor in page[:limit]],
            "next": page[limit - 1][0] if len(page) > limit else None,
            "total": len(roll),
        }

    async def rooms(self, call: Call) -> JsonObject:
        """A page of rooms."""
        await trio.lowlevel.checkpoint()
        rooms, after = self._services.ledger.rooms, call.given["after"] or ""
        limit = call.given["limit"] or 100
        names = heapq.nsmallest(limit + 1, (name for name in rooms if name > after))
        return {
            "rooms": [_room(name, rooms[name]) for name in names[:limit]],
            "next": names[limit - 1] if len(names) > limit else None,
            "total": len(rooms),
        }

    async def room(self, call: Call) -> JsonObject:
        """One room."""
        name = call.given["room"]
        room = self._cast.rooms.find(name) if is_valid_room_name(name) else None
        ledger = self._services.ledger.rooms.get(name)
        if room is None or ledger is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no such room is open on this node")
        try:
            with trio.fail_after(ROOM_SECONDS):
                members = await room.ask(WhoIsIn())
        except (trio.TooSlowError, ActorError):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "the room does not answer", retry_after_seconds=1
            ) from None
        return {
            **_room(name, ledger),
            "users": len(members),
            "present": [attrs.asdict(member) for member in members[:MOST_MEMBERS]],
            "ledger": _ledger(ledger, ledger.copies()),
        }

    async def ledger(self, _call: Call) -> JsonObject:
        """The sums of all rooms. Each room's are of one moment, all together may not be."""
        total = RoomLedger()
        ledger = self._services.ledger
        for number, each in enumerate([ledger.closed, *ledger.rooms.values()], start=1):
            total.add(each)
            if number % ROOMS_PER_PASS == 0:
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        return _ledger(total, total.left)

    async def revocations(self, call: Call) -> JsonObject:
        """A page of revocations."""
        await trio.lowlevel.checkpoint()
        after, limit = call.given["after"] or 0, call.given["limit"] or 100
        page = list(islice(self._services.revocations, after, after + limit + 1))
        return {
            "revocations": [
                {"user": one.user, "token_id": one.token_id, "at": one.at_ms, "until": one.until_ms}
                for one in page[:limit]
            ],
            "next": after + limit if len(page) > limit else None,
            "total": len(self._services.revocations),
        }


def _is_asked_for(visitor: Visitor, given: JsonObject) -> bool:
    address, room = given["address"], given["room"]
    return address in (None, visitor.address) and (room is None or room in visitor.rooms)


def _room(name: str, ledger: RoomLedger) -> dict[str, Any]:  # Any, here and below: JSON
    epoch, offset = ledger.stood_at
    return {
        "room": name,
        "epoch": epoch,
        "offset": offset,
        "connections": len(ledger.members),
        "published": ledger.published,
        "pending": ledger.pending,
    }


def _ledger(ledger: RoomLedger, copies: Copies) -> JsonObject:
    return {
        "published": ledger.published,
        "accepted": ledger.accepted,
        "refused": dict(ledger.refused),
        "pending": ledger.pending,
        "copies": {**attrs.asdict(copies), "pending": copies.pending},
        "from_ring": ledger.from_ring,
        "from_archive": ledger.from_archive,
    }


def _supervisor(snapshot: SupervisorSnapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "state": snapshot.state.value,
        "strategy": snapshot.strategy.value,
        "dynamic": snapshot.dynamic,
        "restarts": snapshot.restarts,
        "recent_restarts": snapshot.recent_restarts,
        "last_crash": _crash(snapshot.last_crash),
        "count": snapshot.count,
        "children": list(_children(snapshot.children)),
    }


def _children(
    children: Iterable[ChildSnapshot | SupervisorSnapshot],
) -> Iterator[dict[str, Any]]:
    for child in children:
        if isinstance(child, SupervisorSnapshot):
            yield _supervisor(child)
        else:
            yield {
                "id": child.id,
                "state": child.state.value,
                "restart": child.restart.value,
                "restarts": child.restarts,
                "inbox": attrs.asdict(child.inbox),
                "last_crash": _crash(child.last_crash),
                "waits_at": list(child.await_stack),
            }


def _crash(report: CrashReport | None) -> JsonObject | None:
    """The kind of error and where: its text may hold what somebody wrote, or worse."""
    if report is None:
        return None
    stack = report.traceback.stack
    return {
        "error": report.summary.partition(":")[0],
        "where": f"{stack[-1].filename}:{stack[-1].lineno} {stack[-1].name}" if stack else None,
        "phase": report.phase.value,
        "incarnation": report.incarnation,
    }


def _version() -> str:
    try:
        return version("greenroom")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"
