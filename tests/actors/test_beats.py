"""Who is called back, when, and how many at a time; MockClock's time."""

import itertools

import pytest
import trio

from greenroom.actors.beats import CALLS_PER_PASS, SLOT_SECONDS, Beats
from greenroom.protocol import JSON_CODEC, PROTOBUF_CODEC


@pytest.fixture
async def beats(nursery):
    beats = Beats(itertools.count(1).__next__)
    nursery.start_soon(beats.serve)
    await trio.testing.wait_all_tasks_blocked()
    return beats


async def test_everybody_is_called_once_and_at_most_a_slot_late(beats, autojump_clock):
    called = {}
    started = trio.current_time()
    for seconds in (7.03, 0.3, 3.0, 0.31, 20.0):
        beats.call_at(
            started + seconds,
            lambda seconds=seconds: called.setdefault(seconds, []).append(trio.current_time()),
        )
    await trio.sleep(60)
    assert sorted(called) == [0.3, 0.31, 3.0, 7.03, 20.0]
    for seconds, times in called.items():
        (at,) = times
        assert 0 <= at - (started + seconds) < SLOT_SECONDS


async def test_who_is_forgotten_is_not_called(beats, autojump_clock):
    def never():
        raise AssertionError("called")

    beats.forget(beats.call_at(trio.current_time() + 1, never), never)
    await trio.sleep(2)


async def test_whoever_is_called_may_make_it_forget_those_of_the_same_slot(beats, autojump_clock):
    called = []
    slot = 0

    def make(number):
        def call():
            called.append(number)
            for other in calls:
                beats.forget(slot, other)

        return call

    calls = [make(number) for number in range(5)]
    for call in calls:
        slot = beats.call_at(trio.current_time() + 1, call)
    await trio.sleep(2)
    assert len(called) == 1


async def test_whoever_is_called_may_ask_for_an_earlier_call_than_any(beats, autojump_clock):
    called = []

    def again():
        called.append(trio.current_time())
        if len(called) < 3:
            beats.call_at(0.0, again)

    at = trio.current_time() + 1
    beats.call_at(at, again)
    await trio.sleep(2)
    assert called == pytest.approx([at] * 3, abs=SLOT_SECONDS)


async def test_a_crowd_that_is_due_at_once_leaves_the_others_their_turn(beats, autojump_clock):
    called, seen = [], []
    at = trio.current_time() + 1
    for number in range(10 * CALLS_PER_PASS):
        beats.call_at(at, lambda number=number: called.append(number))
    await trio.sleep(1)
    while len(called) < 10 * CALLS_PER_PASS:
        seen.append(len(called))
        await trio.lowlevel.checkpoint()
    # Two passes lie between two looks at the most: the scheduler shuffles who goes first.
    assert max(b - a for a, b in itertools.pairwise(seen)) <= 2 * CALLS_PER_PASS


async def test_all_of_a_pass_get_the_same_bytes_and_the_next_pass_others(beats, autojump_clock):
    frames = []
    for seconds in (1, 1, 1, 2):
        beats.call_at(
            trio.current_time() + seconds,
            lambda: frames.append((beats.heartbeat(JSON_CODEC), beats.heartbeat(PROTOBUF_CODEC))),
        )
        beats.call_at(trio.current_time() + seconds, lambda: None)
    await trio.sleep(3)
    first, second, third, later = frames
    assert first is not later
    assert [frame[0] for frame in (first, second, third)] == [first[0]] * 3
    assert JSON_CODEC.decode_answer(first[0][2:].decode()).timestamp == 1
    assert PROTOBUF_CODEC.decode_answer(first[1][2:]).timestamp == 2
    assert JSON_CODEC.decode_answer(later[0][2:].decode()).timestamp == 3
