"""Somebody else's WebSocket library and `docs/protocol.md`: no code of ours in the client.

For Protobuf also `protocol/greenroom.proto`, and the classes that protoc makes of it.
"""

import functools
import importlib.util
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.patience import PATIENCE_SECONDS
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = [pytest.mark.socket, pytest.mark.kill]

SCHEMA = Path(__file__).parents[2] / "protocol" / "greenroom.proto"


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

        @functools.cache
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


@pytest.fixture(scope="session")
def schema(tmp_path_factory):
    """What protoc makes of the schema, as any client's author would have it."""
    if importlib.util.find_spec("grpc_tools") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("grpcio-tools is missing")
    out = tmp_path_factory.mktemp("schema")
    arguments = [f"-I{SCHEMA.parent}", f"--python_out={out}", SCHEMA.name]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    spec = importlib.util.spec_from_file_location("greenroom_pb2", out / "greenroom_pb2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class JsonFrames:
    name = "json"
    subprotocol = "greenroom.v1.json"

    def write(self, message):
        return json.dumps(message)

    def read(self, frame):
        return json.loads(frame)


class ProtobufFrames:
    """Takes and gives what JSON would hold, so that the tests need only one language."""

    name = "protobuf"
    subprotocol = "greenroom.v1.protobuf"

    def __init__(self, schema):
        self.schema = schema

    def write(self, message):
        fields = {name: value for name, value in message.items() if name not in {"type", "id"}}
        body = {message["type"].lower(): fields}
        return self.schema.ClientFrame(id=message.get("id"), **body).SerializeToString()

    def read(self, frame):
        answer = self.schema.ServerFrame.FromString(frame)
        body = answer.WhichOneof("answer")
        message = {"type": body.upper(), **plain(getattr(answer, body))}
        return {**message, "id": answer.id} if answer.HasField("id") else message


def plain(message):
    """The fields that a Protobuf message has, as a dict; a list also where it is empty."""
    found = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if hasattr(value, "add"):
            found[field.name] = [plain(item) for item in value]
        elif message.HasField(field.name):
            found[field.name] = plain(value) if field.message_type else value
    return found


@pytest.fixture(params=["json", "protobuf"])
def frames(request):
    if request.param == "json":
        return JsonFrames()
    return ProtobufFrames(request.getfixturevalue("schema"))


class Client:
    def __init__(self, socket, frames):
        self.socket = socket
        self.frames = frames

    def say(self, **message):
        self.socket.send(self.frames.write(message))

    def hear_any(self):
        return self.frames.read(self.socket.recv(timeout=PATIENCE_SECONDS))

    def hear(self, kind):
        """The next message of that type; others are passed over."""
        while True:
            message = self.hear_any()
            if message["type"] == kind:
                return message


@contextmanager
def client(node, user, frames):
    url, token = node
    with connect(url, subprotocols=[frames.subprotocol], compression=None) as socket:
        assert socket.subprotocol == frames.subprotocol
        someone = Client(socket, frames)
        someone.say(type="AUTH", id=1, token=token(user), client="third-party/1.0")
        assert someone.hear("AUTH_OK")["user"] == user
        yield someone


def test_auth_answers_with_what_the_document_lists(node, frames):
    url, token = node
    with connect(url, subprotocols=[frames.subprotocol]) as socket:
        someone = Client(socket, frames)
        someone.say(type="AUTH", id=1, token=token("ada"))
        answer = someone.hear("AUTH_OK")
    assert answer["id"] == 1
    assert answer["heartbeat_ms"] == 25_000
    assert {"connection", "session", "node", "user", "expires", "limits"} <= set(answer)


def test_publish_reaches_the_other_member_and_not_the_sender(node, frames):
    with client(node, "ada", frames) as ada, client(node, "grace", frames) as grace:
        for number, someone in enumerate((ada, grace)):
            someone.say(type="JOIN", id=2, room=f"lobby-{frames.name}")
            assert someone.hear("JOIN_OK")["members"] == number + 1
        ada.say(type="PUBLISH", id=3, room=f"lobby-{frames.name}", key="k1", content="hello")
        ack = ada.hear("ACK")
        message = grace.hear("MESSAGE")
        assert (message["user"], message["content"]) == ("ada", "hello")
        for field in ("room", "epoch", "offset", "message_id", "timestamp"):
            assert message[field] == ack[field]
        assert (ack["id"], ack["status"], ack["duplicate"]) == (3, 0, False)
        # Were her own message sent to ada, it would come before the answer to this.
        ada.say(type="PRESENCE", id=4, room=f"lobby-{frames.name}")
        assert ada.hear_any()["type"] == "PRESENCE_OK"


def test_same_key_again_is_acknowledged_as_duplicate(node, frames):
    with client(node, "ada", frames) as ada:
        ada.say(type="JOIN", id=2, room=f"twice-{frames.name}")
        ada.hear("JOIN_OK")
        for _ in range(2):
            ada.say(type="PUBLISH", id=3, room=f"twice-{frames.name}", key="same", content="once")
        first, second = ada.hear("ACK"), ada.hear("ACK")
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["offset"] == second["offset"] == 1


def test_join_with_since_brings_what_was_missed(node, frames):
    with client(node, "ada", frames) as ada:
        ada.say(type="JOIN", id=2, room=f"missed-{frames.name}")
        joined = ada.hear("JOIN_OK")
        for number in range(3):
            ada.say(
                type="PUBLISH", id=10 + number, room=f"missed-{frames.name}", content=f"m{number}"
            )
            ada.hear("ACK")
    with client(node, "grace", frames) as grace:
        since = {"epoch": joined["epoch"], "offset": 1}
        grace.say(type="JOIN", id=2, room=f"missed-{frames.name}", since=since)
        again = grace.hear("JOIN_OK")
    assert again["recovered"] is True
    assert [message["content"] for message in again["messages"]] == ["m1", "m2"]


def test_heartbeat_is_answered_with_its_echo(node, frames):
    with client(node, "ada", frames) as ada:
        now = int(time.time() * 1000)
        ada.say(type="HEARTBEAT", timestamp=now)
        answer = ada.hear("HEARTBEAT")
    assert answer["echo"] == now
    assert abs(answer["timestamp"] - now) < 60_000


def test_without_a_subprotocol_json_is_spoken(node):
    url, token = node
    with connect(url) as socket:
        ada = Client(socket, JsonFrames())
        ada.say(type="AUTH", id=1, token=token("ada"))
        ada.say(type="JOIN", id=2, room="plain")
        assert ada.hear("JOIN_OK")["room"] == "plain"


def test_unknown_type_is_error_104(node, frames):
    with client(node, "ada", frames) as ada:
        if isinstance(frames, JsonFrames):
            ada.say(type="CONFETTI", id=9)
        else:
            ada.socket.send(b"\x08\x09" + b"\xc2\x3e\x00")  # id 9, and an empty body 1000
        error = ada.hear("ERROR")
    assert (error["code"], error["id"], error["temporary"]) == (104, 9, False)


def test_the_other_kind_of_frame_is_closed_with_4506(node, frames):
    with client(node, "ada", frames) as ada:
        ada.socket.send("{}" if isinstance(frames, ProtobufFrames) else b"{}")
        with pytest.raises(ConnectionClosed) as caught:
            ada.hear("ERROR")
    assert caught.value.rcvd.code == 4506


def test_members_of_both_subprotocols_hear_each_other(node, schema):
    with (
        client(node, "ada", JsonFrames()) as ada,
        client(node, "grace", ProtobufFrames(schema)) as grace,
    ):
        for someone in (ada, grace):
            someone.say(type="JOIN", id=2, room="both")
            someone.hear("JOIN_OK")
        for speaker, listener in ((ada, grace), (grace, ada)):
            speaker.say(type="PUBLISH", id=3, room="both", content="h\u00e9llo \U0001f3ad")
            ack = speaker.hear("ACK")
            message = listener.hear("MESSAGE")
            assert message["content"] == "h\u00e9llo \U0001f3ad"
            assert message["offset"] == ack["offset"]


class Bookkeeper:
    """`docs/protocol.md`, *The bookkeeping of a client*, row for row, for one room."""

    def __init__(self, node, user, room, frames):
        self.url, token = node
        self.token, self.room, self.frames = token(user), room, frames
        self.open = ExitStack()
        self.session = self.epoch = self.offset = self.client = None
        self.ahead, self.pending, self.ids = set(), {}, itertools.count(3)
        self.given = []  # MESSAGEs, as the user gets them
        self.stored = []  # offsets of what the user has published
        self.keys = (f"key-{number}" for number in itertools.count())

    def connect(self):
        asked = connect(
            self.url, subprotocols=[self.frames.subprotocol], compression=None, close_timeout=0.1
        )
        self.client = Client(self.open.enter_context(asked), self.frames)
        session = {"session": self.session} if self.session else {}
        self.client.say(type="AUTH", id=1, token=self.token, **session)
        since = {"since": {"epoch": self.epoch, "offset": self.offset}} if self.epoch else {}
        self.client.say(type="JOIN", id=2, room=self.room, **since)
        for key, content in self.pending.items():
            self.send(key, content)

    def publish(self, content):
        key = next(self.keys)
        self.pending[key] = content
        self.send(key, content)

    def send(self, key, content):
        # The id finds the key again: ours are the same number.
        number = 100 + int(key.removeprefix("key-"))
        said = {"type": "PUBLISH", "id": number, "room": self.room}
        self.client.say(**said, key=key, content=content)

    def hear(self):
        message = self.client.hear_any()
        match message["type"]:
            case "AUTH_OK":
                self.session = message["session"]
            case "JOIN_OK":
                for missed in message["messages"]:
                    self.take(missed)
                self.epoch, self.offset = message["epoch"], message["offset"]
                self.ahead = {offset for offset in self.ahead if offset > self.offset}
            case "MESSAGE":
                self.take(message)
            case "ACK":
                self.acknowledged(message)
            case "ERROR" | "GAP":
                pytest.fail(f"{message}")

    def take(self, message):
        known = message["offset"] in self.ahead or message["offset"] <= self.offset
        if known and message["epoch"] == self.epoch:
            return
        self.given.append(message)
        self.epoch, self.offset = message["epoch"], message["offset"]
        self.move()

    def acknowledged(self, ack):
        if self.pending.pop(f"key-{ack['id'] - 100}", None) is not None:
            self.stored.append(ack["offset"])
        if ack["epoch"] == self.epoch and ack["offset"] > self.offset:
            self.ahead.add(ack["offset"])
            self.move()

    def move(self):
        while self.offset + 1 in self.ahead:
            self.offset += 1
            self.ahead.discard(self.offset)
        self.ahead = {offset for offset in self.ahead if offset > self.offset}

    def lose(self):
        """What a dead network does: there is no close frame, and what was under way is gone."""
        self.client.socket.socket.shutdown(socket.SHUT_RDWR)
        self.open.close()


def test_the_page_s_bookkeeping_has_each_message_once_over_lost_connections(node, frames):
    """Ten times in the middle of its own PUBLISHes and of what another user says."""
    chance = random.Random(11)
    room = f"kept-{frames.name}"
    keeper = Bookkeeper(node, "ada", room, frames)
    with client(node, "grace", JsonFrames()) as grace, keeper.open:
        grace.say(type="JOIN", id=2, room=room)
        keeper.connect()
        while keeper.epoch is None:  # in the room, before anything is said there
            keeper.hear()
        for turn in range(10):
            for number in range(6):
                grace.say(type="PUBLISH", id=3, room=room, content=f"talk {turn}.{number}")
                keeper.publish(f"keep {turn}.{number}")
                grace.hear("ACK")
            for _ in range(chance.randrange(14)):
                keeper.hear()
            keeper.lose()
            keeper.connect()
        while keeper.pending or keeper.offset < 120:
            keeper.hear()
    offsets = [message["offset"] for message in keeper.given]
    assert offsets == sorted(set(offsets))  # in order, and none twice
    assert sorted({*offsets, *keeper.stored}) == list(range(1, 121))
    assert len(keeper.stored) == 60
    talk = [message["content"] for message in keeper.given if message["user"] == "grace"]
    assert talk == [f"talk {turn}.{number}" for turn in range(10) for number in range(6)]
