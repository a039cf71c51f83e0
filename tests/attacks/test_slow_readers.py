"""Clients that do not read what they are sent: each costs a bounded amount, for a bounded time."""

import pytest
import trio
from support.attack import Attack, attack_on
from support.besieged import besieged
from support.raw import PING, RawClient, command
from support.wire import frame

ROOM = "slow"
READERS = 10
RECEIVE_BYTES = 2_048
CONTENT = "x" * 30_000
MESSAGES = 250
OUTBOX_MIB = 1.0
GONE_SECONDS = 40
UNLIMITED = {
    f"{name}_rate": "none" for name in ("publish", "publish_bytes", "frame", "room_egress")
}


@pytest.fixture(scope="module")
def generous_node(tmp_path_factory):
    """A node without limits of rate, where a room can be louder than a reader can follow."""
    with besieged(tmp_path_factory.mktemp("generous"), **UNLIMITED) as node:
        yield node


@pytest.fixture
async def loud_attack(generous_node, request):
    async with attack_on(generous_node, request) as attack:
        yield attack


async def speak(client: RawClient, times: int, room: str) -> None:
    for number in range(times):
        answer = await client.ask(type="PUBLISH", room=room, key=str(number), content=CONTENT)
        assert answer["type"] == "ACK"


async def read_some(client: RawClient) -> None:
    """Read a little, now and then."""
    while await client.receive(100):  # noqa: ASYNC110  # a pace, no wait for anything
        await trio.sleep(0.1)


@pytest.mark.parametrize("manner", ["never", "slowly"])
async def test_many_that_read_too_little(loud_attack: Attack, manner):
    """Cut while a member who reads hears every message; one outbox each is what they cost."""
    room = f"read-{manner}"
    readers = [
        await loud_attack.signed_in(f"slow{n}", room, receive_bytes=RECEIVE_BYTES)
        for n in range(READERS)
    ]
    hearer = await loud_attack.signed_in("hearer", room)
    speaker = await loud_attack.signed_in("speaker", room)
    sockets = loud_attack.node.sockets()
    heard = 0
    with trio.fail_after(GONE_SECONDS * 2):
        async with trio.open_nursery() as nursery:
            if manner == "slowly":
                for reader in readers:
                    nursery.start_soon(read_some, reader)
            nursery.start_soon(speak, speaker, MESSAGES, room)
            for _ in range(MESSAGES):
                message = await hearer.push("MESSAGE")
                heard += 1
                assert len(message["content"]) == len(CONTENT)
            left = await loud_attack.node.settled(
                sockets=sockets - READERS, connections=2, seconds=GONE_SECONDS
            )
            nursery.cancel_scope.cancel()
    growth = loud_attack.growth_mib()
    loud_attack.saw(
        f"{sockets - left.sockets} cut, the other heard {heard} of {MESSAGES}",
        f"{growth / READERS:.1f} MiB each",
    )
    assert left.sockets == sockets - READERS
    assert growth < READERS * (OUTBOX_MIB + 0.5) + 16


async def test_who_asks_without_end_and_reads_nothing(loud_attack: Attack):
    """Answers count as pushes do: the asker is the slow consumer."""
    speaker = await loud_attack.signed_in("speaker", ROOM)
    await speak(speaker, 20, ROOM)
    asker = await loud_attack.signed_in("asker", ROOM, receive_bytes=RECEIVE_BYTES)
    asks = b"".join(command(type="HISTORY", id=n, room=ROOM, limit=100) for n in range(100))
    with trio.move_on_after(GONE_SECONDS):
        await asker.flood(asks, times=1_000)
    growth = loud_attack.growth_mib()
    loud_attack.saw("cut" if asker.ended else "not read any more", f"{growth:.1f} MiB")
    assert growth < 24


async def test_pings_whose_pongs_nobody_reads(loud_attack: Attack):
    client = await loud_attack.signed_in("pinger", receive_bytes=RECEIVE_BYTES)
    with trio.move_on_after(GONE_SECONDS):
        await client.flood(frame(PING, b"p" * 125) * 400, times=10_000)
    growth = loud_attack.growth_mib()
    loud_attack.saw("cut" if client.ended else "not read any more", f"{growth:.1f} MiB")
    assert client.ended
    assert growth < 8
