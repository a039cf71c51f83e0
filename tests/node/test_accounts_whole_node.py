"""Accounts in a whole node: a password gets somebody into a room, and out of it again."""

import io
import json
import time

import pytest
import trio
from support.key_pairs import pair
from support.patience import PATIENCE_SECONDS
from support.whole_node import running
from trio_websocket import ConnectionClosed

from greenroom.node.cli import main
from greenroom.node.logs import configure_logs
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.kinds import Secret

pytestmark = pytest.mark.socket

SECRET = Secret("a secret of at least thirty-two bytes")
CHEAP = {"password_memory_mib": 8, "password_passes": 1}
ANN = {"name": "Ann", "password": "correct horse"}


async def post(node, what, payload, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    status, body = await node.http("POST", f"/api/{what}", payload, **headers)
    return status, json.loads(body or b"{}")


async def close_code(client):
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                await client.next()
            except ConnectionClosed as closed:
                return closed.reason.code


async def test_somebody_registers_talks_and_changes_the_password(tmp_path):
    """The connection on the old token is closed, and its token lets nobody in. No log holds any
    of it."""
    logged = io.StringIO()
    configure_logs(log_format="json", level="debug", stream=logged)
    async with running(tmp_path, jwt_secret=SECRET, registration=True, **CHEAP) as node:
        _, made = await post(node, "register", ANN)
        async with node.connect() as client:
            welcome = await client.ask(type="AUTH", token=made["token"])
            assert (welcome["type"], welcome["user"]) == ("AUTH_OK", "Ann")
            assert (await client.ask(type="JOIN", room="lobby"))["type"] == "JOIN_OK"
            change = {"old": "correct horse", "new": "battery staple"}
            status, changed = await post(node, "password", change, made["token"])
            assert status == 200
            assert await close_code(client) == 4508
        assert (await post(node, "renew", {}, made["token"]))[0] == 401
        async with node.connect() as client:
            welcome = await client.ask(type="AUTH", token=changed["token"])
            assert welcome["type"] == "AUTH_OK"
        assert (await post(node, "login", ANN))[0] == 401
    for secret in ("correct horse", "battery staple", made["token"], changed["token"]):
        assert secret not in logged.getvalue()
    assert "listening" in logged.getvalue()


async def test_a_token_is_not_renewed_past_a_command_that_revokes_it(tmp_path):
    """Nor in the seconds in which the node has not yet noticed by itself."""
    async with running(tmp_path, jwt_secret=SECRET, registration=True, **CHEAP) as node:
        _, made = await post(node, "register", ANN)
        command = ["revoke", "--data", str(tmp_path), "--user", "Ann"]
        assert await trio.to_thread.run_sync(main, command) == 0
        assert (await post(node, "renew", {}, made["token"]))[0] == 401


async def test_what_somebody_else_has_signed_is_not_renewed(tmp_path):
    """Whatever it looks like: their tokens end when they said."""
    issuer, now = pair("ES256"), time.time()
    file = tmp_path / "issuer.pem"
    file.write_bytes(issuer.pem)
    claims = {"sub": "Ann", "iat": now, "exp": now + 60, "jti": f"pw.{int(now * 1000)}.x"}
    settings = {"jwt_keys": (KeyFile(file),), "accounts": True, "registration": True, **CHEAP}
    async with running(tmp_path / "data", jwt_secret=SECRET, **settings) as node:
        _, made = await post(node, "register", ANN)
        assert (await post(node, "renew", {}, made["token"]))[0] == 200
        signed = issuer.sign(claims)
        async with node.connect() as client:
            assert (await client.ask(type="AUTH", token=signed))["type"] == "AUTH_OK"
        assert (await post(node, "renew", {}, signed))[0] == 401


@pytest.mark.slow
async def test_a_command_beside_the_node_adds_disables_and_enables_users(
    tmp_path, monkeypatch, capsys
):
    """Disabled, a user is out within seconds and can't come back; enabled, the password is good."""

    async def user(*arguments, password=None):
        if password is not None:
            monkeypatch.setattr("getpass.getpass", lambda _prompt: password)
        command = ["user", *arguments, "--data", str(tmp_path)]
        assert await trio.to_thread.run_sync(main, command) == 0
        return capsys.readouterr().out

    async with running(tmp_path, **CHEAP) as node:
        await user("add", "Ann", password="correct horse")
        _, signed_in = await post(node, "login", ANN)
        assert (await post(node, "guest", {"name": "ann"}))[0] == 409
        async with node.connect() as client:
            await client.ask(type="AUTH", token=signed_in["token"])
            await user("disable", "ann")
            assert await close_code(client) == 4508
        assert (await post(node, "login", ANN))[0] == 401
        await user("enable", "ann")
        status, again = await post(node, "login", ANN)
        assert status == 200
        async with node.connect() as client:
            assert (await client.ask(type="AUTH", token=again["token"]))["type"] == "AUTH_OK"
            await user("passwd", "ann", password="battery staple")
            assert await close_code(client) == 4508
        assert (await post(node, "login", ANN))[0] == 401
        assert "Ann" in await user("list")


async def test_whoever_makes_an_account_has_its_name_in_every_spelling(tmp_path):
    """On a development node, where guests have bare names: those who are in are closed with 4508,
    and tokens that are kept for later let nobody in."""
    async with running(tmp_path, registration=True, **CHEAP) as node:
        tokens = {}
        for name in ("ann", "A\N{FULLWIDTH LATIN SMALL LETTER N}N", "bob"):
            _, guest = await post(node, "guest", {"name": name})
            tokens[name] = guest["token"]
        async with node.connect() as bob, node.connect() as ann:
            for client, name in ((bob, "bob"), (ann, "ann")):
                assert (await client.ask(type="AUTH", token=tokens[name]))["type"] == "AUTH_OK"
            status, made = await post(node, "register", ANN)
            assert status == 200
            assert await close_code(ann) == 4508
            assert (await bob.ask(type="JOIN", room="lobby"))["type"] == "JOIN_OK"
        for name, token in tokens.items():
            async with node.connect() as client:
                answer = await client.ask(type="AUTH", token=token)
                assert answer["type"] == ("AUTH_OK" if name == "bob" else "ERROR")
        async with node.connect() as client:
            assert (await client.ask(type="AUTH", token=made["token"]))["user"] == "Ann"
