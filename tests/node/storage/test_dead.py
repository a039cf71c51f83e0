"""The dead-letter list on every database."""

import attrs
import pytest
import sqlalchemy

from greenroom.actors.callbacks.ports import Callback, DeadCallback, DeadCallbacksFull
from greenroom.node.storage.dead import SqlDeadCallbacks, drop, entries_of, mark
from greenroom.node.storage.tables import dead_callbacks


def dead(id="cb_1", *, room="lobby", reason="answered 404") -> DeadCallback:
    body = '{"content":"Grüße 🎈 \\u0000"}'.encode()
    return DeadCallback(
        callback=Callback(id=id, room=room, events=2, body=body),
        reason=reason,
        attempts=1,
        first_failed_ms=1_800_000_000_000,
    )


@pytest.fixture
async def letters(store):
    """The list of a node, of three entries at the most."""
    await store.run(lambda connection: connection.execute(sqlalchemy.delete(dead_callbacks)))
    return SqlDeadCallbacks(store, node="n1", limit=3)


async def listed(store, node="n1"):
    entries = await store.run(lambda connection: entries_of(connection, node, limit=100))
    return [(entry.dead.callback.id, entry.wanted) for entry in entries]


async def test_what_is_buried_comes_back_as_it_was(store, letters):
    for room in ("lobby", None):
        await letters.bury(dead(f"cb_{room}", room=room))
    assert await letters.wanted(limit=10) == []
    assert await store.run(lambda connection: mark(connection, "n1", None)) == 2
    assert await letters.wanted(limit=10) == [
        dead("cb_lobby"),
        dead("cb_None", room=None),
    ]
    assert await letters.wanted(limit=1) == [dead("cb_lobby")]


async def test_buried_again_it_keeps_its_place_and_loses_its_mark(store, letters):
    await letters.bury(dead("cb_1"))
    await letters.bury(dead("cb_2"))
    await store.run(lambda connection: mark(connection, "n1", ["cb_1"]))
    assert await listed(store) == [("cb_1", True), ("cb_2", False)]
    await letters.bury(attrs.evolve(dead("cb_1"), attempts=2, reason="x" * 1_000))
    assert await listed(store) == [("cb_1", False), ("cb_2", False)]
    entries = await store.run(lambda connection: entries_of(connection, "n1", limit=1))
    assert (entries[0].dead.attempts, entries[0].dead.reason) == (2, "x" * 255)


async def test_a_full_list_takes_nothing_but_what_it_has(store, letters):
    for n in range(3):
        await letters.bury(dead(f"cb_{n}"))
    with pytest.raises(DeadCallbacksFull, match="3 entries"):
        await letters.bury(dead("cb_3"))
    await letters.bury(dead("cb_1"))
    await letters.resolve("cb_1")
    await letters.bury(dead("cb_3"))
    assert [id for id, _ in await listed(store)] == ["cb_0", "cb_2", "cb_3"]


async def test_one_node_s_list_is_nobody_else_s(store, letters):
    await letters.bury(dead("cb_1"))
    assert await store.run(lambda connection: mark(connection, "n2", None)) == 0
    assert await store.run(lambda connection: drop(connection, "n2", ["cb_1"])) == 0
    assert await listed(store, "n2") == []
    assert await store.run(lambda connection: drop(connection, "n1", None)) == 1
    assert await listed(store) == []
