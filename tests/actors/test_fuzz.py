"""Random input on the wire: no actor crashes, and a pair of clients goes on chatting."""

import random

import pytest
import trio
from support.cast_stage import open_stage
from support.wire import Bystanders, frame, request

from greenroom.protocol import JSON_CODEC, PROTOBUF_CODEC, Auth
from greenroom.supervisor import Hooks

COMMANDS = [
    b'{"type":"HEARTBEAT","timestamp":1}',
    b'{"type":"JOIN","id":1,"room":"lobby"}',
    b'{"type":"JOIN","id":1,"room":"lobby","since":{"epoch":"e-lobby","offset":0}}',
    b'{"type":"LEAVE","id":2,"room":"lobby"}',
    b'{"type":"PUBLISH","id":3,"room":"fuzz","content":"x","key":"k"}',
    b'{"type":"PUBLISH","room":"fuzz","content":"x","echo":true}',
    b'{"type":"JOIN","id":4,"room":"fuzz"}',
    b'{"type":"JOIN","id":4,"room":"ephemeral:fuzz"}',
    b'{"type":"PUBLISH","id":3,"room":"ephemeral:fuzz","content":"x"}',
    b'{"type":"HISTORY","id":5,"room":"fuzz","limit":1000}',
    b'{"type":"HISTORY","id":5,"room":"fuzz","limit":1,"before":{"epoch":"e-fuzz","offset":0}}',
    b'{"type":"PRESENCE","id":6,"room":"fuzz"}',
    b'{"type":"TYPING","room":"fuzz"}',
    b'{"type":"REFRESH","id":7,"token":"x"}',
]


IN_PROTOBUF = [PROTOBUF_CODEC.encode(JSON_CODEC.decode_command(command)) for command in COMMANDS]


def random_input(rng: random.Random, opcode: int, commands: list[bytes]) -> bytes:
    choice = rng.random()
    if choice < 0.7:
        return frame(opcode, rng.choice(commands))
    if choice < 0.8:
        return frame(rng.choice([9, 10]), rng.randbytes(rng.randrange(126)))
    if choice < 0.9:
        payload = rng.choice(commands)
        cut = rng.randrange(len(payload))
        return frame(opcode, payload[:cut], fin=False) + frame(0, payload[cut:])
    whole = bytearray(frame(rng.randrange(16), rng.choice(commands), fin=rng.random() < 0.8))
    whole[rng.randrange(len(whole))] = rng.randrange(256)
    return bytes(whole)


@pytest.mark.parametrize(
    ("codec", "seed"),
    [(JSON_CODEC, seed) for seed in range(40)] + [(PROTOBUF_CODEC, seed) for seed in range(10)],
    ids=lambda value: value if isinstance(value, int) else value.subprotocol,
)
async def test_random_frames_crash_nobody(autojump_clock, codec, seed):
    opcode, commands = (2, IN_PROTOBUF) if codec.binary else (1, COMMANDS)
    rng = random.Random(seed)
    crashes = []
    async with open_stage(seed=seed, hooks=Hooks(crashed=crashes.append)) as stage:
        async with Bystanders(stage):
            streams = []
            for number in range(5):
                stream, _ = await stage.raw(
                    request(Sec_WebSocket_Protocol=codec.subprotocol.encode())
                )
                auth = Auth(id=0, token=stage.token(f"f{number}"))
                await stream.send_all(frame(opcode, codec.encode(auth)))
                streams.append(stream)
            for _ in range(60):
                stream = rng.choice(streams)
                try:
                    await stream.send_all(random_input(rng, opcode, commands))
                except trio.BrokenResourceError:
                    continue
                if rng.random() < 0.3:
                    await trio.sleep(rng.random())
            for stream in streams:
                await stream.aclose()
        assert crashes == []


@pytest.mark.parametrize("seed", range(40))
async def test_random_request_heads_crash_nobody(autojump_clock, seed):
    rng = random.Random(seed)
    crashes = []
    async with open_stage(seed=seed, hooks=Hooks(crashed=crashes.append)) as stage:
        async with Bystanders(stage):
            for _ in range(10):
                head = bytearray(request())
                for _ in range(rng.randrange(1, 6)):
                    head[rng.randrange(len(head))] = rng.randrange(256)
                stream, _ref = await stage.raw(bytes(head))
                await stream.aclose()
        assert crashes == []
