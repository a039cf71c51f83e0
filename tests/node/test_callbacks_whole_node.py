"""A whole node that calls back a real server: what it says, replays, and asks."""

import json

import pytest
import trio
from support.cast_stage import until
from support.http_receiver import answers, http_receiver
from support.patience import PATIENCE_SECONDS
from support.whole_node import running

from greenroom.actors.callbacks.events import EventKind
from greenroom.node.cli import main
from greenroom.node.settings.callbacks import WebhookUrl
from greenroom.node.signatures import SigningSecrets

pytestmark = pytest.mark.socket

KEYS = SigningSecrets().from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ALL = tuple(kind.value for kind in EventKind)


def webhooks(receiver, *, events=ALL):
    return {
        "webhook_url": WebhookUrl(receiver.url),
        "webhook_secret": KEYS,
        "webhook_events": events,
    }


def called_back(receiver):
    return [(event["type"], event["user"]) for event in receiver.events()]


async def test_what_happens_on_a_node_is_called_back(tmp_path):
    async with http_receiver() as receiver, running(tmp_path, **webhooks(receiver)) as node:
        async with node.sign_in("ann") as ann:
            await until(lambda: ("joined", "ann") in called_back(receiver), seconds=10)
            ack = await ann.ask(type="PUBLISH", room="lobby", key="k", content="Grüße")
            await until(lambda: ("message", "ann") in called_back(receiver), seconds=10)
            await ann.ask(type="LEAVE", room="lobby")
            await until(lambda: ("left", "ann") in called_back(receiver), seconds=10)
        (message,) = receiver.events("lobby", "message")
        assert (message["content"], message["offset"]) == ("Grüße", ack["offset"])
        assert receiver.events(None, "first_connection")[0]["user"] == "ann"
        assert {received.json["node"] for received in receiver.received} == {"greenroom"}


async def test_a_dead_letter_is_replayed_while_the_node_runs(tmp_path, capsys):
    data = ["--data", str(tmp_path)]
    async with http_receiver() as receiver:
        receiver.behave = lambda _: answers(410)
        settings = webhooks(receiver, events=("message",))
        async with running(tmp_path, **settings) as node, node.sign_in("ann") as ann:
            await ann.ask(type="PUBLISH", room="lobby", key="k", content="one")
            with trio.fail_after(PATIENCE_SECONDS):
                while not (shown := await listed(data, capsys)):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            (dead,) = shown
            assert (dead["reason"], dead["body"]["events"][0]["content"]) == ("answered 410", "one")
            receiver.behave = None
            replay = ["callbacks", "replay", "--all", *data]
            assert await trio.to_thread.run_sync(main, replay) == 0
            await until(lambda: len(receiver.received) == 2, seconds=20)
            with trio.fail_after(PATIENCE_SECONDS):
                while await listed(data, capsys):  # noqa: ASYNC110
                    await trio.sleep(0.05)
        first, second = receiver.received
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"] == dead["id"]


async def listed(data, capsys):
    capsys.readouterr()
    assert await trio.to_thread.run_sync(main, ["callbacks", "list", "--json", *data]) == 0
    return [
        json.loads(line)
        for line in capsys.readouterr().out.splitlines()
        if line.startswith('{"id":"cb_')
    ]


async def test_the_gate_says_who_enters_a_private_room(tmp_path):
    def gate(received):
        question = received.json
        match question["user"]:
            case "ann":
                return answers(200, b'{"allow": true, "rights": ["join", "read"]}')
            case "bob":
                return answers(200, b'{"allow": false}')
            case _:
                return answers(503)

    async with http_receiver() as receiver:
        receiver.behave = gate
        settings = {"webhook_access_url": WebhookUrl(receiver.url), "webhook_secret": KEYS}
        async with running(tmp_path, **settings) as node:
            outcomes = {}
            for name in ("ann", "bob", "cid"):
                async with node.sign_in(name) as client:
                    answer = await client.ask(type="JOIN", room="private:a")
                    outcomes[name] = answer.get("code", answer["type"])
                    if name == "ann":
                        publish = await client.ask(
                            type="PUBLISH", room="private:a", key="k", content="x"
                        )
                        outcomes["ann publishes"] = publish.get("code")
            assert outcomes == {"ann": "JOIN_OK", "ann publishes": 103, "bob": 103, "cid": 108}
        assert {received.json["room"] for received in receiver.received} == {"private:a"}
