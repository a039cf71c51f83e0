"""Payloads that no codec should take at its word: JSON and Protobuf as an attacker writes them."""

import json
from functools import partial

import trio
from support.attack import Attack
from support.patience import PATIENCE_SECONDS
from support.raw import BINARY, TEXT, RawClient, command
from support.wire import frame

from greenroom.protocol import PROTOBUF_CODEC, Auth, AuthOk, Error, Heartbeat

ROOM = "codecs"
PUBLISH = '{"type":"PUBLISH","id":1,"room":"codecs","key":"k","content":%s}'
DEEP = 30_000

JSON = {
    "nested arrays": '{"type":"JOIN","x":' + "[" * DEEP + "]" * DEEP + "}",
    "nested objects": '{"type":"JOIN","x":' + '{"a":' * 9_000 + "1" + "}" * 9_000 + "}",
    "never closed": '{"type":"JOIN","x":' + "[" * 60_000,
    "a number of 60 kB": '{"type":"HEARTBEAT","timestamp":' + "9" * 60_000 + "}",
    "infinite": '{"type":"HEARTBEAT","timestamp":1e400}',
    "nan": '{"type":"HEARTBEAT","timestamp":NaN}',
    "minus infinity": '{"type":"HEARTBEAT","timestamp":-Infinity}',
    "negative": '{"type":"HEARTBEAT","timestamp":-1}',
    "a fraction": '{"type":"HEARTBEAT","timestamp":1.5}',
    "beyond 2**53": '{"type":"HEARTBEAT","timestamp":9007199254740993}',
    "a string for a number": '{"type":"HEARTBEAT","timestamp":"1"}',
    "a bool for a number": '{"type":"HEARTBEAT","timestamp":true}',
    "a key twice": '{"type":"HEARTBEAT","timestamp":1,"timestamp":2}',
    "a key twice escaped": '{"type":"HEARTBEAT","\\u0074ype":"JOIN","timestamp":1}',
    "half a surrogate": PUBLISH % '"\\ud800"',
    "surrogates in the wrong order": PUBLISH % '"\\udc00\\ud800"',
    "nul": PUBLISH % '"a\\u0000b"',
    "null": PUBLISH % "null",
    "an object for a string": PUBLISH % '{"a":1}',
    "id-2**32": '{"type":"PUBLISH","id":4294967296,"room":"codecs","content":"x"}',
    "a long key": '{"type":"PUBLISH","id":1,"room":"codecs","key":"%s","content":"x"}' % ("k" * 65),
    "an array": "[]",
    "a string": '"PUBLISH"',
    "nothing": "",
    "a byte order mark": "\ufeff{}",
    "a list for the type": '{"type":["JOIN"]}',
    "two objects": '{"type":"HEARTBEAT","timestamp":1}{"type":"JOIN"}',
    "a comma too many": '{"type":"HEARTBEAT","timestamp":1,}',
    "single quotes": "{'type':'HEARTBEAT'}",
    "a comment": '{"type":"HEARTBEAT","timestamp":1/**/}',
    "6000 keys": '{"' + '":1,"'.join(str(n) for n in range(6_000)) + '":1}',
}


async def refused_json(client: RawClient, text: str, token: str) -> int:
    """The code of the error, on a connection that goes on."""
    await client.sign_in(token, ROOM)
    await client.send(frame(TEXT, text.encode()))
    with trio.fail_after(PATIENCE_SECONDS):
        error = await client.push("ERROR")
        assert (await client.ask(type="PRESENCE", room=ROOM))["type"] == "PRESENCE_OK"
    return error["code"]


async def test_json_that_is_none_of_ours(attack: Attack):
    token = attack.node.token("codecs")
    found = await attack.each(JSON, partial(refused_json, token=token))
    assert found == dict.fromkeys(JSON, 107)
    assert attack.growth_mib() < 8


async def test_bombs_one_after_the_other(attack: Attack):
    """The worst of them, as fast as they go: 4509 after eight, and no core is busy for long."""
    bomb = frame(TEXT, ('{"type":"JOIN","x":' + "[" * DEEP + "]" * DEEP + "}").encode())
    client = await attack.signed_in("bomber", ROOM)
    with trio.fail_after(PATIENCE_SECONDS):
        await client.flood(bomb, times=100)
        code = await client.close_code()
    attack.saw(code or "cut")
    assert code in {4509, None}
    assert attack.growth_mib() < 10


PROTOBUF = {
    "nothing": b"",
    "ones": b"\xff" * 100,
    "an endless varint": b"\x08" + b"\xff" * 9 + b"\x7f",
    "a length of 2 GB": b"\x52\xff\xff\xff\xff\x07",
    "nested groups": b"\x53" * 20_000,
    "lengths in lengths": b"\x0a" + b"\x7f" * 500,
    "15000 unknown fields": b"\xa2\xf4\x03\x00" * 15_000,
    "zeros": bytes(60_000),
}


async def refused_protobuf(client: RawClient, data: bytes, token: str) -> int:
    await client.upgrade(Sec_WebSocket_Protocol=b"greenroom.v1.protobuf")
    await client.send(frame(BINARY, PROTOBUF_CODEC.encode(Auth(id=1, token=token))))
    assert isinstance(await next_answer(client), AuthOk)
    await client.send(frame(BINARY, data))
    with trio.fail_after(PATIENCE_SECONDS):
        error = await next_answer(client)
        await client.send(frame(BINARY, PROTOBUF_CODEC.encode(Heartbeat(timestamp=1))))
        assert isinstance(await next_answer(client), Heartbeat)
    assert isinstance(error, Error)
    return int(error.code)


async def test_protobuf_that_is_none_of_ours(attack: Attack):
    token = attack.node.token("codecs")
    found = await attack.each(PROTOBUF, partial(refused_protobuf, token=token))
    assert set(found.values()) <= {104, 107}
    assert attack.growth_mib() < 8


async def next_answer(client):
    found = await client.next_frame()
    assert found is not None, f"cut with {client.heard_code}"
    return PROTOBUF_CODEC.decode_answer(found[1])


async def test_content_that_means_something_elsewhere(attack: Attack):
    """SQL, HTML, log and terminal controls come back as they went: nothing here reads them."""
    contents = [
        "'; DROP TABLE messages; --",
        "<script>alert(1)</script>",
        "\x1b[2J\r\nHTTP/1.1 200",
        "%s%n{0}",
        "\u202e\u2028",
    ]
    client = await attack.signed_in("teller", ROOM)
    other = await attack.signed_in("hearer", ROOM)
    for content in contents:
        ack = await client.ask(type="PUBLISH", room=ROOM, content=content)
        assert ack["type"] == "ACK"
        assert (await other.push("MESSAGE"))["content"] == content
    attack.saw("ACK, unchanged")
    await client.send(command(type="TYPING", room=json.dumps(contents)))
    assert (await client.push("ERROR"))["code"] == 107
