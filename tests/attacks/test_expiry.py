"""Tokens that end, and users who are thrown out, while their clients do all they can to stay."""

import time
from itertools import cycle

import trio
from support.attack import Attack
from support.patience import PATIENCE_SECONDS
from support.raw import RawClient

ROOM = "expiry"
CLIENTS = 12
ATTEMPTS = 30
REVOKING_SECONDS = 0.008  # what the gate takes to answer, and a little more


async def insist(client: RawClient, renewal: str | None) -> None:
    """Publish and try to renew without pause, until it is cut."""
    number = 0
    while not client.ended:
        number += 1
        await client.ask_away(type="PUBLISH", room=ROOM, content=str(number))
        if renewal is not None and number % 5 == 0:
            await client.ask_away(type="REFRESH", token=renewal)
        await trio.sleep(0.03)


async def listen(client: RawClient, heard: list[float]) -> None:
    """Note when each message that came in was stored, until the end."""
    while (message := await client.next_message()) is not None:
        if message["type"] == "MESSAGE":
            heard.append(message["timestamp"] / 1000)


async def all_signed_in(clients: list[RawClient], tokens: list[str]) -> None:
    """All at a time, as the tokens do not last."""
    async with trio.open_nursery() as nursery:
        for client, token in zip(clients, tokens, strict=True):
            nursery.start_soon(client.sign_in, token, ROOM)


async def test_staying_beyond_the_token(attack: Attack):
    """4003 at the time, in the middle of a conversation, whatever REFRESH brings; silence then."""
    node = attack.node
    clients = [await attack.connect() for _ in range(CLIENTS)]
    speaker = await attack.signed_in("speaker", ROOM)
    expires = int(time.time()) + 4
    renewals = [
        None,
        node.token("somebody else"),
        node.token("late0", until=time.time() - 10),
        node.token("late0")[:-4] + "AAAA",
    ]
    heard: list[float] = []
    tokens = [node.token(f"late{number}", until=expires) for number in range(CLIENTS)]
    await all_signed_in(clients, tokens)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as talking:
            talking.start_soon(insist, speaker, None)
            async with trio.open_nursery() as nursery:
                for client, renewal in zip(clients, cycle(renewals)):
                    nursery.start_soon(insist, client, renewal)
                    nursery.start_soon(listen, client, heard)
            talking.cancel_scope.cancel()
    codes = {client.heard_code for client in clients}
    attack.saw(*codes, f"the last message {max(heard) - expires:+.2f} s")
    assert codes == {4003}
    assert max(heard) <= expires


async def test_thrown_out_while_talking(attack: Attack):
    """4508 for all connections of the user, and none of its tokens opens another one."""
    node = attack.node
    token = node.token("thrown")
    clients = []
    for _ in range(CLIENTS):
        client = await attack.connect()
        await client.sign_in(token, ROOM)
        clients.append(client)
    heard: list[float] = []
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(insist, client, token)
                nursery.start_soon(listen, client, heard)
            await trio.sleep(0.5)
            node.revoke("thrown")
    codes = {client.heard_code for client in clients}
    again = await attack.upgraded()
    await again.ask_away(type="AUTH", token=token)
    refused = await again.close_code()
    attack.saw(*codes, f"then {refused}")
    assert codes == {4508}
    assert refused in {4508, 4500}


async def test_thrown_out_while_signing_in(attack: Attack):
    """At any moment of AUTH: once the operator has an answer, nobody is in and nothing is done."""
    node = attack.node
    answers: set[str] = set()
    codes: set[int | None] = set()
    for number in range(ATTEMPTS):
        user = f"hasty{number}"
        token = node.token(user)
        client = await attack.upgraded()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, node.revoke, user)
            await trio.sleep(number / ATTEMPTS * REVOKING_SECONDS)
            await client.ask_away(type="AUTH", token=token)
            await client.ask_away(type="JOIN", room=ROOM)
        await client.ask_away(type="PUBLISH", room=ROOM, content="still here")
        with trio.fail_after(PATIENCE_SECONDS):
            while (message := await client.next_message()) is not None:
                answers.add(message["type"])
        codes.add(client.heard_code)
    attack.saw(*codes)
    assert codes == {4508}
    assert "ACK" not in answers
