"""What every `MessageStore` promises, run against each engine there is."""

import hashlib

import pytest
import trio
import trio.testing

from greenroom.actors.ports import Committed, Head, KeyConflict, NewMessage


def new(key, content="hello", *, room="lobby", user="ann", timestamp=1_700_000_000_000):
    return NewMessage(
        room=room,
        user=user,
        key=key,
        content=content,
        timestamp=timestamp,
        content_hash=hashlib.sha256(content.encode()).digest(),
    )


def offsets(outcomes):
    return [outcome.message.offset for outcome in outcomes]


async def test_offsets_of_a_room_count_from_one_without_holes(store):
    first = await store.commit([new("a"), new("b")])
    second = await store.commit([new("c")])
    assert offsets(first) + offsets(second) == [1, 2, 3]


async def test_rooms_count_each_for_itself_within_one_batch(store):
    outcomes = await store.commit(
        [new("a", room="x"), new("a", room="y"), new("b", room="x"), new("b", room="y")]
    )
    assert [(o.message.room, o.message.offset) for o in outcomes] == [
        ("x", 1),
        ("y", 1),
        ("x", 2),
        ("y", 2),
    ]


async def test_an_outcome_carries_the_message_as_it_is_stored(store):
    (outcome,) = await store.commit([new("a", "grüße 🌱", timestamp=1_717_036_800_000)])
    (stored,) = await store.read("lobby", limit=10)
    assert outcome == Committed(stored)
    assert (stored.user, stored.key, stored.content) == ("ann", "a", "grüße 🌱")
    assert (stored.timestamp, stored.status) == (1_717_036_800_000, 0)


async def test_message_ids_rise_and_are_unique(store):
    outcomes = await store.commit([new(str(n), room=f"r{n % 3}") for n in range(30)])
    ids = [outcome.message.message_id for outcome in outcomes]
    assert len(set(ids)) == 30
    later = await store.commit([new("later")])
    assert later[0].message.message_id > max(ids)


async def test_the_same_key_again_is_answered_with_the_first_row(store):
    (first,) = await store.commit([new("a")])
    (again,) = await store.commit([new("a", timestamp=1_800_000_000_000)])
    assert again == Committed(first.message, duplicate=True)
    assert await store.head("lobby") == Head(first.message.epoch, 1)


async def test_the_same_key_twice_in_one_batch_is_stored_once(store):
    first, again, other = await store.commit([new("a"), new("a"), new("b")])
    assert again == Committed(first.message, duplicate=True)
    assert other.message.offset == 2
    assert len(await store.read("lobby", limit=10)) == 2


async def test_a_key_with_other_content_is_a_conflict_and_stores_nothing(store):
    await store.commit([new("a", "one")])
    assert await store.commit([new("a", "two")]) == [KeyConflict("a")]
    assert [m.content for m in await store.read("lobby", limit=10)] == ["one"]


async def test_a_conflict_inside_one_batch_leaves_the_others_alone(store):
    first, conflict, other = await store.commit([new("a", "one"), new("a", "two"), new("b")])
    assert conflict == KeyConflict("a")
    assert offsets([first, other]) == [1, 2]


async def test_users_and_rooms_have_keys_of_their_own(store):
    outcomes = await store.commit(
        [new("a", user="ann"), new("a", user="bob"), new("a", user="ann", room="other")]
    )
    assert [outcome.duplicate for outcome in outcomes] == [False, False, False]


async def test_names_that_differ_in_case_only_are_different(store):
    outcomes = await store.commit(
        [new("k", room="Lobby"), new("k", room="lobby"), new("K", room="lobby")]
    )
    assert [(o.message.room, o.message.offset) for o in outcomes] == [
        ("Lobby", 1),
        ("lobby", 1),
        ("lobby", 2),
    ]


async def test_the_same_batch_after_an_unknown_outcome_changes_nothing(store):
    batch = [new(str(n), room=f"r{n % 2}") for n in range(10)]
    first = await store.commit(batch)
    again = await store.commit(batch)
    assert [o.message for o in again] == [o.message for o in first]
    assert all(outcome.duplicate for outcome in again)


async def test_an_empty_batch_has_no_outcomes(store):
    assert await store.commit([]) == []


async def test_a_batch_of_a_thousand_is_one_commit(store):
    outcomes = await store.commit([new(str(n)) for n in range(1000)])
    assert offsets(outcomes) == list(range(1, 1001))


async def test_a_room_never_seen_stands_at_zero_in_the_epoch_of_its_first_commit(store):
    head = await store.head("lobby")
    assert head.offset == 0
    (outcome,) = await store.commit([new("a")])
    assert outcome.message.epoch == head.epoch


async def test_head_moves_with_each_commit(store):
    await store.commit([new("a"), new("b")])
    head = await store.head("lobby")
    assert head.offset == 2
    await store.commit([new("c")])
    assert await store.head("lobby") == Head(head.epoch, 3)


async def test_epochs_and_history_survive_a_restart(database):
    async with database.open() as store:
        unused = await store.head("unused")
        first = await store.commit([new("a"), new("b")])
    async with database.open() as store:
        assert await store.head("unused") == unused
        assert await store.read("lobby", limit=10) == [o.message for o in first]
        (third,) = await store.commit([new("c")])
        assert third.message.offset == 3


async def test_a_key_is_known_after_a_restart(database):
    async with database.open() as store:
        (first,) = await store.commit([new("a")])
    async with database.open() as store:
        assert await store.commit([new("a")]) == [Committed(first.message, duplicate=True)]


@pytest.mark.parametrize(
    ("after", "before", "limit", "expected"),
    [
        pytest.param(None, None, 3, [8, 9, 10], id="newest"),
        pytest.param(None, 8, 3, [5, 6, 7], id="below"),
        pytest.param(None, 3, 5, [1, 2], id="beginning"),
        pytest.param(0, None, 3, [1, 2, 3], id="oldest"),
        pytest.param(8, None, 5, [9, 10], id="since"),
        pytest.param(10, None, 5, [], id="nothing-missed"),
        pytest.param(3, 7, 5, [4, 5, 6], id="between"),
        pytest.param(3, 9, 2, [4, 5], id="between-limited"),
    ],
)
async def test_read_returns_the_page_asked_for_in_ascending_order(
    store, after, before, limit, expected
):
    await store.commit([new(str(n)) for n in range(1, 11)])
    page = await store.read("lobby", after=after, before=before, limit=limit)
    assert [message.offset for message in page] == expected


async def test_read_of_a_room_never_seen_is_empty(store):
    assert await store.read("nowhere", limit=10) == []


async def test_read_keeps_to_its_room(store):
    await store.commit([new("a", room="x"), new("b", room="y")])
    assert [message.key for message in await store.read("x", limit=10)] == ["a"]


async def test_probe_writes_and_changes_nothing(store):
    before = await store.head("lobby")
    await store.probe()
    assert await store.head("lobby") == before


async def test_ping_returns(store):
    await store.ping()


async def test_readers_and_a_writer_work_side_by_side(store):
    await store.commit([new("first")])
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(store.commit, [new(str(number))])
            nursery.start_soon(store.head, "lobby")
    page = await store.read("lobby", limit=100)
    assert [message.offset for message in page] == list(range(1, 22))


async def test_a_cancelled_commit_has_ended_when_it_returns(store):
    """What follows a cancelled commit sees its result whole, never half of it later."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([new("a")])
    before = await store.head("lobby")
    await trio.testing.wait_all_tasks_blocked()
    assert await store.head("lobby") == before
