"""The operators' gate: nobody comes in without a key, and the public port leads nowhere near it."""

import trio
from support.attack import Attack
from support.besieged import READING_KEY
from support.patience import PATIENCE_SECONDS
from support.raw import RawClient, connect


def get(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" % (method, target)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def bearer(key: str) -> bytes:
    return f"Authorization: Bearer {key}".encode()


async def at_gate(attack: Attack, data: bytes) -> tuple[int | None, bytes]:
    client = await connect(attack.node.admin_port)
    await client.send(data)
    with trio.fail_after(PATIENCE_SECONDS):
        status = await client.status()
        body = await client.rest()
    await client.aclose()
    return status, body


async def test_keys_that_are_none(attack: Attack):
    """401, and the same words for each."""
    user = attack.node.token("admin")
    cases = {
        "none": get(b"/v1/status"),
        "a user's token": get(b"/v1/status", bearer(user)),
        "half the key": get(b"/v1/status", bearer(READING_KEY[:-1])),
        "more than the key": get(b"/v1/status", bearer(READING_KEY + "0")),
        "in capitals": get(b"/v1/status", bearer(READING_KEY.upper())),
        "its name": get(b"/v1/status", bearer("watch")),
        "with its name": get(b"/v1/status", bearer(f"watch={READING_KEY}")),
        "in the address": get(b"/v1/status?key=" + READING_KEY.encode()),
        "as Basic": get(b"/v1/status", b"Authorization: Basic " + READING_KEY.encode()),
        "twice": get(b"/v1/status", bearer(READING_KEY), bearer("0" * 64)),
        "in a cookie": get(b"/v1/status", b"Cookie: key=" + READING_KEY.encode()),
        "of 8 kB": get(b"/v1/status", bearer("0" * 8_000)),
    }
    found = {name: await at_gate(attack, data) for name, data in cases.items()}
    attack.saw(*sorted({status for status, _ in found.values()}))
    assert {name: status for name, (status, _) in found.items() if status not in {400, 401}} == {}


async def test_a_key_for_reading_that_acts(attack: Attack):
    statuses = set()
    for path in (b"/v1/publish", b"/v1/disconnect", b"/v1/revoke"):
        status, _ = await at_gate(
            attack,
            get(
                path,
                bearer(READING_KEY),
                b"Content-Type: application/json",
                b"Content-Length: 2",
                method=b"POST",
            )
            + b"{}",
        )
        statuses.add(status)
    attack.saw(*statuses)
    assert statuses == {403}


async def test_ways_from_the_public_port(attack: Attack):
    """What stands at the gate is not there, with the key or without."""

    async def status(client: RawClient, data: bytes) -> int | None:
        await client.send(data)
        return await client.status()

    paths = [
        b"/v1/status",
        b"/admin",
        b"/v1/../v1/tree",
        b"/metrics",
        b"/v1/openapi.json",
        b"/debug",
    ]
    cases = {path.decode(): get(path, bearer(READING_KEY)) for path in paths}
    assert await attack.each(cases, status) == dict.fromkeys(cases, 404)


async def test_guessing_keys(attack: Attack):
    """Each guess is refused, and the right key still opens."""
    statuses = set()
    for number in range(200):
        status, _ = await at_gate(attack, get(b"/v1/tree", bearer(f"{number:064x}")))
        statuses.add(status)
    right, _ = await at_gate(attack, get(b"/v1/status", bearer(READING_KEY)))
    attack.saw(*statuses, f"the right one {right}")
    assert statuses <= {401, 429}
    assert right == 200
