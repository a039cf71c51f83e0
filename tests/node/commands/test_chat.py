"""The terminal client against a whole node."""

import time

import pytest
import trio
from support.patience import PATIENCE_SECONDS
from support.whole_node import running

from greenroom.node.commands import chat as chat_module
from greenroom.node.commands.chat import ChatError, chat
from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.identity.tokens import TokenOffice
from greenroom.protocol import issue_token

pytestmark = pytest.mark.socket


class Terminal:
    """A keyboard to type on and a screen to read."""

    def __init__(self):
        self.type, self.lines = trio.open_memory_channel(10)
        self.screen = []

    async def until(self, text):
        with trio.fail_after(PATIENCE_SECONDS):
            while not any(text in line for line in self.screen):  # noqa: ASYNC110  # no event there
                await trio.sleep(0.005)


@pytest.fixture
def sit_down(tmp_path):
    """Start a terminal client for a user of the node in `tmp_path`."""

    async def run(node, user, terminal, room="lobby"):
        secret = read_development_secret(DataDirectory(tmp_path))
        token = TokenOffice(secret=secret, lifetime_seconds=60).issue(user)
        url = f"ws://127.0.0.1:{node.port}/ws"
        await chat(url, room, token=token, lines=terminal.lines, show=terminal.screen.append)

    return run


async def test_two_terminals_chat_and_see_each_other_come_and_go(tmp_path, sit_down):
    ann, bob = Terminal(), Terminal()
    async with running(tmp_path) as node, trio.open_nursery() as nursery:
        nursery.start_soon(sit_down, node, "ann", ann)
        await ann.until("here: ann")
        nursery.start_soon(sit_down, node, "bob", bob)
        await bob.until("here: ann, bob")
        await ann.until("bob is here")
        await ann.type.send("hello bob\n")
        await bob.until("ann: hello bob")
        await bob.type.send("/who\n")
        await bob.type.aclose()
        await ann.until("bob has left")
        await ann.type.aclose()
    assert not any("hello" in line for line in ann.screen)  # it stands there as it was typed


async def test_what_was_said_before_is_shown_on_entering(tmp_path, sit_down):
    first, second = Terminal(), Terminal()
    async with running(tmp_path) as node:
        await first.type.send("are you there?\n")
        await first.type.aclose()
        await sit_down(node, "ann", first)
        await second.type.aclose()
        await sit_down(node, "bob", second)
    assert second.screen[0].endswith("ann: are you there?")
    assert second.screen[1] == "-- here: bob --"


@pytest.mark.parametrize(
    ("made_seconds_ago", "complaint"),
    [
        (0, "the token is not valid for this node (GREENROOM_TOKEN?)"),
        (3600, "the token has expired (GREENROOM_TOKEN?)"),
    ],
)
async def test_a_token_that_is_no_good_is_one_line(tmp_path, made_seconds_ago, complaint):
    async with running(tmp_path) as node:
        token = "nonsense"
        if made_seconds_ago:
            secret = read_development_secret(DataDirectory(tmp_path))
            then = time.time() - made_seconds_ago
            token = issue_token("ann", secret=secret.reveal(), now=then, lifetime_seconds=60)
        with pytest.raises(ChatError) as caught:
            await chat(
                f"ws://127.0.0.1:{node.port}/ws",
                "lobby",
                token=token,
                lines=Terminal().lines,
                show=lambda _: None,
            )
    assert str(caught.value) == complaint


@pytest.mark.parametrize("room", ["no such room!", ""])
async def test_a_room_that_can_not_be_is_one_line_that_names_it_once(tmp_path, sit_down, room):
    async with running(tmp_path) as node:
        with pytest.raises(ChatError, match=r"^a room's name is .*, not ") as caught:
            await sit_down(node, "ann", Terminal(), room=room)
    assert str(caught.value).count(repr(room)) == 1


async def test_a_node_that_is_not_there_is_given_up(monkeypatch):
    monkeypatch.setattr(chat_module, "FIRST_CONNECTION_SECONDS", 0.2)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    complaint = rf"^can't reach .*:{port}/ws \(cannot connect .*refused\); is the node running"
    with pytest.raises(ChatError, match=complaint):
        await chat(
            f"ws://127.0.0.1:{port}/ws",
            "lobby",
            token="any",
            lines=Terminal().lines,
            show=lambda _: None,
        )
