"""The receiver in the how-to takes what a node sends, and nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.ports import free_port

from greenroom.actors.callbacks.events import (
    EventKind,
    callback_of,
    message_event,
    presence_event,
)
from greenroom.actors.callbacks.ports import SinkRefused
from greenroom.node.signatures import SigningSecrets
from greenroom.node.webhooks import WebhookSink, open_poster
from greenroom.protocol import Message

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "receive-callbacks.md"
(SOURCE,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "B" * 32

pytestmark = [pytest.mark.socket, pytest.mark.kill]


def callback(*users):
    events = [
        presence_event(EventKind.JOINED, user, id=user, room="lobby", now_ms=1) for user in users
    ]
    return callback_of(events, node="n1", room="lobby")


async def deliver(port, secrets, what, *, now=time.time):
    async with open_poster(SigningSecrets().from_text(secrets), connections=1, now=now) as poster:
        sink = WebhookSink(poster, f"http://127.0.0.1:{port}/", seconds=5)
        await sink.deliver(what, attempt=1)


async def test_the_documented_receiver_takes_what_is_genuine_and_each_event_once(tmp_path):
    program = tmp_path / "receiver.py"
    program.write_text(SOURCE)
    port = free_port()
    environment = os.environ | {"WEBHOOK_SECRET": SECRET, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, str(program), str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                while True:
                    try:
                        await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
                        break
                    except OSError:
                        await trio.sleep(0.02)
            await deliver(port, SECRET, callback("ann", "bob"))
            await deliver(port, f"{OTHER} {SECRET}", callback("bob", "cid"))
            for secrets, now in ((OTHER, time.time), (SECRET, lambda: time.time() - 301)):
                with pytest.raises(SinkRefused, match="401"):
                    await deliver(port, secrets, callback("eve"), now=now)
        finally:
            process.terminate()
        assert process.stdout.read().split() == [
            word for user in ("ann", "bob", "cid") for word in ("joined", "lobby", user)
        ]


def test_the_documented_body_is_what_a_node_sends():
    """Its fields, not its values; of the two events in it, a message and a join."""
    body = json.loads(
        re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL).group(1)
    )
    fields = {
        name: body["events"][0][name] for name in body["events"][0] if name not in ("id", "type")
    }
    made = callback_of(
        [
            message_event(Message(**fields)),
            presence_event(
                EventKind.JOINED,
                "bob",
                id=body["events"][1]["id"],
                room="lobby",
                now_ms=1717036801250,
            ),
        ],
        node="greenroom",
        room="lobby",
    )
    assert json.loads(made.body) == body
