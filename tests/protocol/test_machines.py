"""The node's and the client's machine, each against what the wire may bring."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from greenroom.protocol import (
    JSON_CODEC,
    Auth,
    ClientMachine,
    CloseCode,
    DecodeError,
    Error,
    ErrorCode,
    Heartbeat,
    Leave,
    Ok,
    Publish,
    ServerMachine,
    Typing,
)

AUTH = '{"type":"AUTH","id":1,"token":"t"}'
LEAVE = '{"type":"LEAVE","id":2,"room":"a"}'
HEARTBEAT = '{"type":"HEARTBEAT","timestamp":5}'
POSITION = '{"epoch":"e","offset":3}'
BOTH_WAYS = f'{{"type":"HISTORY","id":4,"room":"a","before":{POSITION},"since":{POSITION}}}'


def ready() -> ServerMachine:
    machine = ServerMachine(JSON_CODEC)
    machine.authenticated()
    return machine


def test_before_auth_only_auth_and_heartbeat_are_taken() -> None:
    machine = ServerMachine(JSON_CODEC)
    assert isinstance(machine.receive(HEARTBEAT), Heartbeat)
    assert isinstance(machine.receive(AUTH), Auth)
    assert machine.receive(LEAVE) is CloseCode.BAD_REQUEST


def test_after_auth_every_command_is_taken() -> None:
    assert ready().receive(LEAVE) == Leave(id=2, room="a")


def test_a_second_auth_is_a_bad_request() -> None:
    assert ready().receive(AUTH) == Error.of(ErrorCode.BAD_REQUEST, id=1)


def test_a_binary_frame_closes_a_text_connection() -> None:
    assert ready().receive(LEAVE.encode()) is CloseCode.WRONG_FRAME_KIND


def test_an_undecodable_frame_is_answered_under_its_id() -> None:
    assert ready().receive('{"type":"NO","id":9}') == Error.of(ErrorCode.UNKNOWN_TYPE, id=9)


def test_the_eighth_error_in_a_row_closes() -> None:
    machine = ready()
    assert [type(machine.receive("x")) for _ in range(7)] == [Error] * 7
    assert machine.receive("x") is CloseCode.TOO_MANY_ERRORS


@pytest.mark.parametrize("frame", [AUTH, BOTH_WAYS])
def test_a_frame_that_could_be_read_and_makes_no_sense_counts_as_well(frame: str) -> None:
    machine = ready()
    assert [type(machine.receive(frame)) for _ in range(7)] == [Error] * 7
    assert machine.receive(frame) is CloseCode.TOO_MANY_ERRORS


def test_one_good_frame_starts_the_count_again() -> None:
    machine = ready()
    for frame in ["x"] * 7 + [HEARTBEAT] + ["x"] * 7:
        assert not isinstance(machine.receive(frame), CloseCode)


def test_history_both_ways_at_once_is_a_bad_request() -> None:
    assert ready().receive(BOTH_WAYS) == Error.of(ErrorCode.BAD_REQUEST, id=4)


class ServerAgainstNaiveModel(RuleBasedStateMachine):
    """Two variables say the same as the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.is_ready, self.errors = ServerMachine(JSON_CODEC), False, 0

    @rule()
    def authenticate(self) -> None:
        self.machine.authenticated()
        self.is_ready = True

    @rule(frame=st.text(max_size=5) | st.just('{"type":"JOIN"}'))
    def garbage(self, frame: str) -> None:
        self.errors += 1
        answer = self.machine.receive(frame)
        assert (answer is CloseCode.TOO_MANY_ERRORS) == (self.errors >= 8)

    @rule(frame=st.sampled_from([AUTH, LEAVE, HEARTBEAT, '{"type":"TYPING","room":"a"}']))
    def good(self, frame: str) -> None:
        expected: Any = JSON_CODEC.decode_command(frame)
        if isinstance(expected, Auth) and self.is_ready:
            self.errors += 1
            expected = Error.of(ErrorCode.BAD_REQUEST, id=1)
            if self.errors >= 8:
                expected = CloseCode.TOO_MANY_ERRORS
        elif isinstance(expected, Leave | Typing) and not self.is_ready:
            expected = CloseCode.BAD_REQUEST
        else:
            self.errors = 0
        assert self.machine.receive(frame) == expected


TestServerAgainstNaiveModel = ServerAgainstNaiveModel.TestCase


def test_a_reply_is_matched_with_its_request_once() -> None:
    machine: ClientMachine[str] = ClientMachine(JSON_CODEC)
    number = machine.request("leave a")
    frame = JSON_CODEC.encode(Ok(id=number)).decode()
    assert machine.receive(frame) == (Ok(id=number), "leave a")
    assert machine.receive(frame) == (Ok(id=number), None)


def test_an_error_with_an_id_is_a_reply() -> None:
    machine: ClientMachine[str] = ClientMachine(JSON_CODEC)
    error = Error.of(ErrorCode.NOT_JOINED, id=machine.request("leave a"))
    assert machine.receive(JSON_CODEC.encode(error).decode()) == (error, "leave a")


def test_a_push_answers_nothing() -> None:
    machine: ClientMachine[str] = ClientMachine(JSON_CODEC)
    machine.request("leave a")
    assert machine.receive(HEARTBEAT) == (Heartbeat(timestamp=5), None)


def test_a_forgotten_request_is_not_answered() -> None:
    machine: ClientMachine[str] = ClientMachine(JSON_CODEC)
    number = machine.request("leave a")
    machine.forget(number)
    assert machine.receive(JSON_CODEC.encode(Ok(id=number)).decode()) == (Ok(id=number), None)


def test_a_lost_socket_gives_back_what_was_open_in_the_order_of_sending() -> None:
    machine: ClientMachine[Publish] = ClientMachine(JSON_CODEC)
    open_ones = [Publish(room="a", key=str(n), content="") for n in range(3)]
    for publish in open_ones:
        machine.request(publish)
    assert machine.lost() == open_ones
    assert machine.lost() == []


def test_what_the_client_cannot_read_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        ClientMachine[str](JSON_CODEC).receive("x")


class ClientAgainstNaiveModel(RuleBasedStateMachine):
    """A list of (id, about) pairs says the same as the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.machine: ClientMachine[int] = ClientMachine(JSON_CODEC)
        self.open: list[tuple[int, int]] = []
        self.asked = 0

    @rule()
    def request(self) -> None:
        self.asked += 1
        number = self.machine.request(self.asked)
        assert number not in dict(self.open)
        self.open.append((number, self.asked))

    @rule(number=st.integers(0, 12), failed=st.booleans())
    def answer(self, number: int, failed: bool) -> None:
        reply = Error.of(ErrorCode.INTERNAL, id=number) if failed else Ok(id=number)
        about = dict(self.open).get(number)
        assert self.machine.receive(JSON_CODEC.encode(reply).decode()) == (reply, about)
        self.open = [pair for pair in self.open if pair[0] != number]

    @rule(number=st.integers(0, 12))
    def forget(self, number: int) -> None:
        self.machine.forget(number)
        self.open = [pair for pair in self.open if pair[0] != number]

    @rule(frame=st.sampled_from([HEARTBEAT, '{"type":"TOKEN_EXPIRING","expires":1}']))
    def push(self, frame: str) -> None:
        assert self.machine.receive(frame) == (JSON_CODEC.decode_answer(frame), None)

    @rule()
    def lose(self) -> None:
        assert self.machine.lost() == [about for _, about in self.open]
        self.open = []


TestClientAgainstNaiveModel = ClientAgainstNaiveModel.TestCase
