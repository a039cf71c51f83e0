"""What trio-websocket does not do for us: each item provoked on the wire, others undisturbed."""

import pytest
import trio
from support.cast_stage import open_stage, until
from support.wire import (
    MASK,
    Bystanders,
    close_code_in,
    flood,
    frame,
    frame_head,
    read_all,
    request,
    upgraded,
)


@pytest.mark.parametrize(
    "header", ["Host", "Sec_WebSocket_Protocol", "Sec_WebSocket_Extensions", "X_Other"]
)
async def test_a_high_byte_in_a_header_is_answered_with_http(autojump_clock, header):
    async with open_stage() as stage, Bystanders(stage):
        stream, _ = await stage.raw(request(**{header: b"caf\xe9"}))
        answer = await read_all_or_upgrade(stream)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 101"))
        assert header == "X_Other" or answer.startswith(b"HTTP/1.1 400")


async def read_all_or_upgrade(stream) -> bytes:
    data = b""
    while (chunk := await stream.receive_some()) and not data.startswith(b"HTTP/1.1 101"):
        data += chunk
        if data.startswith(b"HTTP/1.1 101"):
            break
    await stream.aclose()
    return data


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws HTTP/1.1\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        request(Sec_WebSocket_Version=b"12"),
        request(Content_Length=b"-1"),
    ],
)
async def test_a_bad_request_is_answered_with_http_400_or_426(autojump_clock, head):
    async with open_stage() as stage, Bystanders(stage):
        stream, _ = await stage.raw(head)
        answer = await read_all(stream)
        assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 426"}


async def test_an_oversize_message_and_a_ping_in_one_segment_end_with_1009(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(frame(1, b"x" * 70_000) + frame(9, b"ping"))
        assert close_code_in(await read_all(stream)) == 1009


async def test_a_ping_after_our_close_is_ignored(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await trio.sleep(10.1)  # 4502 is on its way
        await stream.send_all(frame(9, b"ping") * 3)
        assert close_code_in(await read_all(stream)) == 4502


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("unmasked", frame(1, b"{}", masked=False), 1002),
        ("reserved bit", bytes([0xC1, 0x80]) + MASK, 1002),
        ("reserved opcode", frame(3, b""), 1002),
        ("fragmented ping", frame(9, b"", fin=False), 1002),
        ("long ping", frame(9, b"x" * 126), 1002),
        ("continuation of nothing", frame(0, b"x"), 1002),
        ("two first fragments", frame(1, b"a", fin=False) + frame(1, b"b"), 1002),
        ("bad UTF-8", frame(1, b"\xff\xfe"), 1007),
        ("bad UTF-8 in a close", frame(8, b"\x03\xe8\xff"), 1007),
        ("close code that may not be sent", frame(8, (1005).to_bytes(2, "big")), 1002),
        ("close of one byte", frame(8, b"\x03"), 1002),
        ("binary to a JSON connection", frame(2, b"{}"), 4506),
        ("huge length", frame_head(2**63 - 1) + bytes(140_000), 1009),
        ("length with the top bit", frame_head(2**64 - 1), 1002),
    ],
)
async def test_a_protocol_violation_is_told_with_its_close_code(autojump_clock, name, data, code):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(data)
        with trio.fail_after(60):
            assert close_code_in(await read_all(stream)) == code


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("unmasked", frame(1, b"{}", masked=False), 1002),
        ("reserved bit", bytes([0x91, 0x80]) + MASK, 1002),
        ("fragmented close", frame(8, b"\x03\xe8", fin=False), 1002),
        ("two first fragments", frame(1, b"a", fin=False) + frame(2, b"b", fin=False), 1002),
        ("length in too many bytes", frame_head(5), 1002),
        ("close code 2999", frame(8, (2999).to_bytes(2, "big")), 1002),
        ("half a character", frame(1, b"{", fin=False) + frame(0, b"\xe2\x82"), 1007),
        ("bad UTF-8 in a close", frame(8, b"\x03\xe8\xed\xa0\x80"), 1007),
        (
            "too large in fragments",
            frame(1, b"a", fin=False) + b"\x80" + frame_head(65_536)[1:],
            1009,
        ),
        ("binary in fragments", frame(2, b"a", fin=False) + frame(0, b"b"), 4506),
        ("a close", frame(8, (3456).to_bytes(2, "big") + b"bye"), 3456),
    ],
)
async def test_what_was_said_before_an_end_is_obeyed_wherever_the_segments_end(
    autojump_clock, name, data, code
):
    """AUTH, which waits for the registry, and what waits behind it; the end cut at every byte."""
    async with open_stage() as stage, Bystanders(stage):
        for cut in range(len(data)):
            token = stage.token(f"u{cut}").encode()
            auth = frame(1, b'{"type":"AUTH","id":1,"token":"%s"}' % token)
            beat = frame(1, b'{"type":"HEARTBEAT","timestamp":111}')
            stream = await upgraded(stage)
            await stream.send_all(auth + beat + data[:cut])
            if cut % 2:
                await trio.sleep(0.1)
            await stream.send_all(data[cut:] + beat)
            answer = await read_all(stream)
            assert answer.index(b"AUTH_OK") < answer.index(b'"echo":111'), cut
            assert answer.count(b'"echo"') == 1, cut
            assert close_code_in(answer) == code, cut


async def test_the_limit_counts_bytes_not_characters(autojump_clock):
    """30,000 characters of three bytes each are more than 64 KiB."""
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(frame(1, ("€" * 30_000).encode()))
        assert close_code_in(await read_all(stream)) == 1009


async def test_zero_length_fragments_without_end_are_cut_off(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(frame(1, b"", fin=False))
        sent = await flood(stream, frame(0, b"", fin=False) * 1000)
        # Two segments until it is told, then 6 kB each 10 ms for 2 s, until the socket is closed.
        assert sent < 1_300_000


async def test_pings_without_end_and_no_reading_are_cut_off(autojump_clock):
    async with open_stage(outbox_bytes=10_000) as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await flood(stream, frame(9, b"p" * 100) * 100)


async def test_a_client_that_never_closes_its_side_is_let_go_in_2_seconds(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(frame(2, b"{}"))
        started = trio.current_time()
        await until(lambda: stage.connections() == 2)
        assert trio.current_time() - started < 2.1
        del stream


async def test_a_ping_is_answered_while_the_store_is_away(autojump_clock):
    async with open_stage() as stage, Bystanders(stage) as both:
        stage.store.gate = trio.Event()
        await both.ann.send(type="PUBLISH", room="lobby", content="waits")
        with trio.fail_after(1):
            await both.ann.ws.ping()
        stage.store.gate.set()
        await both.bob.next("MESSAGE")


async def test_what_comes_behind_the_end_is_not_obeyed(autojump_clock):
    """Eight frames that are no messages, and a PUBLISH in the same segment."""
    async with open_stage() as stage, Bystanders(stage) as both:
        bad = frame(1, b"{nonsense") * 8
        late = frame(1, b'{"type":"PUBLISH","room":"lobby","content":"late"}')
        await both.ann.stream.send_all(bad[: -len(frame(1, b"{nonsense"))])
        for _ in range(7):
            await both.ann.next("ERROR")
        eve = await stage.member("eve", "lobby")
        await eve.stream.send_all(bad + late * 10)
        assert await eve.close_code() == 4509
        assert "lobby" not in stage.store.rows


async def test_a_half_sent_frame_ends_with_silence(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream = await upgraded(stage)
        await stream.send_all(frame(1, b"x" * 1000)[:500])
        assert close_code_in(await read_all(stream)) == 4502


async def test_a_frame_in_the_same_segment_as_the_request_is_read(autojump_clock):
    async with open_stage() as stage, Bystanders(stage):
        stream, _ = await stage.raw(request() + frame(1, b"\xff"))
        assert close_code_in(await read_all(stream)) == 1007
