"""Bytes without end before there is a WebSocket: cut, and hardly a byte of them is kept."""

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.wire import request

MB = 1_000_000
MOST_GROWTH_MIB = 5.0
CHUNK = 50_000
UNFINISHED = request()[:-2]
POST = (
    b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100000000\r\n\r\n"
)


@pytest.mark.parametrize(
    ("beginning", "chunk"),
    [
        pytest.param(UNFINISHED, b"X-Padding: " + b"x" * CHUNK + b"\r\n", id="long-headers"),
        pytest.param(UNFINISHED, b"X: y\r\n" * (CHUNK // 6), id="many-headers"),
        pytest.param(b"GET /", b"x" * CHUNK, id="one-long-target"),
        pytest.param(b"", b"\r\n" * (CHUNK // 2), id="empty-lines"),
        pytest.param(b"", b"\0" * CHUNK, id="zeros"),
        pytest.param(request(Upgrade=b"h2c"), b"x" * CHUNK, id="behind-a-refusal"),
        pytest.param(request(), b"x" * CHUNK, id="behind-an-upgrade"),
        pytest.param(POST, b"x" * CHUNK, id="a-body"),
    ],
)
async def test_a_hundred_megabytes(attack, beginning, chunk):
    client = await attack.connect()
    await client.send(beginning)
    with trio.fail_after(PATIENCE_SECONDS):
        sent = await client.flood(chunk, times=100 * MB // len(chunk))
    growth = attack.growth_mib()
    attack.saw(f"cut after {sent / MB:.1f} MB")
    assert sent < 12 * MB  # most of it in the kernel's buffers
    assert growth < MOST_GROWTH_MIB


async def test_a_hundred_megabytes_on_a_hundred_sockets(attack):
    """A megabyte each, all at once: what is kept of them all is small, too."""

    async def flood():
        client = await attack.connect()
        await client.send(UNFINISHED)
        sent.append(await client.flood(b"X-Padding: " + b"x" * CHUNK + b"\r\n", times=20))

    sent: list[int] = []
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(flood)
    attack.saw(f"all cut, after {max(sent) / MB:.2f} MB at most")
    assert len(sent) == 100
    assert attack.growth_mib() < MOST_GROWTH_MIB
