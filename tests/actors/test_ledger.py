"""The ledger's two equations, over crashes, leaves and the end of a room; where history came from.

Over random scenarios they are held by `tests/proofs/test_ledger.py`.
"""

import trio
from support.cast_stage import open_stage

from greenroom.actors.ledger import Copies, Ledger, MemberLedger, RoomLedger


def room_of(*members: MemberLedger, sent: int = 0) -> RoomLedger:
    """A room that has sent so many messages since these members came."""
    room = RoomLedger()
    room.stands_at("e", 10)
    for number, member in enumerate(members):
        room.enter(member, user=f"user-{number}", connection=f"{number}")
    room.stands_at("e", 10 + sent)
    return room


def test_a_crash_leaves_nothing_pending():
    room = Ledger().room("lobby")
    room.published, room.accepted = 10, 6
    room.refused["not available"] = 1
    assert room.pending == 3
    room.crashed()
    assert room.pending == 0
    assert room.refused["room crashed"] == 3


def test_a_room_that_ends_is_summed_up():
    ledger = Ledger()
    for name in ("one", "two"):
        room = ledger.room(name)
        room.published = room.accepted = 5
        room.left = Copies(accepted=7, own=1, delivered=5, dropped={"outbox sealed": 1})
        ledger.close(name)
    ledger.close("never opened")
    assert ledger.rooms == {}
    assert ledger.closed.accepted == 10
    assert ledger.closed.left == Copies(
        accepted=14, own=2, delivered=10, dropped={"outbox sealed": 2}
    )


def test_a_message_that_passes_a_member_by_is_pending():
    told, forgotten = MemberLedger(), MemberLedger()
    room = room_of(told, forgotten, sent=3)
    told.own, told.delivered = 1, 2
    forgotten.delivered = 2
    assert [member.copies.pending for member in room.snapshot().members] == [0, 1]


def test_what_was_said_before_a_member_came_is_not_for_it():
    room = room_of(sent=3)
    late, missed_one = MemberLedger(), MemberLedger()
    room.enter(late, user="late", connection="1")
    room.enter(missed_one, user="late", connection="2", missed=1)
    assert [member.copies.accepted for member in room.snapshot().members] == [0, 1]


def test_a_member_goes_on_after_a_crash_of_its_room():
    """What the archive had and the room did not send any more is pending until it comes back."""
    member = MemberLedger()
    room = room_of(member, sent=2)
    member.delivered = 2
    room.crashed()
    room.stands_at("e", 15)  # the archive says so
    assert room.copies().pending == 3
    room.enter(member, user="user-0", connection="0", missed=3)
    member.delivered += 3
    assert room.copies() == Copies(accepted=5, delivered=5)


def test_another_epoch_brings_nothing_by_itself():
    room = room_of(MemberLedger(), sent=2)
    room.stands_at("other", 100)
    assert room.sent == 2
    room.stands_at("other", 101)
    assert room.sent == 3


def test_what_is_pending_for_a_member_that_leaves_is_dropped():
    member = MemberLedger()
    room = room_of(member, sent=3)
    member.delivered = 2
    room.leave(member)
    room.leave(member)  # it is not there any more
    room.stands_at("e", 50)
    assert room.snapshot().members == ()
    assert room.left == Copies(accepted=3, delivered=2, dropped={"left": 1})


def test_who_does_not_come_back_after_a_crash_is_summed_up_too():
    back, gone = MemberLedger(), MemberLedger(gone=True)
    room = room_of(back, gone, sent=1)
    room.sweep()
    assert list(room.members) == [back]
    assert room.left.dropped == {"left": 1}


async def test_each_member_s_copies_are_what_it_has_seen(autojump_clock):
    async with open_stage() as stage:
        ann, bob = [await stage.member(user, "lobby") for user in ("ann", "bob")]
        for number in range(4):
            await ann.publish("lobby", f"{number}", echo=not number)
        carol = await stage.member("carol", "lobby")
        await bob.publish("lobby", "last")
        await carol.next("MESSAGE")
        ledger = stage.services.ledger
        seen = {member.user: member.copies for member in ledger.snapshot()["lobby"].members}
        assert seen == {
            "ann": Copies(accepted=5, own=3, delivered=2),
            "bob": Copies(accepted=5, own=1, delivered=4),
            "carol": Copies(accepted=1, delivered=1),
        }
        await ann.ask("LEAVE", room="lobby")
        await carol.publish("lobby", "without her")
        room = ledger.snapshot()["lobby"]
        assert [member.user for member in room.members] == ["bob", "carol"]
        assert room.left == seen["ann"]


def test_the_total_counts_rooms_that_live_and_rooms_that_have_ended():
    ledger = Ledger()
    for name in ("one", "two"):
        room = ledger.room(name)
        room.published, room.from_ring, room.from_archive = 5, 3, 1
    ledger.close("one")
    assert ledger.total().published == 10
    assert ledger.total().ring_hit_rate == 0.75
    assert Ledger().total().ring_hit_rate is None


async def test_answers_from_memory_are_told_from_those_of_the_archive(autojump_clock):
    async with open_stage(ring_messages=3) as stage:
        ann = await stage.member("ann", "lobby")
        for content in "abcdef":
            await ann.publish("lobby", content)
        ledger = stage.services.ledger.room("lobby")
        at = {"epoch": "e-lobby"}
        await ann.ask("HISTORY", room="lobby", limit=3)
        await ann.ask("HISTORY", room="lobby", since={**at, "offset": 4})
        assert (ledger.from_ring, ledger.from_archive) == (2, 0)
        await ann.ask("HISTORY", room="lobby", limit=4)
        assert (ledger.from_ring, ledger.from_archive) == (2, 1)
        await ann.ask("HISTORY", room="lobby", since={"epoch": "other", "offset": 4})
        for number, offset in enumerate((3, 6, 1)):  # in the ring, nothing missed, beyond the ring
            bob = await stage.client(f"bob-{number}")
            await bob.joined("lobby", since={**at, "offset": offset})
        await stage.member("carol", "lobby")
        assert (ledger.from_ring, ledger.from_archive) == (3, 2)
        assert ledger.ring_hit_rate == 3 / 5


async def test_messages_that_a_gap_tells_of_were_owed_and_dropped(autojump_clock):
    """A member that was there when they were said, and could not be given them after a crash."""
    async with open_stage(max_recovered_messages=1) as stage:
        ann, bob = [await stage.member(user, "lobby") for user in ("ann", "bob")]
        stage.store.gate = trio.Event()
        for number in range(3):
            await bob.send(type="PUBLISH", id=number, room="lobby", content="x", key=f"{number}")
        await trio.sleep(0.1)
        await stage.cast.rooms.ref("lobby").tell("a message that no room understands")
        await trio.sleep(0.1)
        stage.store.gate.set()
        gap = await ann.next("GAP")
        assert (gap["from"], gap["to"]) == (1, 3)
        ledger = stage.services.ledger.room("lobby")
        # bob has his ACKs, which nobody could know
        assert ledger.copies() == Copies(accepted=6, dropped={"gap too_many": 6})
