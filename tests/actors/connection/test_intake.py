"""The reading half of a connection, on real sockets and on streams that are none."""

import os
import socket
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing
from support.wire import frame

from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader
from greenroom.actors.connection.intake import SEGMENT_BYTES, Intake
from greenroom.actors.connection.outbox import Outbox
from greenroom.actors.connection.window import Window
from greenroom.actors.readiness import TURN_SECONDS, Readiness
from greenroom.protocol import CloseCode


class Taken:
    """What an intake hands over, in order; a message stays unanswered until `answer`."""

    def __init__(self) -> None:
        self.items: list = []
        self.tickets: list = []
        self.crash_on: str | None = None
        self.frames: list[int] = []

    def count(self, came: int) -> int:
        self.frames.append(came)
        return came + 10

    def message(self, message, ticket) -> None:
        if message == self.crash_on:
            raise RuntimeError(message)
        self.items.append(message)
        self.tickets.append(ticket)

    def answer(self, count: int) -> None:
        for ticket in self.tickets[:count]:
            ticket.done()
        del self.tickets[:count]


@asynccontextmanager
async def open_intake(kind: str, *, max_commands: int = 1000):
    """(the client's end, the intake, what it took, its window's log)."""
    readiness, taken, log = Readiness(), Taken(), []
    if kind == "socket":
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        client = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        readiness.open()
        if not readiness.served:
            pytest.skip("there is no epoll here")
    else:
        client, stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        outbox = Outbox(
            stream,
            nursery=nursery,
            limit_bytes=1000,
            max_age_seconds=8,
            max_unframed_bytes=200_000,
            on_slow=lambda: None,
            on_flood=lambda: log.append("flood"),
        )
        window = Window(
            max_commands=max_commands,
            max_bytes=1_000_000,
            on_stop=lambda: log.append("stop"),
            on_go=lambda: (log.append("go"), intake.go_on()),
        )
        intake = Intake(
            outbox,
            window,
            readiness,
            FrameReader(70_000),
            on_frames=taken.count,
            on_message=taken.message,
            on_end=taken.items.append,
            on_crash=taken.items.append,
        )
        nursery.start_soon(intake.read if intake.needs_task else readiness.serve)
        intake.go_on()
        yield client, intake, taken, log
        intake.stop()
        await trio.aclose_forcefully(client)
        await outbox.finish(seconds=0)
        nursery.cancel_scope.cancel()
    readiness.close()


async def until(condition) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


BOTH = pytest.mark.parametrize("kind", ["socket", "stream"])


@BOTH
async def test_messages_come_in_order_over_any_number_of_segments(kind):
    async with open_intake(kind) as (client, _, taken, _log):
        texts = [f"{number}" * (number % 50) for number in range(500)]
        await client.send_all(b"".join(frame(1, text.encode()) for text in texts))
        await until(lambda: len(taken.items) == 500)
        assert taken.items == texts


@BOTH
async def test_a_full_window_stops_reading_and_an_answer_lets_it_go_on(kind):
    async with open_intake(kind, max_commands=3) as (client, _, taken, log):
        await client.send_all(frame(1, b"x") * 3)
        await until(lambda: len(taken.items) == 3)
        assert log == []  # full, but nothing came that would have to wait
        await client.send_all(frame(1, b"y") * 5)
        await until(lambda: log == ["stop"])
        taken.answer(2)
        await until(lambda: len(taken.items) == 5)
        assert log == ["stop", "go"] * 2 + ["stop"]
        taken.answer(5)
        await until(lambda: len(taken.items) == 8)


@BOTH
async def test_a_ping_is_answered_and_what_follows_it_is_read(kind):
    async with open_intake(kind) as (client, _, taken, _log):
        await client.send_all(frame(1, b"a") + frame(9, b"?") + frame(1, b"b"))
        assert await client.receive_some() == b"\x8a\x01?"
        await until(lambda: taken.items == ["a", "b"])


@BOTH
@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (b"", Ending()),
        (frame(8) * 2, Ending(heard=1005, answer=b"\x88\x00")),
        (frame(3), Ending(CloseCode.PROTOCOL_ERROR, detail="a reserved opcode")),
    ],
    ids=["gone", "closed", "violation"],
)
async def test_the_end_comes_once_and_last(kind, end, ending):
    async with open_intake(kind) as (client, _, taken, _log):
        await client.send_all(frame(1, b"bye") + end + frame(1, b"more") * (end != b""))
        await client.send_eof() if kind == "socket" else await client.aclose()
        await until(lambda: ending in taken.items)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        assert taken.items == ["bye", ending]


@BOTH
async def test_an_ended_one_holds_nothing_of_what_came(kind):
    """Its goodbye may take seconds; what it holds is up to 64 KiB each."""
    async with open_intake(kind) as (client, intake, _, _log):
        await client.send_all(frame(2, b"x" * 60_000)[:50_000])
        reader = intake._reader
        await until(lambda: reader._message is not None and len(reader._message.data) > 40_000)
        intake.stop()
        assert reader._message is None
        assert not reader.has_more


@BOTH
async def test_what_is_raised_stops_this_client_and_is_told(kind):
    async with open_intake(kind) as (client, _, taken, _log):
        taken.crash_on = "boom"
        await client.send_all(frame(1, b"a") + frame(1, b"boom") + frame(1, b"b"))
        await until(lambda: len(taken.items) == 2)
        assert taken.items[0] == "a"
        assert isinstance(taken.items[1], RuntimeError)


async def test_what_a_client_s_end_raises_does_not_reach_who_serves_all_sockets():
    async with open_intake("socket") as (client, intake, taken, _log):

        def bug(_) -> None:
            raise RuntimeError("a bug at the end")

        intake._on_end = bug
        await client.send_eof()
        await until(lambda: taken.items)
        assert isinstance(taken.items[0], RuntimeError)


async def test_one_client_that_never_stops_does_not_keep_others_waiting():
    """One segment a pass and client: who sends a megabyte is read beside who sends a word."""
    readiness = Readiness()
    readiness.open()
    if not readiness.served:
        pytest.skip("there is no epoll here")
    order: list = []
    pairs = [socket.socketpair() for _ in range(2)]
    for ours, theirs in pairs:
        ours.setblocking(False)
        theirs.setblocking(False)
    greedy, modest = pairs
    size = greedy[0].send(b"x" * 1_000_000)
    modest[0].send(b"hello")
    for name, (_, theirs) in (("greedy", greedy), ("modest", modest)):
        readiness.watch(
            theirs.fileno(),
            lambda _, name=name, theirs=theirs: order.append(
                (name, len(theirs.recv(SEGMENT_BYTES)))
            ),
        )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.serve)
        await until(lambda: sum(n for name, n in order if name == "greedy") == size)
        nursery.cancel_scope.cancel()
    assert ("modest", 5) in order[:2]
    readiness.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


async def test_what_many_clients_ask_for_at_once_leaves_the_others_their_turns(mock_clock):
    readiness = Readiness()
    readiness.open()
    if not readiness.served:
        pytest.skip("there is no epoll here")
    pairs = [socket.socketpair() for _ in range(40)]
    called, turns = [], []

    def work(theirs) -> None:
        theirs.recv(1)
        mock_clock.jump(TURN_SECONDS / 4)
        called.append(theirs)

    for ours, theirs in pairs:
        ours.send(b"x")
        readiness.watch(theirs.fileno(), lambda _, theirs=theirs: work(theirs))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.serve)
        while len(called) < len(pairs):
            turns.append(len(called))
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    turns.append(len(called))
    # Between two looks of ours lie two turns of its at the most.
    assert max(late - early for early, late in pairwise(turns)) <= 10
    readiness.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


async def test_what_is_said_at_once_is_read_in_one_turn(mock_clock):
    """As 500 rooms of 10 do: read in parts of 512, each part had one member of each room."""
    readiness = Readiness()
    readiness.open()
    if not readiness.served:
        pytest.skip("there is no epoll here")
    speakers = [os.eventfd(1) for _ in range(700)]
    called = []
    for speaker in speakers:
        readiness.watch(speaker, lambda _, speaker=speaker: called.append(os.eventfd_read(speaker)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.serve)
        while not called:
            await trio.lowlevel.checkpoint()
        assert len(called) == len(speakers)
        nursery.cancel_scope.cancel()
    readiness.close()
    for speaker in speakers:
        os.close(speaker)


def test_a_forgotten_socket_may_be_closed_and_forgotten_again():
    readiness = Readiness()
    readiness.open()
    if not readiness.served:
        pytest.skip("there is no epoll here")
    ours, theirs = socket.socketpair()
    readiness.watch(ours.fileno(), lambda _: None)
    readiness.forget(ours.fileno())
    readiness.forget(ours.fileno())
    ours.close()
    theirs.close()
    readiness.close()
    readiness.forget(3)


@BOTH
async def test_frames_are_counted_whatever_they_are_and_asked_about_before_more_are_read(kind):
    """Whoever counts is asked when more came than it said last: here ten at a time."""
    async with open_intake(kind) as (client, _, taken, _log):
        for number in range(30):
            await client.send_all(frame(9) + frame(10) + frame(1, b"x"))
            await until(lambda number=number: len(taken.items) > number)
        assert taken.frames == [3, 15, 27, 39, 51, 63, 75, 87]
