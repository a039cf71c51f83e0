"""The ring: what it remembers, what it admits to have forgotten."""

from support.cast_pieces import remembered

from greenroom.actors.room.ring import Ring


def ring_of(
    count: int, *, max_messages: int = 100, max_bytes: int = 10_000, start: int = 1
) -> Ring:
    ring = Ring(max_messages=max_messages, max_bytes=max_bytes)
    for offset in range(start, start + count):
        ring.append(remembered(offset))
    return ring


def offsets(entries) -> list[int] | None:
    return None if entries is None else [entry.message.offset for entry in entries]


def test_the_oldest_are_forgotten_by_number():
    assert offsets(ring_of(10, max_messages=3)) == [8, 9, 10]


def test_the_oldest_are_forgotten_by_bytes_but_the_newest_stays():
    ring = Ring(max_messages=10, max_bytes=10)
    for offset in range(1, 4):
        ring.append(remembered(offset, content="x" * 4))
    assert offsets(ring) == [2, 3]
    ring.append(remembered(4, content="x" * 100))
    assert offsets(ring) == [4]


def test_after_knows_what_it_does_not_know():
    ring = ring_of(10, max_messages=3)
    assert offsets(ring.after(7)) == [8, 9, 10]
    assert offsets(ring.after(9)) == [10]
    assert offsets(ring.after(10)) == []
    assert offsets(ring.after(7, limit=2)) == [8, 9]
    assert ring.after(6) is None
    assert Ring(max_messages=1, max_bytes=1).after(0) is None


def test_before_brings_the_nearest_and_knows_what_it_does_not_know():
    ring = ring_of(10, max_messages=5)
    assert offsets(ring.before(None, limit=2)) == [9, 10]
    assert offsets(ring.before(9, limit=3)) == [6, 7, 8]
    assert ring.before(8, limit=3) is None
    assert ring.before(3, limit=1) is None
    whole = ring_of(4)
    assert offsets(whole.before(3, limit=10)) == [1, 2]
    assert offsets(whole.before(1, limit=10)) == []
    assert offsets(whole.before(99, limit=2)) == [3, 4]


def test_a_hole_makes_everything_older_worthless():
    ring = ring_of(3)
    ring.append(remembered(7))
    assert offsets(ring) == [7]
