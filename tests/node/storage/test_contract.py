"""What every `MessageStore` promises, run against each engine there is."""

import hashlib

import pytest
import trio
import trio.testing

from greenroom.actors.ports import Committed, Expiry, Head, KeyConflict, NewMessage


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


async def test_names_that_differ_in_spaces_behind_them_only_are_different(store):
    """SQL's PAD SPACE, which MariaDB's usual collations follow, calls "a" and "a " equal."""
    same = {"user": "ann", "key": "a"}
    batch = [new(**same), new(**same | {"user": "ann "}), new(**same | {"key": "a "})]
    assert offsets(await store.commit(batch)) == [1, 2, 3]
    assert offsets(await store.commit(batch)) == [1, 2, 3]
    # In commits of their own too, where each meets the others in the table.
    assert offsets(await store.commit([new(**same | {"key": "a  "})])) == [4]
    assert await store.commit([new("a ", "other")]) == [KeyConflict("a ")]


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


async def test_a_probe_changes_nothing(store):
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
    for number in range(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [new(f"a{number}")])
            await trio.testing.wait_all_tasks_blocked()  # it is in its thread
            nursery.cancel_scope.cancel()
        before = await store.head("lobby")
        (outcome,) = await store.commit([new(f"b{number}")])
        assert outcome.message.offset == before.offset + 1


def ids(messages):
    return [message.message_id for message in messages]


async def test_what_was_accepted_is_undispatched_in_the_order_of_its_ids(store):
    outcomes = await store.commit([new(str(n), room=f"r{n % 2}") for n in range(6)])
    accepted = [outcome.message for outcome in outcomes]
    assert await store.undispatched(after=0, limit=10) == accepted
    assert await store.undispatched(after=0, limit=2) == accepted[:2]
    assert await store.undispatched(after=accepted[1].message_id, limit=2) == accepted[2:4]


async def test_a_watermark_marks_what_is_up_to_it_and_nothing_else(store):
    outcomes = await store.commit([new(str(n), room=room) for room in "xy" for n in range(3)])
    epoch = outcomes[0].message.epoch
    assert await store.commit([], dispatched={"x": Head(epoch, 2)}) == []
    assert [message.status for message in await store.read("x", limit=9)] == [1, 1, 0]
    assert [message.status for message in await store.read("y", limit=9)] == [0, 0, 0]
    assert ids(await store.undispatched(after=0, limit=9)) == ids(o.message for o in outcomes[2:])


async def test_a_watermark_comes_with_a_batch_and_leaves_the_batch_alone(store):
    (first,) = await store.commit([new("a")])
    (second,) = await store.commit([new("b")], dispatched={"lobby": Head(first.message.epoch, 1)})
    assert [message.status for message in await store.read("lobby", limit=9)] == [1, 0]
    assert await store.undispatched(after=0, limit=9) == [second.message]


async def test_a_watermark_never_falls(store):
    outcomes = await store.commit([new("a"), new("b"), new("c")])
    epoch = outcomes[0].message.epoch
    for offset in (2, 1, 0):
        await store.commit([], dispatched={"lobby": Head(epoch, offset)})
    assert [message.status for message in await store.read("lobby", limit=9)] == [1, 1, 0]


async def test_a_watermark_of_another_epoch_or_of_no_room_changes_nothing(store):
    await store.commit([new("a")])
    await store.commit([], dispatched={"lobby": Head("other", 1), "nowhere": Head("other", 9)})
    assert len(await store.undispatched(after=0, limit=9)) == 1
    assert (await store.head("nowhere")).offset == 0


async def test_the_repeated_key_of_a_dispatched_message_says_so(store):
    (first,) = await store.commit([new("a")])
    await store.commit([], dispatched={"lobby": Head(first.message.epoch, 1)})
    (again,) = await store.commit([new("a")])
    assert (again.duplicate, again.message.status) == (True, 1)


async def test_what_was_dispatched_stays_so_after_a_restart(database):
    async with database.open() as store:
        first, second = await store.commit([new("a"), new("b")])
        await store.commit([], dispatched={"lobby": Head(first.message.epoch, 1)})
    async with database.open() as store:
        assert await store.undispatched(after=0, limit=9) == [second.message]


async def dispatched_messages(store, count, *, room="lobby", timestamp=1_000):
    """So many messages, one ms apart, all handed on."""
    batch = [new(str(n), room=room, timestamp=timestamp + n) for n in range(count)]
    outcomes = await store.commit(batch)
    await store.commit([], dispatched={room: Head(outcomes[0].message.epoch, count)})


def expiry(*, older_than=None, keep=None, never_after=2_000):
    return Expiry(older_than=older_than, keep=keep, never_after=never_after)


async def kept(store, room="lobby"):
    return [message.offset for message in await store.read(room, after=0, limit=100)]


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        pytest.param({"older_than": 1_004}, 5, id="age"),
        pytest.param({"keep": 3}, 8, id="count"),
        pytest.param({"older_than": 1_004, "keep": 3}, 8, id="whichever-says-more"),
        pytest.param({"keep": 3, "never_after": 1_002}, 3, id="never-what-keys-need"),
        pytest.param({"older_than": 9_999}, 11, id="all"),
        pytest.param({"older_than": 1_000}, 1, id="nothing"),
    ],
)
async def test_what_has_expired_is_deleted_from_the_beginning(store, rule, first):
    await dispatched_messages(store, 10)
    pruned = await store.prune(expiry(**rule), after="", limit=100)
    assert pruned.first == ({"lobby": first} if first > 1 else {})
    assert pruned.after is None
    assert await kept(store) == list(range(first, 11))


async def test_offsets_go_on_where_everything_was_deleted(store):
    await dispatched_messages(store, 3)
    await store.prune(expiry(older_than=9_999), after="", limit=100)
    assert (await store.head("lobby")).offset == 3
    (outcome,) = await store.commit([new("next")])
    assert outcome.message.offset == 4


async def test_what_was_not_handed_on_is_not_deleted_nor_what_follows_it(store):
    outcomes = await store.commit([new(str(n), timestamp=1_000) for n in range(4)])
    await store.commit([], dispatched={"lobby": Head(outcomes[0].message.epoch, 2)})
    await store.prune(expiry(older_than=9_999), after="", limit=100)
    assert await kept(store) == [3, 4]


async def test_a_step_deletes_no_more_than_its_limit_and_the_next_one_goes_on(store):
    for room in ("a", "b", "c"):
        await dispatched_messages(store, 4, room=room)
    after, steps = "", 0
    while after is not None:
        pruned = await store.prune(expiry(keep=1), after=after, limit=2)
        after, steps = pruned.after, steps + 1
        assert steps < 12
    assert [await kept(store, room) for room in ("a", "b", "c")] == [[4], [4], [4]]


async def test_many_rooms_take_several_steps(store):
    rooms = [f"r{n:03}" for n in range(120)]
    outcomes = await store.commit([new("a", room=room, timestamp=1) for room in rooms])
    epoch = {outcome.message.room: outcome.message.epoch for outcome in outcomes}
    await store.commit([], dispatched={room: Head(epoch[room], 1) for room in rooms})
    after: str | None = ""
    first = {}
    while after is not None:
        pruned = await store.prune(expiry(older_than=9), after=after, limit=1_000)
        first |= pruned.first
        after = pruned.after
    assert first == dict.fromkeys(rooms, 2)
