"""The outbox over TLS: the flusher's path, the same promises."""

import ssl
from contextlib import asynccontextmanager

import trio
import trio.testing
import trustme

from greenroom.actors.connection.frames import close_frame
from greenroom.actors.connection.outbox import Outbox


@asynccontextmanager
async def open_secured(**settings):
    """(outbox, the client's TLS stream, its transport, a list that says when it was too slow)."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("node.test").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    left, right = trio.testing.memory_stream_pair()
    server = trio.SSLStream(left, server_context, server_side=True, https_compatible=True)
    client = trio.SSLStream(
        right, client_context, server_hostname="node.test", https_compatible=True
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    slow: list = []
    async with trio.open_nursery() as nursery:
        outbox = Outbox(
            server,
            nursery=nursery,
            on_slow=lambda: slow.append(True),
            on_flood=lambda: None,
            **{
                "limit_bytes": 200_000,
                "max_age_seconds": 8,
                "max_unframed_bytes": 1000,
                **settings,
            },
        )
        yield outbox, client, left, slow
        nursery.cancel_scope.cancel()


async def test_frames_and_control_bytes_keep_their_order(autojump_clock):
    async with open_secured() as (outbox, client, _, _slow):
        expected = b""
        for index in range(200):
            piece = b"%03d" % index * 100
            expected += piece
            if index % 7:
                outbox.push(piece)
            else:
                await outbox.send_all(piece)
        received = b""
        while len(received) < len(expected):
            received += await client.receive_some()
        assert received == expected


async def test_a_client_whose_transport_takes_nothing_is_too_slow_after_8_seconds(autojump_clock):
    async with open_secured() as (outbox, _client, transport, slow):
        transport.send_stream.send_all_hook = trio.sleep_forever
        outbox.push(b"x" * 100)
        await trio.sleep(7.9)
        assert not slow
        await trio.sleep(0.2)
        assert slow
        started = trio.current_time()
        await outbox.finish(close_frame(4004), seconds=2)
        assert trio.current_time() - started <= 2


async def test_pongs_do_not_pile_up_for_a_client_that_reads_nothing(autojump_clock):
    async with open_secured() as (outbox, _client, transport, slow):
        transport.send_stream.send_all_hook = trio.sleep_forever
        for number in range(10_000):
            outbox.pong(b"x" * 125)
            if number == 5_000:
                await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting_bytes == 2 * 127  # one is under way
        await trio.sleep(8.1)
        assert slow


async def test_a_write_that_was_cut_off_is_never_continued(autojump_clock):
    """Half a TLS record is on the wire: not even a close frame may follow."""
    async with open_secured() as (outbox, _client, transport, _slow):
        written = []
        send_all = transport.send_all

        async def half(data) -> None:
            written.append(bytes(data))
            await trio.sleep_forever()

        transport.send_all = half
        outbox.push(b"x" * 1000)
        await trio.sleep(8.1)
        transport.send_all = send_all
        await outbox.finish(close_frame(4004), seconds=2)
        assert len(written) == 1


async def test_the_close_frame_arrives_and_the_end_follows_the_clients(autojump_clock):
    async with open_secured() as (outbox, client, _, _slow), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: outbox.finish(close_frame(4001), seconds=1000))
        received = b""
        while data := await client.receive_some():
            received += data
        assert received == close_frame(4001)
        await client.aclose()
