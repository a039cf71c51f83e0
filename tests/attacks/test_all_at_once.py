"""Everything in any order: what no test of one kind of attack brings together."""

import time
from collections import Counter
from collections.abc import Callable
from random import Random

import trio
from support.attack import Attack
from support.node_process import SECRET
from support.raw import PING, TEXT, RawClient, command
from support.wire import frame

from greenroom.protocol import issue_token

SEED = 7
USERS = 12
WORKERS = 20
LIVES = 300
MOST_COMMANDS = 40
PATIENCE_SECONDS = 40
ROOMS = [
    "crowd:a",
    "crowd:b",
    "ephemeral:crowd",
    "private:crowd",
    "direct:crowd1:crowd2",
    "direct:crowd1:crowd3",
]


class Crowd:
    """Users who sign in on each other's sessions, do all there is to do, and end anywhere."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.dice = Random(SEED)
        self.sessions: list[str] = []
        self.heard: Counter[str] = Counter()

    async def live(self) -> None:
        """One connection, from AUTH to whatever end it finds."""
        dice = self.dice
        client = await self.attack.upgraded()
        user = self.user()
        auth = {"type": "AUTH", "token": self.token(user)}
        if self.sessions and dice.random() < 0.4:
            auth["session"] = dice.choice(self.sessions)
        said = [command(id=1, **auth)]
        said += [self.word(number, user) for number in range(2, dice.randint(2, MOST_COMMANDS))]
        data = b"".join(said)
        cut = dice.randint(0, len(data)) if dice.random() < 0.3 else len(data)
        await client.send(data[:cut])
        with trio.move_on_after(dice.choice([0, 0.01, 0.1, 0.5])):
            await self.listen(client)
        if dice.random() < 0.5:
            client.reset()
        await client.aclose()

    async def listen(self, client: RawClient) -> None:
        while (message := await client.next_message()) is not None:
            self.heard[message["type"]] += 1
            if message["type"] == "AUTH_OK":
                self.sessions = [*self.sessions[-20:], message["session"]]
        self.heard[str(client.heard_code)] += 1

    def user(self) -> str:
        return f"crowd{self.dice.randint(1, USERS)}"

    def token(self, user: str) -> str:
        """Of four that the user has; now and then one that ends soon."""
        return issue_token(
            user,
            secret=SECRET,
            now=time.time(),
            lifetime_seconds=self.dice.choice([1, 60, 60]),
            token_id=f"{user}-{self.dice.randint(1, 4)}",
            rooms={"private:*": ["join", "publish", "read"]} if self.dice.random() < 0.5 else None,
        )

    def word(self, id: int, user: str) -> bytes:
        dice = self.dice
        room, key = dice.choice(ROOMS), f"k{dice.randint(1, 30)}"
        since = {"epoch": "x", "offset": dice.randint(0, 99)}
        content = dice.choice(["a", "b", "c" * 3000])
        words: list[Callable[[], bytes]] = [
            lambda: command(id=id, type="JOIN", room=room),
            lambda: command(id=id, type="JOIN", room=room, since=since),
            lambda: command(id=id, type="LEAVE", room=room),
            lambda: command(id=id, type="PUBLISH", room=room, key=key, content=content),
            lambda: command(id=id, type="PUBLISH", room=room, content=content),
            lambda: command(id=id, type="HISTORY", room=room, limit=dice.randint(1, 100)),
            lambda: command(id=id, type="PRESENCE", room=room),
            lambda: command(type="TYPING", room=room),
            lambda: command(id=id, type="REFRESH", token=self.token(dice.choice([user, "eve"]))),
            lambda: command(id=id, type="AUTH", token=self.token(user)),
            lambda: frame(PING, b"ping"),
            lambda: frame(TEXT, b'{"type":'),
            lambda: frame(TEXT, b"{", fin=False) + frame(0, b"}"),
        ]
        return dice.choice(words)()


async def test_a_crowd_that_does_everything_in_any_order(attack: Attack):
    """Users are thrown out meanwhile. Nothing crashes, and what became of each message is known."""
    crowd = Crowd(attack)
    lives = iter(range(LIVES))

    async def work() -> None:
        for _ in lives:
            await crowd.live()

    async def throw_out() -> None:
        while True:
            user = crowd.user()
            await trio.to_thread.run_sync(attack.node.revoke, user)
            await trio.sleep(0.1)

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(throw_out)
            async with trio.open_nursery() as working:
                for _ in range(WORKERS):
                    working.start_soon(work)
            nursery.cancel_scope.cancel()
    await attack.withdraw()
    heard = crowd.heard
    attack.saw(f"{heard.total()} answers and ends", *sorted(filter(str.isdecimal, heard)))
    assert {"ACK", "AUTH_OK", "JOIN_OK", "REFRESH_OK"} <= set(heard)
    ledger = attack.node.ledger()
    refused = sum(ledger["refused"].values())
    assert ledger["published"] == ledger["accepted"] + refused + ledger["pending"]
    copies = ledger["copies"]
    dropped = sum(copies["dropped"].values())
    known = copies["own"] + copies["delivered"] + dropped + copies["pending"]
    assert copies["accepted"] == known
