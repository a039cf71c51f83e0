"""Clients that say more than they may: 111 with a time to come back, and 4007 for who goes on."""

from collections import Counter
from itertools import cycle

import attrs
import pytest
import trio
from support.attack import Attack
from support.raw import RawClient, command

ROOM = "floods"
SECONDS = 60


async def hear(client: RawClient, heard: Counter, waits: list[int]) -> None:
    """Count the answers by type, errors by code, until the end."""
    for message in client.pushes:
        _count(message, heard, waits)
    while (found := await client.next_message()) is not None:
        _count(found, heard, waits)


def _count(message: dict, heard: Counter, waits: list[int]) -> None:
    heard[message.get("code") or message["type"]] += 1
    if message.get("code") == 111:
        waits.append(message["retry_after_ms"])


@attrs.frozen
class Flood:
    """What a client was answered until the node had enough."""

    heard: Counter[str | int]
    """{type of the answer, or code of the error: how many}"""
    waits: list[int]
    """Each 111's `retry_after_ms`."""
    seconds: float
    """From the sign-in on."""


async def flood(client: RawClient, commands: list[bytes], since: float) -> Flood:
    """Say all of it as fast as it goes, and again until the node cuts it, however slow that is."""
    heard: Counter[str | int] = Counter()
    waits: list[int] = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, client, heard, waits)
            for one in cycle(commands):
                if not await client.send(one):
                    break
    return Flood(heard, waits, trio.current_time() - since)


def numbered(times: int, **fields: object) -> list[bytes]:
    return [command(id=1_000 + n, **fields) for n in range(times)]


@pytest.mark.parametrize(
    ("answer", "burst", "rate", "commands"),
    [
        pytest.param(
            "ACK", 250, 50, numbered(3_000, type="PUBLISH", room=ROOM, content="x"), id="publish"
        ),
        pytest.param(
            "HISTORY_OK",
            50,
            10,
            numbered(3_000, type="HISTORY", room=ROOM, limit=100),
            id="history",
        ),
        pytest.param(
            "PRESENCE_OK", 50, 10, numbered(3_000, type="PRESENCE", room=ROOM), id="presence"
        ),
        pytest.param(
            "JOIN_OK",
            120,
            20,
            [
                c
                for n in range(2_000)
                for c in (
                    command(type="JOIN", id=n, room=f"floods{n}"),
                    command(type="LEAVE", room=f"floods{n}"),
                )
            ],
            id="join-and-leave",
        ),
        pytest.param(
            "JOIN_OK",
            120,
            20,
            [command(type="JOIN", id=n, room=f"many{n}") for n in range(20_000)],
            id="20000-rooms",
        ),
        pytest.param("TYPING", 0, 0, [command(type="TYPING", room=ROOM)] * 3_000, id="typing"),
    ],
)
async def test_commands_without_pause(attack: Attack, answer, burst, rate, commands):
    """As many are obeyed as the budget has, whatever the time that the node took."""
    since = trio.current_time()
    client = await attack.signed_in(attack.node.stranger("flooder"), ROOM)
    seen = await flood(client, commands, since)
    attack.saw(", ".join(f"{n} {what}" for what, n in seen.heard.items()), client.heard_code)
    assert seen.heard[answer] <= burst + rate * seen.seconds
    assert seen.heard[111] > 0
    assert min(seen.waits) > 0
    assert client.heard_code == 4007
    assert attack.growth_mib() < 16


async def test_heartbeats_without_pause(attack: Attack):
    """Free, but not without end: frames have a budget too."""
    since = trio.current_time()
    client = await attack.signed_in(attack.node.stranger("beater"), ROOM)
    seen = await flood(client, [command(type="HEARTBEAT", timestamp=1)] * 20_000, since)
    attack.saw(f"{seen.heard['HEARTBEAT']} HEARTBEAT", client.heard_code)
    assert seen.heard["HEARTBEAT"] <= 2_000 + 500 * seen.seconds
    assert client.heard_code == 4007


async def test_a_user_who_floods_over_many_connections(attack: Attack):
    """All connections of a user have twice the budget of one."""
    since = trio.current_time()
    user = attack.node.stranger("hydra")
    clients = [await attack.signed_in(user, ROOM) for _ in range(8)]
    heard: Counter[str | int] = Counter()
    async with trio.open_nursery() as nursery:

        async def one(client):
            commands = numbered(1_500, type="PUBLISH", room=ROOM, content="x")
            heard.update((await flood(client, commands, since)).heard)

        for client in clients:
            nursery.start_soon(one, client)
    seconds = trio.current_time() - since
    attack.saw(f"{heard['ACK']} ACK, {heard[111]} 111", *{c.heard_code for c in clients})
    assert heard["ACK"] <= 2 * (250 + 50 * seconds)
    assert {client.heard_code for client in clients} == {4007}


async def test_who_does_as_told_is_never_closed(attack: Attack):
    """Waits `retry_after_ms` after each 111: every message is accepted in the end."""
    client = await attack.signed_in(attack.node.stranger("patient"), ROOM)
    accepted = refused = 0
    with trio.fail_after(SECONDS):
        while accepted < 300:
            answer = await client.ask(type="PUBLISH", room=ROOM, key=str(accepted), content="x")
            if answer["type"] == "ACK":
                accepted += 1
            else:
                assert answer["code"] == 111
                refused += 1
                await trio.sleep(answer["retry_after_ms"] / 1000)
    attack.saw(f"{accepted} ACK, {refused} 111")
