"""The ledger's two equations, over a crash and over the end of a room."""

from greenroom.actors.ledger import Ledger


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
        room.owed, room.delivered = 7, 6
        room.dropped["outbox sealed"] = 1
        ledger.close(name)
    ledger.close("never opened")
    assert ledger.rooms == {}
    assert (ledger.closed.accepted, ledger.closed.owed, ledger.closed.delivered) == (10, 14, 12)
    assert ledger.closed.dropped.total() == 2
