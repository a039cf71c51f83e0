"""A whole node: page, guests, chat and history through the real cast, and an orderly end."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from support.patience import PATIENCE_SECONDS
from support.whole_node import running
from trio_websocket import ConnectionClosed

from greenroom.actors.services import CastLimits
from greenroom.node.serve import limits_of
from greenroom.node.settings.record import Settings

pytestmark = pytest.mark.socket


def test_the_cast_and_the_settings_have_the_same_defaults():
    settings = Settings(database_connections=4)
    limits = limits_of(settings, settings.max_connections)
    assert limits == CastLimits()


def test_an_operator_sets_what_clients_have_time_for():
    times = {"handshake_seconds": 7.0, "auth_seconds": 8.0, "close_seconds": 9.0}
    limits = limits_of(Settings(**times), 10)
    assert {name: getattr(limits, name) for name in times} == times


async def test_two_guests_chat(tmp_path):
    async with running(tmp_path) as node, node.sign_in("ann") as ann, node.sign_in("bob") as bob:
        ack = await ann.ask(type="PUBLISH", room="lobby", key="k1", content="hello bob")
        assert (ack["type"], ack["offset"], ack["duplicate"]) == ("ACK", 1, False)
        message = await bob.push("MESSAGE")
        assert (message["user"], message["content"], message["offset"]) == ("ann", "hello bob", 1)


async def test_history_survives_a_restart(tmp_path):
    for expected in ([], ["one"]):
        async with running(tmp_path) as node, node.sign_in("ann") as ann:
            history = await ann.ask(type="HISTORY", room="lobby", limit=10)
            assert [message["content"] for message in history["messages"]] == expected
            ack = await ann.ask(type="PUBLISH", room="lobby", key="k1", content="one")
            assert ack["offset"] == 1
            assert ack["duplicate"] is bool(expected)


async def test_a_token_of_another_node_is_refused(tmp_path):
    async with running(tmp_path / "a") as one:
        _status, body = await one.http("POST", "/api/guest", {"name": "ann"})
    async with running(tmp_path / "b") as other, other.connect() as client:
        answer = await client.ask(type="AUTH", token=json.loads(body)["token"])
        assert (answer["type"], answer["code"]) == ("ERROR", 101)
        with pytest.raises(ConnectionClosed) as caught:
            await client.next()
        assert caught.value.reason.code == 4500


async def test_the_page_and_readiness_are_served_beside_the_sockets(tmp_path):
    async with running(tmp_path) as node:
        assert (await node.http("GET", "/readyz"))[0] == 200
        assert (await node.http("GET", "/nothing"))[0] == 404


async def test_a_node_that_can_not_commit_is_not_ready_and_says_why(tmp_path, caplog):
    caplog.set_level("WARNING", "greenroom.actors.health")
    settings = {"database_statement_seconds": 0.01}
    async with running(tmp_path, **settings) as node, node.sign_in("ann") as ann:
        other = sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await ann.send(id=99, type="PUBLISH", room="lobby", key="k", content="hello")
        with trio.fail_after(PATIENCE_SECONDS):
            while not caplog.records:  # noqa: ASYNC110  # the log wakes nobody
                await trio.sleep(0.01)
        assert caplog.messages == ["the store can't commit: database is locked"]
        assert (await node.http("GET", "/readyz"))[0] == 503
        other.close()
        assert (await ann.push("ACK"))["id"] == 99
        assert (await node.http("GET", "/readyz"))[0] == 200


async def test_one_more_than_the_limit_is_503(tmp_path):
    async with running(tmp_path, max_connections=1) as node, node.sign_in("ann"):
        handshake = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        status, body = await node.http("GET", "/ws", **handshake)
        assert (status, body) == (503, b"This node has no free place.\n")


async def test_draining_tells_the_clients_and_frees_everything(tmp_path):
    """DRAIN, then 4001; afterwards neither port nor directory is taken."""
    async with running(tmp_path) as node, node.sign_in("ann") as ann:
        node.stop()
        assert (await ann.push("DRAIN"))["spread_ms"] > 0
        with pytest.raises(ConnectionClosed) as caught:
            await ann.next()
        assert caught.value.reason.code == 4001
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", node.port)
    async with running(tmp_path):
        pass


@contextmanager
def node_process(tmp_path, *options, before=None):
    """A node of its own process that listens; yields it and the events it has logged until then."""
    options = ("--port", "0", "--data", tmp_path / "d", *options)
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom.node", "serve", *options],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )
    with process:
        try:
            lines = []
            for text in process.stderr:
                lines.append(json.loads(text))
                if lines[-1]["event"] == "listening":
                    break
            yield process, lines
        finally:
            process.kill()


def events(process):
    """What the process logs until it ends."""
    return [json.loads(text)["event"] for text in process.stderr]


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_process_says_its_url_and_ends_with_0_on_a_signal(tmp_path, number):
    with node_process(tmp_path) as (process, lines):
        assert lines[-1]["url"].startswith("http://127.0.0.1:")
        assert any("development node" in line["event"] for line in lines)
        process.send_signal(number)
        assert events(process) == ["draining", "stopped"]
        assert process.wait() == 0


def ignore_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.kill
def test_a_node_under_nohup_outlives_its_terminal(tmp_path):
    with node_process(tmp_path, before=ignore_hangup) as (process, _lines):
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert events(process) == ["draining", "stopped"]


async def test_a_second_signal_ends_the_graces_at_once(tmp_path, monkeypatch):
    hurried = []

    async def drain(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await trio.sleep_forever()
        finally:
            hurried.append(True)

    monkeypatch.setattr("greenroom.node.serve._drain", drain)
    with trio.fail_after(PATIENCE_SECONDS):
        async with running(tmp_path) as node:
            node.stop()
    assert hurried == [True]


async def test_a_hangup_that_comes_twice_is_no_second_signal(tmp_path, monkeypatch):
    """A closing terminal tells the node, and the shell that it ends tells it again."""
    undisturbed = []

    async def drain(*_):
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        undisturbed.append(True)

    monkeypatch.setattr("greenroom.node.serve._drain", drain)
    async with running(tmp_path) as node:
        node.stop()
    assert undisturbed == [True]


@pytest.mark.kill
@pytest.mark.parametrize("given", [(), ("--origin", "https://chat.example.com")])
def test_a_development_node_behind_another_origin_says_what_that_means(tmp_path, given):
    with node_process(tmp_path, *given) as (_process, lines):
        warnings = [line["event"] for line in lines if line["level"] == "warning"]
    assert len(warnings) == (1 if given else 0)
    assert all("development node" in warning for warning in warnings)
