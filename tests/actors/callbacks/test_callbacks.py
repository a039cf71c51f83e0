"""Callbacks through the whole cast: a receiver that fails, stalls, refuses; crashes; restarts."""

import itertools

import pytest
import trio
from support.callback_fakes import BAD_CONTENT, DOWN, REFUSED, receiver
from support.cast_pieces import new_message
from support.cast_stage import FakeStore, open_stage, until
from support.unlimited import NO_LIMITS

from greenroom.actors.callbacks.events import EventKind
from greenroom.actors.callbacks.feed import Happened
from greenroom.actors.callbacks.ports import SinkUnavailable
from greenroom.supervisor import InboxFull

MESSAGES = {"kinds": frozenset({EventKind.MESSAGE})}


async def publish(client, room, contents):
    for content in contents:
        assert (await client.publish(room, content))["type"] == "ACK"


def statuses(store, room):
    return [row.status for row in store.rows[room]]


async def test_a_message_is_called_back_and_its_row_marked(autojump_clock):
    to = receiver(**MESSAGES)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one", "two"])
        await until(lambda: statuses(stage.store, "lobby") == [1, 1])
        first, second = to.sink.events("lobby")
        assert first == {
            "id": "lobby/e-lobby/1",
            "type": "message",
            "room": "lobby",
            "epoch": "e-lobby",
            "offset": 1,
            "message_id": 1,
            "user": "ann",
            "content": "one",
            "timestamp": first["timestamp"],
        }
        assert second["id"] == "lobby/e-lobby/2"
        assert to.state.statistics().delivered == 2
        assert to.state.statistics().rooms == 0


async def test_what_was_handed_to_members_only_stays_at_status_0(autojump_clock):
    to = receiver(**MESSAGES)
    to.sink.trouble = DOWN
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await publish(ann, "lobby", ["one"])
        assert (await bob.next("MESSAGE"))["content"] == "one"
        await trio.sleep(100)
        assert statuses(stage.store, "lobby") == [0]


async def test_a_receiver_that_is_away_gets_everything_in_order_later(autojump_clock):
    to = receiver(**MESSAGES)
    to.sink.trouble = DOWN
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await ann.joined("den")
        for n in range(150):
            await publish(ann, ("lobby", "den")[n % 2], [str(n)])
        await trio.sleep(600)
        assert to.state.statistics().waiting == 0, "nothing is kept in memory meanwhile"
        to.sink.trouble = None
        await trio.sleep(62)
        assert statuses(stage.store, "lobby") == statuses(stage.store, "den") == [1] * 75
        assert to.sink.offsets("lobby") == to.sink.offsets("den") == list(range(1, 76))
        assert to.state.statistics().dead == 0


async def test_attempts_are_further_and_further_apart(autojump_clock):
    to = receiver(**MESSAGES, patience_seconds=10_000.0)
    to.sink.fail_next = 10
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await trio.sleep(700)
        asked = to.sink.asked
        assert {id for id, _, _ in asked} == {asked[0][0]}
        assert [attempt for _, attempt, _ in asked] == list(range(1, 12))
        pauses = [b[2] - a[2] for a, b in itertools.pairwise(asked)]
        for n, pause in enumerate(pauses):
            longest = min(60, 2**n)
            assert longest / 2 <= pause <= longest + 0.1


async def test_the_receivers_wish_for_a_pause_is_kept_within_bounds(autojump_clock):
    to = receiver(**MESSAGES, longest_pause_seconds=100.0)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        to.sink.trouble = SinkUnavailable("answered 429", 30.0)
        await publish(ann, "lobby", ["one"])
        await trio.sleep(35)
        to.sink.trouble = SinkUnavailable("answered 429", 1e9)
        await trio.sleep(165)
        first, second, third, fourth = (when for _, _, when in to.sink.asked)
        assert 30 <= second - first < 31
        assert 100 <= fourth - third < 101


async def test_a_refused_request_is_a_dead_letter_at_once_and_the_next_one_goes(autojump_clock):
    to = receiver(**MESSAGES)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        to.sink.trouble = REFUSED
        await publish(ann, "lobby", ["one"])
        await until(lambda: to.dead.letters)
        to.sink.trouble = None
        await publish(ann, "lobby", ["two"])
        await until(lambda: statuses(stage.store, "lobby") == [1, 1])
        assert to.sink.said("lobby") == ["two"]
        (dead,) = to.dead.letters.values()
        assert (dead.reason, dead.attempts, dead.callback.events) == ("answered 404", 1, 1)
        assert to.state.statistics().dead == 1


async def test_of_a_refused_request_only_the_event_it_is_about_dies(autojump_clock):
    to = receiver(**MESSAGES)
    to.sink.refuses = lambda body: (
        BAD_CONTENT if any(e["content"] == "bad" for e in body["events"]) else None
    )
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        to.sink.gate = trio.Event()
        await publish(ann, "lobby", ["0"])
        await publish(ann, "lobby", [*map(str, range(1, 20)), "bad", *map(str, range(20, 40))])
        to.sink.gate.set()
        await until(lambda: statuses(stage.store, "lobby") == [1] * 41)
        assert to.sink.said("lobby") == [str(n) for n in range(40)]
        (dead,) = to.dead.letters.values()
        assert dead.callback.events == 1


async def test_patience_ends_with_a_dead_letter(autojump_clock):
    to = receiver(**MESSAGES, patience_seconds=100.0)
    to.sink.trouble = DOWN
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await trio.sleep(99)
        assert not to.dead.letters
        await trio.sleep(70)
        (dead,) = to.dead.letters.values()
        assert dead.attempts == len(to.sink.asked) > 5
        await until(lambda: statuses(stage.store, "lobby") == [1])


async def test_while_the_dead_letter_list_is_full_nothing_is_given_up(autojump_clock):
    to = receiver(**MESSAGES)
    to.sink.trouble = REFUSED
    to.dead.full = True
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one", "two"])
        await trio.sleep(5_000)
        assert statuses(stage.store, "lobby") == [0, 0]
        to.sink.trouble = None
        await trio.sleep(62)
        assert statuses(stage.store, "lobby") == [1, 1]
        assert to.sink.said("lobby") == ["one", "two"]


async def test_a_dead_letter_list_that_gets_full_is_said_once(autojump_clock, caplog):
    to = receiver(**MESSAGES)
    to.sink.trouble = REFUSED
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await until(lambda: to.dead.letters)
        to.dead.full = True
        await publish(ann, "lobby", ["two"])
        await trio.sleep(500)
        to.dead.full = False
        await until(lambda: len(to.dead.letters) == 2, seconds=100)
    said = [record.getMessage() for record in caplog.records if "callbacks" in record.name]
    assert [line.partition(":")[0] for line in said] == ["callbacks are given up", "callbacks wait"]


async def test_a_marked_dead_letter_is_sent_again_and_taken_off_the_list(autojump_clock):
    to = receiver(**MESSAGES)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        to.sink.trouble = REFUSED
        await publish(ann, "lobby", ["one"])
        await until(lambda: to.dead.letters)
        (id,) = to.dead.letters
        to.dead.marked.add(id)
        await until(lambda: not to.dead.marked)
        assert to.dead.letters[id].attempts == 2, "refused again: it stays, unmarked"
        to.sink.trouble = DOWN
        to.dead.marked.add(id)
        await trio.sleep(60)
        assert to.dead.marked == {id}, "nobody there: it stays, marked"
        to.sink.trouble = None
        await until(lambda: not to.dead.letters)
        assert to.sink.said("lobby") == ["one"]
        assert to.sink.asked[-1][0] == id
        assert to.state.statistics().replayed == 1


async def test_a_room_that_fails_does_not_hold_up_the_others(autojump_clock):
    to = receiver(**MESSAGES, in_flight=2)
    to.sink.refuses = lambda body: DOWN if body["room"] == "bad" else None
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "bad")
        await ann.joined("good")
        await publish(ann, "bad", ["one"])
        await until(lambda: len(to.sink.asked) == 3)
        await publish(ann, "good", ["two"])
        await until(lambda: statuses(stage.store, "good") == [1], seconds=3)


async def test_a_stalling_receiver_holds_up_neither_rooms_nor_more_than_its_turns(autojump_clock):
    to = receiver(**MESSAGES, in_flight=3)
    to.sink.gate = trio.Event()
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "r0")
        for n in range(1, 6):
            await ann.joined(f"r{n}")
        for n in range(60):
            await publish(ann, f"r{n % 6}", [str(n)])
        assert to.sink.most_under_way == to.state.statistics().in_flight == 3
        to.sink.gate.set()
        await until(lambda: all(statuses(stage.store, f"r{n}") == [1] * 10 for n in range(6)))
        assert all(to.sink.offsets(f"r{n}") == list(range(1, 11)) for n in range(6))


async def test_what_an_earlier_life_left_comes_first_and_under_the_same_ids(autojump_clock):
    store, to = FakeStore(), receiver(**MESSAGES)
    to.sink.trouble = DOWN
    async with open_stage(store, receiver=to, rates=NO_LIMITS) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", [str(n) for n in range(450)])
    again = receiver(**MESSAGES)
    store.gate = trio.Event()
    async with open_stage(store, receiver=again) as stage:
        store.gate.set()
        bob = await stage.member("bob", "lobby")
        await publish(bob, "lobby", ["new"])
        await until(lambda: statuses(store, "lobby") == [1] * 451)
    assert again.sink.offsets("lobby") == list(range(1, 452))
    assert again.sink.events("lobby")[0]["id"] == "lobby/e-lobby/1"


async def test_new_messages_wait_until_older_ones_of_their_room_were_found(autojump_clock):
    """The store is slow to tell what an earlier life left, and the room does not wait for that."""
    store, to = FakeStore(), receiver(**MESSAGES)
    to.sink.trouble = DOWN
    async with open_stage(store, receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["old"])
    again = receiver(**MESSAGES)
    slow, undispatched = trio.Event(), store.undispatched

    async def wait(**which):
        await slow.wait()
        return await undispatched(**which)

    store.undispatched = wait
    async with open_stage(store, receiver=again) as stage:
        bob = await stage.member("bob", "lobby")
        await publish(bob, "lobby", ["new"])
        await trio.sleep(10)
        assert again.sink.taken == []
        slow.set()
        await until(lambda: statuses(store, "lobby") == [1, 1])
    assert again.sink.said("lobby") == ["old", "new"]


async def test_a_crash_of_the_actor_loses_nothing_and_keeps_the_order(autojump_clock):
    to = receiver()
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        bug, deliver = RuntimeError("a bug"), to.sink.deliver
        crashes = 0

        async def crash(callback, *, attempt):
            nonlocal crashes
            if len(to.sink.asked) % 4 == 3 and crashes < 5:
                crashes += 1
                await deliver(callback, attempt=attempt)
                raise bug
            await deliver(callback, attempt=attempt)

        to.sink.deliver = crash
        for n in range(60):
            await publish(ann, "lobby", [str(n)])
            if n % 10 == 5:
                await trio.sleep(1)
        await until(lambda: statuses(stage.store, "lobby") == [1] * 60)
        assert crashes == 5
        offsets = to.sink.offsets("lobby")
        assert list(dict.fromkeys(offsets)) == list(range(1, 61))
        assert sorted(set(offsets)) == list(range(1, 61))


async def test_a_crash_of_the_archive_hides_no_message(autojump_clock):
    """Stored, and then the archive crashed before it could tell: the history is asked again."""
    to = receiver(**MESSAGES)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        stage.store._store(new_message("hidden", key="h"))
        stage.store.crash_next = 1
        await publish(ann, "lobby", ["three"])
        await until(lambda: statuses(stage.store, "lobby") == [1, 1, 1])
        assert to.sink.said("lobby") == ["one", "hidden", "three"]


async def test_a_commit_that_nobody_heard_of_is_called_back_all_the_same(autojump_clock):
    to = receiver(**MESSAGES)
    async with open_stage(receiver=to, commit_patience_seconds=0.01) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        stage.store.commit_then_fail = 1
        assert (await ann.publish("lobby", "two"))["code"] == 108
        await publish(ann, "lobby", ["three"])
        await until(lambda: statuses(stage.store, "lobby") == [1, 1, 1])
        assert to.sink.said("lobby") == ["one", "two", "three"]


async def test_more_rooms_than_lanes_are_called_back_one_after_the_other(autojump_clock):
    to = receiver(**MESSAGES, max_lanes=3)
    to.sink.gate = trio.Event()
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "r0")
        for n in range(1, 12):
            await ann.joined(f"r{n}")
        for n in range(36):
            await publish(ann, f"r{n % 12}", [str(n)])
        assert to.state.statistics().rooms == 3
        to.sink.gate.set()
        await until(lambda: all(statuses(stage.store, f"r{n}") == [1] * 3 for n in range(12)))
        for n in range(12):
            assert to.sink.offsets(f"r{n}") == [1, 2, 3]


async def test_a_receiver_without_an_answer_gets_the_same_request_again(autojump_clock):
    to = receiver(**MESSAGES)
    to.sink.take_then_fail = 1
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await until(lambda: statuses(stage.store, "lobby") == [1])
        assert to.sink.said("lobby") == ["one", "one"]
        assert to.sink.asked[0][0] == to.sink.asked[1][0]
        assert to.state.statistics().retried == 1


async def test_a_node_that_stops_waits_for_the_request_under_way(autojump_clock):
    to = receiver(**MESSAGES)
    store = FakeStore()
    async with open_stage(store, receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        to.sink.delay_seconds = 2.0
        await publish(ann, "lobby", ["one"])
        await trio.sleep(0.5)
    assert to.sink.said("lobby") == ["one"]
    assert statuses(store, "lobby") == [1]


async def test_a_node_that_stops_does_not_wait_for_a_receiver_that_stalls(autojump_clock):
    to = receiver(**MESSAGES)
    store = FakeStore()
    to.sink.gate = trio.Event()
    async with open_stage(store, receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        before = trio.current_time()
    assert (
        3 <= trio.current_time() - before <= 5
    )  # of which 2 are the client's, who does not say goodbye
    assert statuses(store, "lobby") == [0]


async def test_without_a_receiver_rooms_are_marked_when_fanned_out(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await until(lambda: statuses(stage.store, "lobby") == [1])


async def test_what_finds_the_actor_s_inbox_full_is_found_in_the_history(autojump_clock):
    to = receiver()
    async with open_stage(receiver=to) as stage:
        ref, feed = stage.sup.ref("callbacks"), stage.cast.callbacks
        await trio.sleep(1)
        one = stage.store._store(new_message("one", key="1"))
        with pytest.raises(InboxFull):
            while True:
                ref.tell_nowait(Happened(room="", epoch="", after=0, events=[]))
        feed.stored([one])
        feed.connected("ann", first=True)
        await trio.sleep(1)
        feed.stored([stage.store._store(new_message("two", key="2"))])
        await until(lambda: statuses(stage.store, "lobby") == [1, 1])
        assert to.sink.said("lobby") == ["one", "two"]
        assert to.state.statistics().dropped == 1


async def test_looking_again_tells_nothing_twice_that_was_called_back_meanwhile(autojump_clock):
    """The scan reads its rows, then waits for a place; by then some of them are called back."""
    store = FakeStore()
    for room in ("a", "b", "c"):
        for n in range(3):
            store._store(new_message(f"{n}", room=room, key=f"{n}"))
    undispatched = store.undispatched

    async def mixed(*, after, limit):
        found = await undispatched(after=after, limit=limit)
        return sorted(found, key=lambda row: row.offset)

    store.undispatched = mixed
    to = receiver(**MESSAGES, max_lanes=1)
    async with open_stage(store, receiver=to):
        await until(lambda: all(statuses(store, room) == [1] * 3 for room in ("a", "b", "c")))
    assert [to.sink.said(room) for room in ("a", "b", "c")] == [["0", "1", "2"]] * 3


# Who comes and goes.

PRESENCE = {"kinds": frozenset(EventKind) - {EventKind.MESSAGE}}


def told(events):
    return [(event["type"], event.get("user")) for event in events]


async def test_joins_and_leaves_stand_between_the_messages(autojump_clock):
    to = receiver()
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await trio.sleep(1)
        await publish(ann, "lobby", ["one"])
        bob = await stage.member("bob", "lobby")
        await trio.sleep(1)
        await publish(ann, "lobby", ["two"])
        await bob.ask("LEAVE", room="lobby")
        await trio.sleep(1)
        assert told(to.sink.events("lobby")) == [
            ("joined", "ann"),
            ("message", "ann"),
            ("joined", "bob"),
            ("message", "ann"),
            ("left", "bob"),
        ]
        ids = [event["id"] for event in to.sink.events()]
        assert len(set(ids)) == len(ids)


async def test_only_the_first_and_the_last_tab_are_called_back(autojump_clock):
    to = receiver(**PRESENCE)
    async with open_stage(receiver=to) as stage:
        tabs = [await stage.member("ann", "lobby") for _ in range(2)]
        await trio.sleep(1)
        for tab in tabs:
            await tab.ws.aclose()
            await trio.sleep(1)
        assert told(to.sink.events("lobby")) == [("joined", "ann"), ("left", "ann")]
        assert told(to.sink.events(None)) == [
            ("first_connection", "ann"),
            ("last_connection", "ann"),
        ]


async def test_in_a_crowd_of_which_members_hear_only_the_number_names_are_called_back(
    autojump_clock,
):
    to = receiver(**PRESENCE)
    async with open_stage(receiver=to) as stage:
        for n in range(103):
            await stage.member(f"u{n}", "lobby")
        await trio.sleep(1)
        assert [user for _, user in told(to.sink.events("lobby"))] == [f"u{n}" for n in range(103)]


async def test_presence_waits_for_nobody_where_messages_are_not_called_back(autojump_clock):
    to = receiver(**PRESENCE)
    async with open_stage(receiver=to) as stage:
        ann = await stage.member("ann", "lobby")
        await publish(ann, "lobby", ["one"])
        await stage.member("bob", "lobby")
        await trio.sleep(1)
        assert told(to.sink.events("lobby")) == [("joined", "ann"), ("joined", "bob")]
        await until(lambda: statuses(stage.store, "lobby") == [1])


async def test_a_registry_that_crashed_calls_nobody_back_again(autojump_clock):
    to = receiver(**PRESENCE)
    async with open_stage(receiver=to) as stage:
        ann = await stage.client("ann")
        await stage.cast.registry.tell("not understood")
        await trio.sleep(1)
        assert (await stage.sessions_of("ann")) != ()
        await ann.ws.aclose()
        await trio.sleep(1)
        assert told(to.sink.events(None)) == [
            ("first_connection", "ann"),
            ("last_connection", "ann"),
        ]


async def test_presence_beyond_its_bound_is_dropped_counted_and_said(autojump_clock):
    to = receiver(**PRESENCE, max_moments=2)
    to.sink.trouble = DOWN
    async with open_stage(receiver=to, heartbeat_seconds=1000.0) as stage:
        for n in range(5):
            await stage.member(f"u{n}", "lobby")
            await trio.sleep(0.2)
        to.sink.trouble = None
        await trio.sleep(60)
        joined = to.sink.events("lobby", "joined")
        counts = [event["count"] for event in to.sink.events("lobby", "dropped")]
        assert [event["user"] for event in joined] == ["u0", "u1"]
        assert sum(counts) == 3
        assert to.state.statistics().dropped >= 3


async def test_ephemeral_rooms_call_back_only_where_that_is_wished(autojump_clock):
    for wished in (False, True):
        to = receiver(ephemeral=wished)
        async with open_stage(receiver=to) as stage:
            ann = await stage.member("ann", "ephemeral:cursor")
            await trio.sleep(1)
            await publish(ann, "ephemeral:cursor", ["one", "two"])
            await trio.sleep(1)
            assert to.sink.said("ephemeral:cursor") == (["one", "two"] if wished else [])
            assert len(to.sink.events("ephemeral:cursor")) == (3 if wished else 0)


async def test_a_crash_of_the_actor_keeps_what_nobody_can_read_again(autojump_clock):
    to = receiver(**PRESENCE)
    to.sink.trouble = DOWN
    async with open_stage(receiver=to, heartbeat_seconds=1000.0) as stage:
        await stage.member("ann", "lobby")
        await trio.sleep(1)
        to.sink.trouble = RuntimeError("a bug")
        await trio.sleep(3)
        to.sink.trouble = None
        await trio.sleep(60)
        assert told(to.sink.events("lobby")) == [("joined", "ann")]
