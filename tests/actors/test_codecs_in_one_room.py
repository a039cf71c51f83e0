"""Members of both codecs in one room: each hears the same, and nobody pays for the others."""

import json
from collections import Counter

import pytest
import trio
from support.cast_stage import open_stage

from greenroom.protocol import CODECS, JSON_CODEC, PROTOBUF_CODEC, Codec

BY_NAME = {"json": JSON_CODEC, "protobuf": PROTOBUF_CODEC}
CONTENTS = ["", "hello", "\u00e9\u4e2d\U0001f3ad\u2028", '"\\/\b\f\n\r\t\x01\x7f', "x" * 32768]

each_codec = pytest.mark.parametrize("codec", BY_NAME.values(), ids=BY_NAME)


async def listeners(stage, room, **fields):
    """One member of each codec."""
    return [
        await stage.member(name, room, codec=codec, **fields) for name, codec in BY_NAME.items()
    ]


@each_codec
async def test_content_arrives_the_same_in_both_codecs_whoever_said_it(
    autojump_clock, codec: Codec
) -> None:
    async with open_stage() as stage:
        members = await listeners(stage, "lobby")
        author = await stage.member("author", "lobby", codec=codec)
        for content in CONTENTS:
            ack = await author.publish("lobby", content)
            ours, theirs = [await member.next("MESSAGE") for member in members]
            assert ours == theirs
            assert (ours["content"], ours["offset"]) == (content, ack["offset"])


async def test_every_push_of_a_room_is_the_same_in_both_codecs(autojump_clock) -> None:
    async with open_stage() as stage:
        members = await listeners(stage, "lobby")
        await trio.sleep(1)  # who comes and goes at once is not told
        guest = await stage.member("guest", "lobby")
        await guest.send(type="TYPING", room="lobby")
        await trio.sleep(1)
        await guest.ask("LEAVE", room="lobby")
        for kind in ("TYPING", "JOINED", "LEFT"):
            ours, theirs = [await member.next(kind) for member in members]
            assert ours == theirs


async def test_history_recovery_and_presence_are_the_same_in_both_codecs(autojump_clock) -> None:
    async with open_stage() as stage:
        author = await stage.member("author", "lobby")
        for content in CONTENTS:
            await author.publish("lobby", content)
        head = await author.publish("lobby", "last")
        since = {"epoch": head["epoch"], "offset": 1}
        replies = []
        for codec in CODECS:
            member = await stage.client("reader", codec=codec)
            reply = await member.ask("JOIN", room="lobby", since=since)
            assert [message["content"] for message in reply["messages"]] == [*CONTENTS[1:], "last"]
            history = await member.ask("HISTORY", room="lobby", since=since)
            presence = await member.ask("PRESENCE", room="lobby")
            await member.ask("LEAVE", room="lobby")
            replies.append((reply, history, presence))
        assert replies[0] == replies[1]


async def test_a_message_is_encoded_once_for_each_codec(autojump_clock, monkeypatch) -> None:
    """However many members there are."""
    encoded = Counter[str]()

    def counting(encode):
        def encode_and_count(self, message):
            if type(message).__name__ == "Message":
                encoded[self.subprotocol] += 1
            return encode(self, message)

        return encode_and_count

    for codec in CODECS:
        monkeypatch.setattr(type(codec), "encode", counting(type(codec).encode))
    async with open_stage() as stage:
        members = [
            await stage.member(f"{name}-{number}", "lobby", codec=codec)
            for name, codec in BY_NAME.items()
            for number in range(10)
        ]
        author = await stage.member("author", "lobby")
        await author.publish("lobby", "hello")
        await trio.sleep(1)
        by_the_node = dict(encoded)  # what the clients here do to read comes after it
        for member in members:
            assert (await member.next("MESSAGE"))["content"] == "hello"
    assert by_the_node == {codec.subprotocol: 1 for codec in CODECS}


@each_codec
async def test_the_wrong_kind_of_frame_is_closed_with_4506(autojump_clock, codec: Codec) -> None:
    async with open_stage() as stage:
        client = await stage.client("ann", codec=codec)
        await client.ws.send_message(json.dumps({"type": "X"}) if codec.binary else b"\x00")
        assert await client.close_code() == 4506


async def test_a_command_of_a_later_version_is_error_104_under_its_id(autojump_clock) -> None:
    async with open_stage() as stage:
        client = await stage.client("ann", codec=PROTOBUF_CODEC)
        await client.ws.send_message(bytes.fromhex("0807 c20c00"))  # id 7, body 200
        error = await client.receive()
        assert (error["type"], error["code"], error["id"]) == ("ERROR", 104, 7)


async def test_eight_unreadable_frames_are_closed_with_4509_and_others_hear_nothing(
    autojump_clock,
) -> None:
    async with open_stage() as stage:
        ann, bob = await listeners(stage, "lobby")
        for _ in range(8):
            await bob.ws.send_message(b"\xff")
        assert await bob.close_code() == 4509
        assert (await ann.publish("lobby", "still here"))["type"] == "ACK"
