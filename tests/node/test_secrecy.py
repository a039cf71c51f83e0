"""A node's tokens and secrets stand in nothing that it writes, says or shows.

It handles tokens by every carrier, good ones and bad ones, crashes with some in hand, and answers
everything that can be asked; then all of its outputs are searched for what it was told in
confidence.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from support import careless_node
from support.http_receiver import http_receiver
from support.patience import PATIENCE_SECONDS
from support.ports import free_port
from support.raw import BINARY, TEXT, connect
from support.wire import frame, request

from greenroom.protocol import issue_token

pytestmark = [pytest.mark.socket, pytest.mark.slow]

JWT_SECRET = "the-secret-that-signs-all-tokens-of-this-node"
HOOK_SECRET = "d2hhdCBzaWducyBhbGwgb2YgdGhpcyBub2RlJ3MgaG9va3M="
HOOK_WORD = "a-word-in-the-address-of-the-receiver"
OPERATOR_KEY = "0123456789-operators-own-key-abcdefghijklmnopqrstuvwxyz"
WRONG_KEY = "zyxwvutsrqponmlkjihgfedcba-not-the-operators-key-9876543210"
PASSWORD, NEXT_PASSWORD = "correct horse battery", "staple correct horse again"
UNLUCKY_PASSWORD, WRONG_PASSWORD = "the password of an unlucky one", "not the password at all"
CONTENT = "what somebody said in confidence"
COOKIE = "greenroom-token"
SILENCE_SECONDS = 1.5  # after which a node says no more to a connection that it keeps


def token(user: str, *, secret: str = JWT_SECRET, seconds: float = 3600, **claims) -> str:
    return issue_token(user, secret=secret, now=time.time(), lifetime_seconds=seconds, **claims)


COMMANDS = (
    ("check",),
    ("callbacks", "list", "--json"),
    ("user", "list"),
    ("migrate", "--check"),
    ("revoke", "--user", "carl"),
)


@attrs.define(eq=False)
class World:
    """A node, what it was told in confidence, and all that came out of it."""

    port: int
    admin_port: int
    data: Path
    environment: dict[str, str]
    secrets: set[str] = attrs.field(factory=set)
    welcomed: set[str] = attrs.field(factory=set)
    """Conversations that got as far as AUTH_OK."""
    outputs: dict[str, list[bytes]] = attrs.field(factory=dict)

    def tell(self, secret: str) -> str:
        """Note what nobody may show; of a token its signature alone is enough to know it by."""
        self.secrets.add(secret)
        if secret.count(".") == 2:
            self.secrets.add(secret.rpartition(".")[2])
        return secret

    def heard(self, where: str, what: bytes) -> None:
        self.outputs.setdefault(where, []).append(what)

    async def http(self, method, path, body=None, *, port=None, **headers) -> bytes:
        """Ask for something over HTTP; the whole answer."""
        content = b"" if body is None else json.dumps(body).encode()
        client = await connect(port or self.port)
        lines = {"Content-Type": "application/json", **headers}
        await client.send(
            request(
                f"{method} {path} HTTP/1.1".encode(),
                Upgrade=None,
                Connection=b"close",
                Sec_WebSocket_Key=None,
                Sec_WebSocket_Version=None,
                Content_Length=str(len(content)).encode(),
                **{name: value.encode() for name, value in lines.items()},
            )
            + content
        )
        answer = await client.rest()
        await client.aclose()
        return answer

    async def asked(self, method, path, body=None, **more) -> None:
        """Ask, and note the answer as an output."""
        self.heard(
            f"{method} {path.partition('?')[0]}", await self.http(method, path, body, **more)
        )

    async def given(self, path, body, **more) -> str:
        """Ask for a token, which is in the answer by design."""
        answer = await self.http("POST", path, body, **more)
        return self.tell(json.loads(answer.partition(b"\r\n\r\n")[2])["token"])

    async def converse(self, where: str, *frames: bytes, **headers: bytes) -> None:
        """Shake hands, say all of it, and note whatever comes, save a session that is one's own."""
        client = await connect(self.port)
        await client.send(request(**headers))
        await client.send(b"".join(frames))
        with trio.move_on_after(PATIENCE_SECONDS) as waiting:
            head = await client.answer()
            self.heard(where, head.encode())
            while True:
                waiting.deadline = trio.current_time() + SILENCE_SECONDS
                if (found := await client.next_frame()) is None:
                    break
                said = found[1]
                with suppress(ValueError):
                    message = json.loads(said)
                    if "session" in message:
                        self.tell(message["session"])
                        self.welcomed.add(where)
                        continue
                self.heard(where, said)
        await client.aclose()

    async def run(self, *words: str) -> None:
        """Run a command of the operator, with the node's environment."""
        command = [sys.executable, "-m", "greenroom.node", *words]
        done = await trio.run_process(
            command,
            env=self.environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.heard(f"greenroom {words[0]}", done.stdout)


@asynccontextmanager
async def careless(folder: Path, log_format: str, hook: str):
    """A node in a process of its own that logs all there is."""
    data, log = folder / "data", folder / "log"
    world = World(free_port(), free_port(), data, {})
    world.environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")
    } | {
        "GREENROOM_PORT": str(world.port),
        "GREENROOM_DATA": str(data),
        "GREENROOM_LOG_LEVEL": "debug",
        "GREENROOM_LOG_FORMAT": log_format,
        "GREENROOM_JWT_SECRET": world.tell(JWT_SECRET),
        "GREENROOM_WEBHOOK_URL": f"{hook}?word={world.tell(HOOK_WORD)}",
        "GREENROOM_WEBHOOK_SECRET": world.tell(HOOK_SECRET),
        "GREENROOM_TOKEN_COOKIE": COOKIE,
        "GREENROOM_ORIGINS": "http://page.example",
        "GREENROOM_GUESTS": "true",
        "GREENROOM_REGISTRATION": "true",
        "GREENROOM_PASSWORD_MEMORY_MIB": "8",
        "GREENROOM_PASSWORD_PASSES": "1",
        "GREENROOM_ADMIN_PORT": str(world.admin_port),
        "GREENROOM_ADMIN_KEYS": f"ops={world.tell(OPERATOR_KEY)}",
    }
    command = [sys.executable, careless_node.__file__, "serve"]
    with log.open("wb") as file:
        process = await trio.lowlevel.open_process(
            command, stdout=file, stderr=file, env=world.environment
        )
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            while b"listening" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                await trio.sleep(0.05)
        yield world
        command_line = trio.Path(f"/proc/{process.pid}/cmdline")
        world.heard("command line", await command_line.read_bytes())
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE_SECONDS):
            await process.wait()
        world.heard("log", log.read_bytes())
        for path in sorted(data.iterdir()):
            world.heard(f"file {path.name}", path.read_bytes())
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def said(**fields) -> bytes:
    return frame(TEXT, json.dumps(fields).encode())


async def handle_tokens(world: World, nursery: trio.Nursery) -> None:
    """By every carrier, good ones and bad ones."""
    tell = world.tell

    def converse(*words, **headers):
        nursery.start_soon(partial(world.converse, *words, **headers))

    good = tell(token("ann", token_id="the-id-of-a-token"))
    bad = {
        "expired": tell(token("ann", seconds=-5)),
        "of another secret": tell(token("ann", secret="x" * 40)),
        "cut": tell(good[:-7]),
        "no token": tell("NoTokenAtAllButSomebodysSecret"),
        "long": tell("LongLong" * 1_000),
        "of odd characters": tell("Grüße-von-einem-Token-🎈"),
    }
    join, publish = (
        said(type="JOIN", id=2, room="lobby"),
        said(type="PUBLISH", id=3, room="lobby", content=CONTENT),
    )
    converse("AUTH", said(type="AUTH", id=1, token=good), join, publish)
    for name, each in bad.items():
        converse(f"AUTH {name}", said(type="AUTH", id=1, token=each))
        renewal = [said(type="AUTH", id=1, token=good), said(type="REFRESH", id=2, token=each)]
        converse(f"REFRESH {name}", *renewal)
        latin = each.encode()
        converse(f"header {name}", Authorization=b"Bearer " + latin)
        cookie = {"Cookie": f"{COOKIE}=".encode() + latin, "Origin": b"http://page.example"}
        converse(f"cookie {name}", said(type="AUTH", id=1), **cookie)
        await world.asked("GET", f"/ws?token={world.tell('InTheQuery' + name.replace(' ', ''))}")
    converse("header", said(type="AUTH", id=1), Authorization=f"Bearer {good}".encode())
    converse(
        "cookie",
        said(type="AUTH", id=1),
        Cookie=f"{COOKIE}={good}".encode(),
        Origin=b"http://page.example",
    )
    converse("other origin", Cookie=f"{COOKIE}={good}".encode(), Origin=b"http://evil")
    converse("two headers", Authorization=[f"Bearer {good}".encode()] * 2)
    converse("basic", Authorization=f"Basic {good}".encode())
    converse("header and subprotocol", Sec_WebSocket_Protocol=good.encode())
    # In frames that are none, and where no token belongs.
    text = json.dumps({"type": "AUTH", "id": 1, "token": good}).encode()
    for broken in (text[:-1], text + b"}", b"[" + text + b"]", text.replace(b"AUTH", b"HTUA")):
        converse("broken", frame(TEXT, broken))
    converse("binary", frame(BINARY, text))
    converse("nested", said(type="AUTH", id=1, token={"token": good}))
    converse("as an id", said(type="AUTH", id=good, token=good))
    converse("before AUTH", said(type="JOIN", id=1, room=good[:90], token=good))
    converse("unmasked", frame(TEXT, text, masked=False))
    converse("session", said(type="AUTH", id=1, token=good, session=tell("s" * 32)))
    for path in ("/healthz", "/readyz", "/nothing", "/api/sign-in", f"/?token={good}"):
        await world.asked("GET", path, Authorization=f"Bearer {good}", Cookie=f"{COOKIE}={good}")


async def handle_passwords(world: World) -> None:
    """Of users and guests."""
    for word in (PASSWORD, NEXT_PASSWORD, WRONG_PASSWORD, UNLUCKY_PASSWORD):
        world.tell(word)
    await world.given("/api/guest", {"name": "Guest"})
    await world.given("/api/register", {"name": "carl", "password": PASSWORD})
    mine = await world.given("/api/login", {"name": "carl", "password": PASSWORD})
    await world.asked("POST", "/api/login", {"name": "carl", "password": WRONG_PASSWORD})
    await world.asked("POST", "/api/login", {"name": "unlucky-web", "password": UNLUCKY_PASSWORD})
    await world.asked("POST", "/api/login", {"name": {"password": PASSWORD}, "password": PASSWORD})
    await world.asked("POST", "/api/guest", {"name": mine})
    mine = await world.given(
        "/api/password",
        {"old": PASSWORD, "new": NEXT_PASSWORD},
        Authorization=f"Bearer {mine}",
    )
    mine = await world.given("/api/renew", {}, Authorization=f"Bearer {mine}")
    await world.asked("POST", "/api/logout", {}, Authorization=f"Bearer {mine}")
    await world.asked("POST", "/api/renew", {}, Authorization=f"Bearer {mine}")


async def strike_bugs(world: World) -> None:
    """In a connection, and in the registry, with a token in hand."""
    for unlucky in ("unlucky-connection", "unlucky-registry"):
        signed = world.tell(token(unlucky))
        await world.converse(unlucky, said(type="AUTH", id=1, token=signed))
    signed = world.tell(token("unlucky-connection"))
    header = f"Bearer {signed}".encode()
    await world.converse("unlucky header", said(type="AUTH", id=1), Authorization=header)


async def look_as_operator(world: World) -> None:
    """At all that the gate shows, while tokens are in use, with the right key and a wrong one."""
    world.tell(WRONG_KEY)
    signed = world.tell(token("dora"))
    client = await connect(world.port)
    async with client.stream:
        await client.upgrade()
        welcome = await client.ask(type="AUTH", token=signed)
        world.tell(welcome["session"])
        await client.ask(type="JOIN", room="lobby")
        for key in (OPERATOR_KEY, WRONG_KEY):
            for path in (
                "status",
                "tree",
                "connections",
                "rooms",
                "rooms/lobby",
                "ledger",
                "revocations",
                "openapi.json",
                "nothing",
            ):
                more = {"port": world.admin_port, "Authorization": f"Bearer {key}"}
                await world.asked("GET", f"/v1/{path}", **more)
        more = {"port": world.admin_port, "Authorization": f"Bearer {OPERATOR_KEY}"}
        await world.asked("POST", "/v1/revoke", {"token_id": signed}, **more)
        await world.asked("POST", "/v1/revoke", {"user": "dora"}, **more)
        world.heard("close", str(await client.close_code()).encode())


def shown_by(world: World) -> set[tuple[str, str]]:
    """Where a secret stands in an output, and how the secret begins."""
    return {
        (where, secret[:20])
        for where, chunks in world.outputs.items()
        for secret in world.secrets
        if any(secret.encode() in chunk for chunk in chunks)
    }


async def test_nothing_that_comes_out_of_a_node_holds_a_token_or_a_secret(tmp_path):
    with trio.fail_after(110):
        async with http_receiver() as receiver, careless(tmp_path, "json", receiver.url) as world:
            async with trio.open_nursery() as nursery:
                await handle_tokens(world, nursery)
            await handle_passwords(world)
            await strike_bugs(world)
            await look_as_operator(world)
            async with trio.open_nursery() as nursery:
                for words in COMMANDS:
                    nursery.start_soon(world.run, *words)
            for received in receiver.received:
                world.heard("webhook", received.body + str(received.headers).encode())
    log = b"".join(world.outputs["log"]).decode()
    for where in ("a connection", "the registry", "the web side"):
        assert f"a bug strikes in {where}" in log
    assert world.welcomed >= {"AUTH", "header", "cookie", "session", "REFRESH expired"}
    assert "dead letter for root/node/registry: OpenSession" in log
    assert b" 200 " in world.outputs["GET /v1/tree"][0]
    assert b"waits_at" in world.outputs["GET /v1/tree"][0]
    assert b"carl" in world.outputs["greenroom user"][0]
    assert CONTENT.encode() in b"".join(world.outputs["webhook"])
    assert CONTENT not in log
    assert shown_by(world) == set()


async def test_nor_does_a_log_for_people(tmp_path):
    with trio.fail_after(110):
        async with (
            http_receiver() as receiver,
            careless(tmp_path, "console", receiver.url) as world,
        ):
            await strike_bugs(world)
    assert b"a bug strikes in the registry" in b"".join(world.outputs["log"])
    assert shown_by(world) == set()
