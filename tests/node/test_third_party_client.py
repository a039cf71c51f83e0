"""Somebody else's WebSocket library and `docs/protocol.md`: no code of ours in the client."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect

pytestmark = [pytest.mark.socket, pytest.mark.kill]

SUBPROTOCOL = "greenroom.v1.json"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A `greenroom serve` of its own process: its WebSocket's URL, and a maker of tokens."""
    data = tmp_path_factory.mktemp("node") / "data"
    command = [sys.executable, "-m", "greenroom.node"]
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("GREENROOM_")}
    environment["GREENROOM_DATA"] = str(data)
    with subprocess.Popen(
        [*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "listening":
                break
        # The log goes on; somebody has to read it, or the node would wait at a full pipe.
        reader = threading.Thread(target=process.stderr.read, daemon=True)
        reader.start()

        def token(user):
            return subprocess.run(
                [*command, "token", "--user", user],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()

        try:
            yield event["url"].replace("http://", "ws://") + "ws", token
        finally:
            process.terminate()
            process.wait(20)
            reader.join(5)


class Client:
    def __init__(self, socket):
        self.socket = socket

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self, kind):
        """The next message of that type; others are passed over."""
        while True:
            message = json.loads(self.socket.recv(timeout=5))
            if message["type"] == kind:
                return message


@contextmanager
def client(node, user, *, subprotocols=(SUBPROTOCOL,)):
    url, token = node
    with connect(url, subprotocols=list(subprotocols) or None, compression=None) as socket:
        someone = Client(socket)
        someone.say(type="AUTH", id=1, token=token(user), client="third-party/1.0")
        assert someone.hear("AUTH_OK")["user"] == user
        yield someone


def test_auth_answers_with_what_the_document_lists(node):
    url, token = node
    with connect(url, subprotocols=[SUBPROTOCOL]) as socket:
        assert socket.subprotocol == SUBPROTOCOL
        someone = Client(socket)
        someone.say(type="AUTH", id=1, token=token("ada"))
        answer = someone.hear("AUTH_OK")
    assert answer["id"] == 1
    assert answer["heartbeat_ms"] == 25_000
    assert {"connection", "session", "node", "user", "expires", "limits"} <= set(answer)


def test_publish_reaches_the_other_member_and_not_the_sender(node):
    with client(node, "ada") as ada, client(node, "grace") as grace:
        for number, someone in enumerate((ada, grace)):
            someone.say(type="JOIN", id=2, room="lobby")
            assert someone.hear("JOIN_OK")["members"] == number + 1
        ada.say(type="PUBLISH", id=3, room="lobby", key="k1", content="hello")
        ack = ada.hear("ACK")
        message = grace.hear("MESSAGE")
        assert (message["user"], message["content"]) == ("ada", "hello")
        for field in ("room", "epoch", "offset", "message_id", "timestamp"):
            assert message[field] == ack[field]
        assert (ack["id"], ack["status"], ack["duplicate"]) == (3, 0, False)
        # Were her own message sent to ada, it would come before the answer to this.
        ada.say(type="PRESENCE", id=4, room="lobby")
        assert json.loads(ada.socket.recv(timeout=5))["type"] == "PRESENCE_OK"


def test_same_key_again_is_acknowledged_as_duplicate(node):
    with client(node, "ada") as ada:
        ada.say(type="JOIN", id=2, room="twice")
        ada.hear("JOIN_OK")
        for _ in range(2):
            ada.say(type="PUBLISH", id=3, room="twice", key="same", content="once")
        first, second = ada.hear("ACK"), ada.hear("ACK")
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["offset"] == second["offset"] == 1


def test_join_with_since_brings_what_was_missed(node):
    with client(node, "ada") as ada:
        ada.say(type="JOIN", id=2, room="missed")
        joined = ada.hear("JOIN_OK")
        for number in range(3):
            ada.say(type="PUBLISH", id=10 + number, room="missed", content=f"m{number}")
            ada.hear("ACK")
    with client(node, "grace") as grace:
        since = {"epoch": joined["epoch"], "offset": 1}
        grace.say(type="JOIN", id=2, room="missed", since=since)
        again = grace.hear("JOIN_OK")
    assert again["recovered"] is True
    assert [message["content"] for message in again["messages"]] == ["m1", "m2"]


def test_heartbeat_is_answered_with_its_echo(node):
    with client(node, "ada") as ada:
        now = int(time.time() * 1000)
        ada.say(type="HEARTBEAT", timestamp=now)
        answer = ada.hear("HEARTBEAT")
    assert answer["echo"] == now
    assert abs(answer["timestamp"] - now) < 60_000


def test_without_a_subprotocol_json_is_spoken(node):
    with client(node, "ada", subprotocols=()) as ada:
        ada.say(type="JOIN", id=2, room="plain")
        assert ada.hear("JOIN_OK")["room"] == "plain"


def test_unknown_type_is_error_104(node):
    with client(node, "ada") as ada:
        ada.say(type="CONFETTI", id=9)
        error = ada.hear("ERROR")
    assert (error["code"], error["temporary"]) == (104, False)
