"""The stream under the client's WebSocket: what a cancelled write leaves behind."""

import pytest
import trio

from greenroom.client._stream import WatchedStream


class Socket(trio.abc.Stream):
    """Writes as Trio's sockets do: the cancellation is looked for first, then bytes go out."""

    def __init__(self, *, full: bool = False) -> None:
        self.sent = b""
        self.full = full

    async def send_all(self, data) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.sent += bytes(data[:1]) if self.full else bytes(data)
        if self.full:
            await trio.sleep_forever()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes=None) -> bytes:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def watch(socket: Socket) -> WatchedStream:
    return WatchedStream(socket, on_received=lambda: None, max_unframed_bytes=1)


async def test_a_write_that_is_cancelled_before_its_first_byte_leaves_the_stream_whole():
    """So a client that is left while its LEAVE is due still says goodbye, and is gone at once."""
    socket = Socket()
    stream = watch(socket)
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.send_all(b"LEAVE")
    assert (socket.sent, stream.torn) == (b"", False)


@pytest.mark.parametrize("full", [False, True])
async def test_a_write_that_does_not_finish_leaves_it_torn(autojump_clock, full):
    stream = watch(Socket(full=full))
    with trio.move_on_after(1):
        await stream.send_all(b"LEAVE")
    assert stream.torn is full
