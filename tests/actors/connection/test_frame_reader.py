"""Frames come out whole, whatever the segments; what breaks the rules ends with its close code."""

import random
import struct

import pytest
from support.wire import MASK, frame, frame_head

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import (
    MAX_FRAGMENTS,
    WAITING_BYTES,
    FrameReader,
    Ping,
    unmask,
)
from greenroom.actors.connection.frames import close_frame

LIMIT = 70_000


def read(*segments: bytes, limit: int = LIMIT, reader: FrameReader | None = None) -> list:
    """Everything that a reader finds in these segments, up to an end."""
    reader = FrameReader(limit) if reader is None else reader
    found: list = []
    for segment in segments:
        reader.feed(segment, 0.0)
        while (message := reader.next_message()) is not None:
            found.append(message)
            if isinstance(message, Ending):
                return found
    return found


def code_of(found: list) -> int | None:
    assert isinstance(found[-1], Ending), found
    return found[-1].close


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack("!H", code) + reason)


# Messages.


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 1000, 65_535, 65_536])
def test_a_masked_text_or_binary_message_of_any_length_is_read(size):
    assert read(frame(1, b"x" * size)) == ["x" * size]
    assert read(frame(2, b"\xff" * size)) == [b"\xff" * size]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 1001])
def test_unmasking_is_the_xor_of_the_standard(size):
    payload, key = bytes(range(256)) * 4, b"\x00\xff\x5a\x13"
    expected = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload[:size]))
    assert unmask(payload[:size], key) == expected


@pytest.mark.parametrize("seed", range(20))
def test_how_the_bytes_are_cut_into_segments_makes_no_difference(seed):
    rng = random.Random(seed)
    texts = ["ä" * rng.choice([0, 1, 50, 70, 200, 20_000]) for _ in range(10)]
    data = b"".join(frame(1, text.encode()) for text in texts)
    segments = []
    while data:
        size = rng.choice([1, 2, 5, 7, 100, 16_384])
        segments.append(data[:size])
        data = data[size:]
    assert read(*segments) == texts


def test_the_size_is_in_bytes():
    reader = FrameReader(LIMIT)
    assert read(frame(1, "€".encode()), reader=reader) == ["€"]
    assert reader.size == 3
    assert read(frame(1, b"\xe2", fin=False), frame(0, b"\x82\xac"), reader=reader) == ["€"]
    assert reader.size == 3


@pytest.mark.parametrize("opcode", [1, 2])
def test_fragments_make_one_message_with_control_frames_in_between(opcode):
    data = (
        frame(opcode, b"Hel", fin=False)
        + frame(9, b"?")
        + frame(0, b"", fin=False)
        + frame(10, b"unasked for")
        + frame(0, b"lo", fin=True)
        + frame(opcode, b"next")
    )
    whole, following = (b"Hello", b"next") if opcode == 2 else ("Hello", "next")
    assert read(data) == [Ping(b"?"), whole, following]


def test_a_character_may_lie_across_fragments():
    text = "κόσμε".encode()
    pieces = [frame(0, bytes([byte]), fin=False) for byte in text[1:]]
    assert read(frame(1, text[:1], fin=False) + b"".join(pieces) + frame(0)) == ["κόσμε"]


def test_a_pong_is_dropped_and_a_ping_is_told():
    assert read(frame(10, b"x") + frame(9) + frame(9, b"x" * 125) + frame(1, b"a")) == [
        Ping(b""),
        Ping(b"x" * 125),
        "a",
    ]


# Ends.


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
)
def test_a_close_is_answered_with_its_own_code(code):
    assert read(closing(code, "später".encode())) == [Ending(heard=code, answer=close_frame(code))]


def test_a_close_without_a_code_is_answered_without_one():
    assert read(frame(8)) == [Ending(heard=1005, answer=b"\x88\x00")]


def test_nothing_follows_an_end():
    for end in (closing(1000), frame(3), frame(1, b"\xff")):
        reader = FrameReader(LIMIT)
        assert read(frame(1, b"a") + end + frame(1, b"b") + frame(9), reader=reader)[0] == "a"
        assert reader.next_message() is None


FIRST = frame(1, b"a", fin=False)
VIOLATIONS = [
    *(
        (f"reserved bits {bits:03b}", bytes([0x81 | bits << 4, 0x80]) + MASK, 1002)
        for bits in range(1, 8)
    ),
    ("a reserved bit in a continuation", FIRST + bytes([0xC0, 0x80]) + MASK, 1002),
    ("a reserved bit in a ping", bytes([0xA9, 0x80]) + MASK, 1002),
    *((f"opcode {opcode}", frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("an unmasked text", frame(1, b"{}", masked=False), 1002),
    ("an unmasked ping", frame(9, b"?", masked=False), 1002),
    ("an unmasked close", frame(8, b"\x03\xe8", masked=False), 1002),
    ("an unmasked continuation", FIRST + frame(0, b"b", masked=False), 1002),
    ("a ping in fragments", frame(9, b"", fin=False), 1002),
    ("a pong in fragments", frame(10, b"", fin=False), 1002),
    ("a close in fragments", frame(8, b"\x03\xe8", fin=False), 1002),
    ("a ping of 126 bytes", frame(9, b"x" * 126), 1002),
    ("a pong of 65,536 bytes", frame(10, b"x" * 65_536), 1002),
    ("a close of 126 bytes", closing(1000, b"x" * 124), 1002),
    ("a continuation of nothing", frame(0, b"x"), 1002),
    ("a first continuation of nothing", frame(0, b"x", fin=False), 1002),
    ("a continuation behind a whole message", frame(1, b"a") + frame(0, b"x"), 1002),
    ("a text within a text", FIRST + frame(1, b"b"), 1002),
    ("a binary within a text", FIRST + frame(2, b"b"), 1002),
    ("a first fragment within a text", FIRST + frame(1, b"b", fin=False), 1002),
    ("a close of one byte", frame(8, b"\x03"), 1002),
    *(
        (f"close code {code}", closing(code), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
    ("16 bits for a length of 125", bytes([0x81, 0xFE, 0, 125]) + MASK + bytes(125), 1002),
    ("64 bits for a length of 65,535", frame_head(65_535), 1002),
    ("64 bits for a length of 0", frame_head(0), 1002),
    ("64 bits with the top one set", frame_head(2**63), 1002),
    ("64 bits, all set", frame_head(2**64 - 1), 1002),
    ("bad UTF-8", frame(1, b"\xce\xba\xed\xa0\x80"), 1007),
    ("a text that ends within a character", frame(1, b"\xe2\x82"), 1007),
    ("a long text that ends within a character", frame(1, b"x" * 10_000 + b"\xe2\x82"), 1007),
    ("a fragmented text that does", frame(1, b"\xe2", fin=False) + frame(0, b"\x82"), 1007),
    ("a character begun and not gone on with", frame(1, b"\xe2", fin=False) + frame(0, b"a"), 1007),
    ("a surrogate", frame(1, b"\xed\xa0\x80"), 1007),
    ("a character beyond Unicode", frame(1, b"\xf4\x90\x80\x80"), 1007),
    ("an overlong slash", frame(1, b"\xc0\xaf"), 1007),
    ("bad UTF-8 in a close", closing(1000, b"\xff"), 1007),
    ("half a character in a close", closing(1000, b"\xe2\x82"), 1007),
    ("a byte too many", frame(1, b"x" * (LIMIT + 1)), 1009),
    ("far too many", frame_head(2**63 - 1), 1009),
    ("too many in two fragments", frame(1, b"x" * LIMIT, fin=False) + frame(0, b"x"), 1009),
    ("three bytes each", frame(1, ("€" * (LIMIT // 2)).encode()), 1009),
    ("too many fragments", FIRST + frame(0, fin=False) * MAX_FRAGMENTS, 1009),
]
CUTTABLE = [case for case in VIOLATIONS if len(case[1]) < 300]


@pytest.mark.parametrize(("name", "data", "code"), VIOLATIONS, ids=[case[0] for case in VIOLATIONS])
def test_a_violation_ends_with_its_code_and_what_was_said_before_counts(name, data, code):
    found = read(frame(1, b"before") + data + frame(1, b"after") * 3)
    assert found[0] == "before"
    assert code_of(found) == code
    assert "after" not in found


@pytest.mark.parametrize(("name", "data", "code"), CUTTABLE, ids=[case[0] for case in CUTTABLE])
def test_a_violation_is_found_wherever_the_segments_end(name, data, code):
    data = frame(1, b"before") + data
    for cut in range(1, len(data)):
        found = read(data[:cut], data[cut:])
        assert (found[0], code_of(found)) == ("before", code), cut
    found = read(*(data[at : at + 1] for at in range(len(data))))
    assert (found[0], code_of(found)) == ("before", code)


def test_a_violation_is_told_before_the_rest_of_its_frame_has_come():
    assert code_of(read(bytes([0xC1, 0xFF]))) == 1002
    assert code_of(read(frame_head(LIMIT + 1)[:10])) == 1009
    assert code_of(read(frame(1, b"x" * 100, fin=False), frame(0, b"y" * 69_901)[:10])) == 1009


def test_bad_utf8_is_told_at_once_in_fragments_and_in_large_frames_else_at_the_frame_s_end():
    bad = b"\xce\xba\xff"
    assert code_of(read(frame(1, b"ok", fin=False) + frame(0, bad + b"x" * 9_000)[:20])) == 1007
    assert code_of(read(frame(1, bad + b"x" * (WAITING_BYTES + 1))[:20])) == 1007
    small = frame(1, bad + b"x" * 100)
    assert read(small[:50]) == []
    assert code_of(read(small)) == 1007


# Bounds.


def test_the_limit_may_change_while_a_client_is_there():
    reader = FrameReader(100)
    assert read(frame(1, b"x" * 100), reader=reader) == ["x" * 100]
    reader.max_bytes = 200
    assert read(frame(1, b"x" * 200), reader=reader) == ["x" * 200]
    assert code_of(read(frame(1, b"x" * 201), reader=reader)) == 1009


def test_every_frame_is_counted_once_and_once_more_for_each_4_kib():
    data = (
        frame(1, b"easy")
        + frame(1, b"first", fin=False)
        + frame(0, b"", fin=False) * 5
        + frame(9, b"?")
        + frame(10)
        + frame(0, b"last")
        + frame(2, b"x" * 10_000)
        + frame(8)
    )
    whole, in_bytes = FrameReader(LIMIT), FrameReader(LIMIT)
    read(data, reader=whole)
    read(*(data[at : at + 1] for at in range(len(data))), reader=in_bytes)
    assert whole.frames == in_bytes.frames == 12 + 10_000 // 4096


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"x" * 100),
        frame(2, b"x" * 20_000),
        frame(1, b"x" * 100, fin=False) + frame(0, b"y" * 100, fin=False),
        frame(9, b"x" * 100),
    ],
    ids=["a small frame", "a large one", "fragments", "a ping"],
)
def test_what_is_begun_is_finished_within_its_time_or_ends_with_4005(data):
    reader = FrameReader(LIMIT, max_seconds=60)
    for at in range(61):
        reader.feed(data[at : at + 1], float(at))
        assert reader.next_message() is None
    reader.feed(data[61:62], 60.5)
    assert reader.next_message().close == 4005


def test_a_client_that_is_always_within_a_message_but_never_in_the_same_one_stays():
    reader = FrameReader(LIMIT, max_seconds=60)
    for data in (frame(1, b"x" * 100), frame(9, b"x" * 100), frame(10), FIRST + frame(0)):
        middle = len(data) // 2
        for at in range(1, 20):
            reader.feed(data[middle:] + data[:middle] if at > 1 else data[:middle], 10.0 * at)
            while (found := reader.next_message()) is not None:
                assert not isinstance(found, Ending)
        reader.feed(data[middle:], 200.0)
        while reader.next_message() is not None:
            pass


def test_pings_within_a_message_do_not_make_its_time_longer():
    reader = FrameReader(LIMIT, max_seconds=60)
    reader.feed(FIRST, 0.0)
    assert reader.next_message() is None
    for at in range(1, 7):
        reader.feed(frame(9, b"still here"), 10.0 * at)
        assert isinstance(reader.next_message(), Ping)
        assert reader.next_message() is None
    reader.feed(frame(9), 61.0)
    assert isinstance(reader.next_message(), Ping)
    assert reader.next_message().close == 4005


@pytest.mark.parametrize("opcode", [1, 2])
def test_what_is_held_is_the_message_and_not_its_fragments(opcode):
    """64 KiB in pieces of 64 bytes, of characters that take four bytes each as text of Python."""
    reader = FrameReader(65_536)
    piece = "\U0001f331".encode() * 16
    pieces = frame(opcode, piece, fin=False) + frame(0, piece, fin=False) * (MAX_FRAGMENTS - 2)
    for at in range(0, len(pieces), 4096):
        assert read(pieces[at : at + 4096], reader=reader) == []
    assert len(reader._message.data) == 64 * (MAX_FRAGMENTS - 1)
    assert len(reader._data) - reader._start < 14
    (whole,) = read(frame(0, piece), reader=reader)
    assert whole == (piece * MAX_FRAGMENTS if opcode == 2 else (piece * MAX_FRAGMENTS).decode())


def test_bytes_that_come_one_by_one_are_not_copied_again_and_again():
    """What came is kept apart from what comes: only the beginning of a frame is looked at again."""
    reader = FrameReader(LIMIT)
    data = frame(1, b"x" * WAITING_BYTES) + frame(2, b"x" * (LIMIT - 1))
    longest = 0
    for at in range(len(data)):
        reader.feed(data[at : at + 1], 0.0)
        while reader.next_message() is not None:
            pass
        if at > WAITING_BYTES + 100:
            longest = max(longest, len(reader._data))
    assert longest < 14
