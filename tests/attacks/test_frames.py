"""Frames that break the rules, or keep them a million times: told why, cut, and nobody waits."""

import random
from statistics import quantiles

import pytest
import trio
from support.attack import Attack
from support.patience import PATIENCE_SECONDS
from support.raw import BINARY, CLOSE, PING, PONG, TEXT, RawClient, command
from support.wire import MASK, frame, frame_head

FRAGMENTS = 2_000_000
FRAGMENT = frame(0, b"", fin=False)
MOST_ECHO_MS = 250.0
ROOM = "frames"


VIOLATIONS = {
    "not masked": (frame(TEXT, b"{}", masked=False), 1002),
    "reserved bit": (bytes([0xC1, 0x80]) + MASK, 1002),
    "reserved opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(11, b"x"), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "text in text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close 1005": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "close not utf8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "not utf8": (frame(TEXT, b"\xc3\x28"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond unicode half": (frame(TEXT, b"\xf4\x90", fin=False), 1007),
    "length 2**64 1": (frame_head(2**64 - 1), 1002),
    "length 2**63 1": (frame_head(2**63 - 1), 1009),
    "length 2**32": (frame_head(2**32), 1009),
    "length in too many bytes": (bytes([0x81, 0xFE, 0, 5]) + MASK, 1002),
    "too large and a ping": (frame(TEXT, b"x" * 70_000) + frame(PING), 1009),
    "binary for json": (frame(BINARY, b"{}"), 4506),
    "nonsense again and again": (frame(TEXT, b"nonsense") * 9, 4509),
}


async def close_code(client: RawClient, data: bytes) -> int | None:
    await client.upgrade()
    await client.send(data)
    with trio.fail_after(PATIENCE_SECONDS):
        return await client.close_code()


async def test_violations(attack: Attack):
    """Each is told with its code, not just a dropped socket."""
    cases = {name: data for name, (data, _) in VIOLATIONS.items()}
    found = await attack.each(cases, close_code)
    assert found == {name: code for name, (_, code) in VIOLATIONS.items()}


async def echoes(client: RawClient, milliseconds: list[float]) -> None:
    """Have HEARTBEATs echoed, one after the other, and note how long each took."""
    while True:
        started = trio.current_time()
        await client.send(command(type="HEARTBEAT", timestamp=1))
        await client.push("HEARTBEAT")
        milliseconds.append((trio.current_time() - started) * 1000)
        await trio.sleep(0.01)


async def offer(attack: Attack, beginning: bytes, data: bytes, times: int) -> int:
    """Send `data` so many times, on a new socket whenever the node has cut one; how many it cut."""
    cuts = 0
    while times > 0:
        client = await attack.upgraded()
        await client.send(beginning)
        while times > 0 and await client.send(data):
            times -= 1
        cuts += 1
        await client.aclose()
    return cuts


@pytest.mark.flaky(reruns=1)  # a bound on time, on a machine that others use too
async def test_two_million_fragments_of_nothing(attack: Attack):
    """On one socket, as far as the node takes them; then the same on a new one each time it cuts.

    Another client's echo stays below 250 ms for 95 of 100 meanwhile.
    """
    milliseconds: list[float] = []
    other = await attack.signed_in("echoed", ROOM)
    thousand = FRAGMENT * 1_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echoes, other, milliseconds)
        client = await attack.upgraded()
        await client.send(frame(TEXT, b"", fin=False))
        sent = await client.flood(thousand, times=FRAGMENTS // 1_000)
        with trio.fail_after(PATIENCE_SECONDS):
            code = await client.close_code()
        cuts = await offer(attack, frame(TEXT, b"", fin=False), thousand, FRAGMENTS // 1_000)
        nursery.cancel_scope.cancel()
    p95 = quantiles(milliseconds, n=100)[94]
    attack.saw(
        f"cut ({code}) after {sent // len(FRAGMENT)}, again {cuts} times, echo p95 {p95:.0f} ms"
    )
    assert code in {1009, None}
    assert sent < FRAGMENTS * len(FRAGMENT)  # most of it in the kernel's buffers
    assert p95 < MOST_ECHO_MS
    assert attack.growth_mib() < 8


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(PING), id="empty-pings"),
        pytest.param(frame(PING, b"p" * 125), id="pings"),
        pytest.param(frame(PONG), id="empty-pongs"),
        pytest.param(frame(PONG, b"p" * 125), id="pongs"),
        pytest.param(frame(CLOSE, (1000).to_bytes(2, "big")), id="closes"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(PING) * 3, id="pings-in-a-message"),
    ],
)
async def test_control_frames_without_end(attack: Attack, data):
    """Read by the attacker or not: cut, and not kept."""
    many = data * (50_000 // len(data))
    client = await attack.upgraded()
    with trio.fail_after(PATIENCE_SECONDS):
        sent = await client.flood(many, times=400)
    attack.saw(f"cut after {sent / 1e6:.1f} MB")
    assert sent < 20_000_000
    assert attack.growth_mib() < 8


async def test_a_message_in_pieces_without_end(attack: Attack):
    client = await attack.upgraded()
    await client.send(frame(TEXT, b"", fin=False))
    with trio.fail_after(PATIENCE_SECONDS):
        sent = await client.flood(frame(0, b"x" * 1_000, fin=False), times=10_000)
        code = await client.close_code()
    attack.saw(f"{code or 'cut'} after {sent / 1e6:.1f} MB")
    assert sent < 9_000_000
    assert attack.growth_mib() < 5


async def test_giant_lengths_on_many_sockets(attack: Attack):
    """What a head claims is not set aside for it: 200 sockets claim 60 kB each and send nothing."""
    for _ in range(200):
        client = await attack.upgraded()
        await client.send(frame_head(60_000))
    growth = attack.growth_mib()
    attack.saw(f"{growth * 1024 / 200:.0f} kB each")
    assert growth < 200 * 60 / 1024


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_connection_that_ends_anywhere(attack: Attack, ending, full):
    """At bytes of an AUTH, a JOIN, a PUBLISH and a fragmented message; at each of them in full."""
    story = b"".join(
        [
            command(type="AUTH", id=1, token=attack.node.token("broken")),
            command(type="JOIN", id=2, room=ROOM),
            command(type="PUBLISH", id=3, room=ROOM, key="k", content="x"),
            frame(TEXT, b'{"type":', fin=False) + frame(PING, b"!") + frame(0, b'"TYPING"}'),
        ]
    )
    rng = random.Random(7)
    cuts = range(len(story)) if full else sorted(rng.sample(range(len(story)), 60))
    for cut in cuts:
        client = await attack.upgraded()
        await client.send(story[:cut])
        if rng.random() < 0.5:
            await trio.sleep(0.002)
        if ending == "rst":
            client.reset()
        else:
            await client.aclose()
    attack.saw(f"{len(cuts)} forgotten")


async def test_random_bytes_as_frames(attack: Attack, full):
    """Each is a violation sooner or later; which one, the seed says."""
    rng = random.Random(6)
    codes = set()
    for _ in range(3_000 if full else 60):
        client = await attack.upgraded()
        await client.send(rng.randbytes(rng.randrange(1, 3_000)) + bytes([0xFF, 0xFF]) * 20)
        await client.stream.send_eof()
        with trio.fail_after(PATIENCE_SECONDS):
            codes.add(await client.close_code())
    attack.saw(*sorted(map(str, codes)))
    assert codes <= {1002, 1007, 1009, 4501, 4506, 4509, None, *range(1000, 5000)}
