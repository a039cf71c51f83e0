"""The heartbeat clock, with `now` as a number: no clock, no sleep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import HeartbeatClock, Pulse


def pulses(clock: HeartbeatClock, until: float) -> list[tuple[float, Pulse]]:
    """Every pulse up to `until`, polled exactly when the clock asks for it."""
    found = []
    while clock.next_at <= until and (not found or found[-1][1] is not Pulse.GIVE_UP):
        now = clock.next_at
        found.append((now, clock.poll(now)))
    return found


def test_a_silent_peer_is_asked_at_20_unreachable_at_25_and_given_up_at_33() -> None:
    assert pulses(HeartbeatClock(now=100.0), until=1000.0) == [
        (120.0, Pulse.SEND_HEARTBEAT),
        (125.0, Pulse.UNREACHABLE),
        (133.0, Pulse.GIVE_UP),
    ]


def test_nothing_is_asked_before_its_time() -> None:
    clock = HeartbeatClock(now=0.0)
    assert clock.poll(19.999) is Pulse.NOTHING


def test_anything_received_starts_the_silence_again() -> None:
    clock = HeartbeatClock(now=0.0)
    assert [clock.poll(20.0), clock.poll(25.0)] == [Pulse.SEND_HEARTBEAT, Pulse.UNREACHABLE]
    clock.received(30.0)
    assert clock.next_at == 50.0
    assert clock.poll(33.0) is Pulse.NOTHING


def test_a_pause_is_no_silence_and_counting_starts_anew_after_it() -> None:
    clock = HeartbeatClock(now=0.0)
    clock.pause(10.0)
    clock.resume(1010.0)
    assert clock.next_at == 1030.0
    assert clock.poll(1029.0) is Pulse.NOTHING
    assert clock.poll(1030.0) is Pulse.SEND_HEARTBEAT


def test_a_paused_clock_only_asks_to_be_heard() -> None:
    """Whom we do not read from gets no echoes, so it needs HEARTBEATs of ours."""
    clock = HeartbeatClock(now=0.0)
    clock.pause(10.0)
    assert pulses(clock, until=100.0) == [
        (30.0, Pulse.SEND_HEARTBEAT),
        (50.0, Pulse.SEND_HEARTBEAT),
        (70.0, Pulse.SEND_HEARTBEAT),
        (90.0, Pulse.SEND_HEARTBEAT),
    ]


def test_a_second_resume_changes_nothing() -> None:
    clock = HeartbeatClock(now=0.0)
    clock.pause(10.0)
    clock.resume(20.0)
    clock.resume(25.0)
    assert clock.next_at == 40.0


def test_a_late_report_of_what_came_earlier_changes_nothing() -> None:
    clock = HeartbeatClock(now=10.0)
    clock.received(5.0)
    assert clock.next_at == 30.0


def test_giving_up_is_asked_for_again_and_again() -> None:
    clock = HeartbeatClock(now=0.0)
    assert [clock.poll(now) for now in (20.0, 25.0, 33.0, 33.0, 34.0)] == [
        Pulse.SEND_HEARTBEAT,
        Pulse.UNREACHABLE,
        Pulse.GIVE_UP,
        Pulse.GIVE_UP,
        Pulse.GIVE_UP,
    ]


def test_a_process_that_stood_still_gives_the_peer_its_whole_time_to_answer() -> None:
    """Polled first at 60 s: the peer is asked then, and given up 13 s after that, not at once."""
    clock = HeartbeatClock(now=0.0)
    assert [(now, clock.poll(now)) for now in (60.0, 60.0, 65.0, 72.9, 73.0)] == [
        (60.0, Pulse.SEND_HEARTBEAT),
        (60.0, Pulse.NOTHING),
        (65.0, Pulse.UNREACHABLE),
        (72.9, Pulse.NOTHING),
        (73.0, Pulse.GIVE_UP),
    ]


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_clock_without_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        HeartbeatClock(now=0.0, interval_seconds=seconds)
    with pytest.raises(ValueError, match="more than 0"):
        HeartbeatClock(now=0.0, pong_timeout_seconds=seconds)


STEPS = st.lists(
    st.tuples(st.sampled_from(["poll", "received", "pause", "resume"]), st.integers(0, 40))
)


@given(STEPS)
def test_it_agrees_with_a_model_that_counts_silent_seconds(steps: list[tuple[str, int]]) -> None:
    """The model adds up the seconds since something came, a pause began, ended or was noticed."""
    clock = HeartbeatClock(now=0.0)
    now, silent, passed, paused = 0, 0, 0, False
    for what, seconds in steps:
        now += seconds
        silent += seconds
        ends_silence = what in {"received", "pause"} or (paused and what == "resume")
        match what:
            case "received":
                clock.received(float(now))
            case "pause":
                clock.pause(float(now))
            case "resume":
                clock.resume(float(now))
            case _:
                pulse = clock.poll(float(now))
                threshold = [20, 25, 33, 33][passed]
                due = silent >= threshold
                assert pulse is (list(Pulse)[min(passed, 2) + 1] if due else Pulse.NOTHING)
                passed = min(passed + due, 3)
                silent = min(silent, threshold)
                ends_silence = due and paused
        if ends_silence and silent:
            silent = passed = 0
        if what in {"pause", "resume"}:
            paused = what == "pause"
