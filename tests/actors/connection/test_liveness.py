"""A client's state as its connection sees it; no clock but the numbers passed in."""

import pytest

from greenroom.actors.connection.liveness import Liveness
from greenroom.actors.services import CastLimits
from greenroom.protocol import CloseCode, Pulse, State


@pytest.fixture
def client():
    liveness = Liveness(CastLimits(), now=0.0)
    liveness.authenticated()
    return liveness


def silent_until(liveness, now):
    while liveness.next_at <= now and liveness.poll(liveness.next_at) is not Pulse.GIVE_UP:
        pass


def test_a_client_is_disconnected_until_it_has_authenticated():
    liveness = Liveness(CastLimits(), now=0.0)
    assert liveness.state is State.DISCONNECTED
    liveness.authenticated()
    assert liveness.state is State.CONNECTED


def test_25_seconds_of_silence_make_it_unreachable(client):
    silent_until(client, 24.9)
    assert client.state is State.CONNECTED
    silent_until(client, 25.0)
    assert client.state is State.UNREACHABLE


def test_anything_received_makes_it_connected_again(client):
    silent_until(client, 25.0)
    client.heard(26.0)
    assert client.state is State.CONNECTED


def test_a_late_report_of_what_came_before_the_silence_does_not(client):
    client.heard(1.0)
    silent_until(client, 26.0)
    client.heard(1.0)
    assert client.state is State.UNREACHABLE


def test_time_in_which_we_did_not_read_is_no_silence(client):
    client.reading_stopped(1.0)
    silent_until(client, 100.0)
    client.reading_goes_on(100.0)
    silent_until(client, 124.0)
    assert client.state is State.CONNECTED


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (None, State.DISCONNECTED),
        (CloseCode.NO_HEARTBEAT, State.DISCONNECTED),
        (CloseCode.SHUTDOWN, State.DISCONNECTED),
        (CloseCode.NORMAL, State.CLOSED),
        (CloseCode.TOO_MANY_ERRORS, State.CLOSED),
    ],
)
def test_an_end_is_final_when_its_code_says_so(client, code, state):
    client.ended(code)
    assert client.state is state
