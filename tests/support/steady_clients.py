"""Twenty clients that talk at a steady pace, in a process of their own, until stdin ends.

    python steady_clients.py PORT < pipe

Each numbers its messages and checks that those of every other come without a hole and in order.
Nobody reconnects: a connection that ends is one that was disturbed. Prints "steady" once all are
in, and what was seen, as JSON, at the end.
"""

import json
import sys
import time
from statistics import quantiles

import attrs
import trio
from support.node_process import token
from support.raw import RawClient, addresses, command, connect

CLIENTS = 20
PACE_SECONDS = 1.0
LAST_SECONDS = 30.0
"""For what is still under way at the end."""
ROOM = "steady"


@attrs.define
class Seen:
    """What one client has seen."""

    name: str
    sent: int = 0
    acknowledged: int = 0
    heard: dict[str, int] = attrs.field(factory=dict)
    """{name: number of its last message}"""
    milliseconds: list[float] = attrs.field(factory=list)
    """From before the send to after the receipt, of every message of others."""
    trouble: list[str] = attrs.field(factory=list)

    def take(self, message: dict) -> None:
        match message:
            case {"type": "MESSAGE", "user": user, "content": content}:
                number, sent_at = json.loads(content)
                if number != self.heard.get(user, 0) + 1:
                    self.trouble.append(f"{user}: {number} after {self.heard.get(user, 0)}")
                self.heard[user] = number
                self.milliseconds.append((time.monotonic() - sent_at) * 1000)
            case {"type": "ACK"}:
                self.acknowledged += 1
            case {"type": "ERROR" | "GAP" | "REMOVED"}:
                self.trouble.append(json.dumps(message))
            case _:
                pass


async def talk(client: RawClient, seen: Seen, over: trio.Event) -> None:
    while not over.is_set():
        seen.sent += 1
        publish = command(
            type="PUBLISH",
            id=1000 + seen.sent,
            room=ROOM,
            key=str(seen.sent),
            content=json.dumps([seen.sent, time.monotonic()]),
        )
        if not await client.send(publish):
            return
        with trio.move_on_after(PACE_SECONDS):
            await over.wait()


async def listen(client: RawClient, seen: Seen) -> None:
    for message in client.pushes:
        seen.take(message)
    try:
        while True:
            seen.take(await client.next())
    except AssertionError as cut:
        seen.trouble.append(str(cut))


async def run(port: int) -> dict:
    everybody = [Seen(f"steady{number}") for number in range(CLIENTS)]
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        clients = []
        for seen, source in zip(everybody, addresses(200), strict=False):
            client = await connect(port, source=source)
            await client.sign_in(token(seen.name), ROOM)
            clients.append(client)
        for seen, client in zip(everybody, clients, strict=True):
            nursery.start_soon(listen, client, seen)
        for seen, client in zip(everybody, clients, strict=True):
            nursery.start_soon(talk, client, seen, over)
            await trio.sleep(PACE_SECONDS / CLIENTS)
        print("steady", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        over.set()
        with trio.move_on_after(LAST_SECONDS):
            while missing(everybody):  # noqa: ASYNC110  # told by nobody
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    return report(everybody)


def missing(everybody: list[Seen]) -> list[str]:
    """Who has not heard whom to the end, and who has no ACK for all it said."""
    unheard = [
        f"{seen.name} has {seen.heard.get(other.name, 0)} of {other.sent} of {other.name}"
        for seen in everybody
        for other in everybody
        if other is not seen and seen.heard.get(other.name, 0) < other.sent
    ]
    return unheard + [
        f"{seen.name} has {seen.acknowledged} ACKs of {seen.sent}"
        for seen in everybody
        if seen.acknowledged < seen.sent
    ]


def report(everybody: list[Seen]) -> dict:
    milliseconds = [one for seen in everybody for one in seen.milliseconds]
    cuts = quantiles(milliseconds, n=100)
    return {
        "clients": len(everybody),
        "sent": sum(seen.sent for seen in everybody),
        "delivered": len(milliseconds),
        "missing": missing(everybody),
        "trouble": [f"{seen.name}: {one}" for seen in everybody for one in seen.trouble],
        "ms": {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(milliseconds)},
    }


if __name__ == "__main__":
    json.dump(trio.run(run, int(sys.argv[1])), sys.stdout)
