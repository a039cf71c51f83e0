"""The stream under Hypercorn: what it shows of a connection, and when."""

import pytest
import trio
import trio.testing

from greenroom.node.http.streams import PlainWebStream

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Peek:
    """Lets every request pass."""

    def __init__(self):
        self.seen = []

    async def __call__(self, first):
        self.seen.append(first)
        return first


def open_stream(received):
    peer, transport = trio.testing.memory_stream_pair()
    peek = Peek()
    return PlainWebStream(transport, received, next_request=peek), peer, peek


async def test_a_body_that_comes_after_its_answer_is_still_a_body():
    received = POST % len(HEAD)
    stream, peer, peek = open_stream(received)
    assert await stream.receive_some() == received
    with stream.finishing_response():
        await peer.send_all(HEAD)
    assert await stream.receive_some() == HEAD
    assert not peek.seen


async def test_a_request_waits_for_the_answer_to_the_one_before(nursery):
    stream, _peer, peek = open_stream(HEAD + HEAD)
    assert await stream.receive_some() == HEAD
    read = []

    async def read_on():
        read.append(await stream.receive_some())

    nursery.start_soon(read_on)
    await trio.testing.wait_all_tasks_blocked()
    assert not peek.seen
    with stream.finishing_response():
        pass
    await trio.testing.wait_all_tasks_blocked()
    assert (peek.seen, read) == ([HEAD], [HEAD])


async def test_nobody_looks_at_what_follows_the_last_answer():
    stream, _peer, peek = open_stream(HEAD + HEAD)
    await stream.receive_some()
    with stream.finishing_response():
        await stream.aclose()
    assert await stream.receive_some() == b""
    assert not peek.seen


async def test_a_reset_between_two_requests_ends_the_stream_as_a_goodbye_does():
    """Else Hypercorn's timer for idle connections would keep it for its whole length."""

    class Reset(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes=None):
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    async def on_end():
        ended.append(True)

    stream, _peer, _peek = open_stream(HEAD)
    await stream.receive_some()
    ended = []
    stream.on_end = on_end
    stream._transport.receive_stream = Reset()
    assert (await stream.receive_some(), ended) == (b"", [True])


async def test_a_peer_that_reads_no_answer_is_not_read_either(autojump_clock):
    stream, _peer, _peek = open_stream(HEAD)
    await stream.receive_some()

    class Full(trio.abc.SendStream):
        async def send_all(self, data):
            await trio.sleep_forever()

        async def wait_send_all_might_not_block(self):
            await trio.sleep_forever()

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    stream._transport.send_stream = Full()
    async with trio.open_nursery() as nursery:
        read = []

        async def read_on():
            read.append(await stream.receive_some())

        nursery.start_soon(read_on)
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"answer")
    assert read == [b""]
