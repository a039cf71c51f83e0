"""`greenroom revoke` beside a node that runs, and before one does."""

import time
from contextlib import asynccontextmanager

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.whole_node import running
from trio_websocket import ConnectionClosed

from greenroom.node.cli import main
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import Secret
from greenroom.node.settings.record import Settings
from greenroom.protocol import issue_token

SECRET = "a secret of at least thirty-two bytes"


def token(user, **claims):
    return issue_token(user, secret=SECRET, now=time.time(), lifetime_seconds=3600, **claims)


@asynccontextmanager
async def entered(node, signed):
    async with node.connect() as client:
        reply = await client.ask(type="AUTH", token=signed)
        assert reply["type"] == "AUTH_OK", reply
        yield client


async def close_code(client):
    try:
        while True:
            await client.next()
    except ConnectionClosed as closed:
        return closed.reason.code


async def revoke(data, *words):
    """Run the command; in a thread, because it blocks and has an event loop of its own."""
    return await trio.to_thread.run_sync(main, ["revoke", "--data", str(data), *words])


@pytest.mark.socket
async def test_a_running_node_follows_the_command_within_seconds(tmp_path):
    node = running(tmp_path, jwt_secret=Secret(SECRET))
    ann, one, other = token("ann"), token("bob", token_id="one"), token("bob", token_id="other")
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            node as node,
            entered(node, ann) as out,
            entered(node, one) as out_by_id,
            entered(node, other) as stays,
        ):
            assert await revoke(tmp_path, "--user", "ann") == 0
            assert await revoke(tmp_path, "--token-id", "one") == 0
            began = trio.current_time()
            assert await close_code(out) == 4508
            assert await close_code(out_by_id) == 4508
            assert trio.current_time() - began < 10
            async with node.connect() as again:
                assert (await again.ask(type="AUTH", token=ann))["code"] == 101
                assert await close_code(again) == 4508
            assert (await stays.ask(type="JOIN", room="lobby"))["type"] == "JOIN_OK"
            async with entered(node, token("ann")):
                pass


@pytest.mark.socket
async def test_a_node_that_starts_later_knows(tmp_path):
    signed = token("ann")
    with trio.fail_after(PATIENCE_SECONDS):
        async with running(tmp_path, jwt_secret=Secret(SECRET)):
            pass
        assert await revoke(tmp_path, "--user", "ann") == 0
        async with running(tmp_path, jwt_secret=Secret(SECRET)) as node, node.connect() as client:
            assert (await client.ask(type="AUTH", token=signed))["code"] == 101
            assert await close_code(client) == 4508


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name either a --user or a --token-id"),
        (["--user", "ann", "--token-id", "t"], "name either a --user or a --token-id"),
        (["--user", "a\nb"], "can be no user"),
        (["--token-id", ""], "1 to 255 characters"),
        (["--user", "ann"], "it is not there yet"),
    ],
)
def test_what_can_t_be_revoked_is_said_in_a_line(tmp_path, capsys, words, said):
    assert main(["revoke", "--data", str(tmp_path), *words]) != 0
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


def test_a_revocation_may_not_be_forgotten_before_the_tokens_of_this_node_end():
    with pytest.raises(SettingsError, match="revocation_seconds is 60 but token_seconds is 61"):
        Settings(revocation_seconds=60.0, token_seconds=61.0)
