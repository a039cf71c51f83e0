"""Handshakes at a whole node: tokens they carry, what they are answered, and what is logged."""

import io
import json
import os
import sys
import time
from contextlib import asynccontextmanager

import pytest
import trio
from support.node_process import SECRET, token
from support.patience import PATIENCE_SECONDS
from support.ports import free_port
from support.raw import connect
from support.whole_node import running
from support.wire import request

from greenroom.node.logs import configure_logs
from greenroom.node.settings.kinds import Secret
from greenroom.protocol import issue_token

pytestmark = pytest.mark.socket


def of(user, *, seconds=60.0, secret=SECRET):
    return issue_token(user, secret=secret, now=time.time(), lifetime_seconds=seconds)


@pytest.fixture
async def node(tmp_path):
    settings = {"token_cookie": "session", "jwt_secret": Secret(SECRET)}
    async with running(tmp_path / "data", **settings) as opened:
        yield opened


async def head_of(node, source="127.0.0.1", **headers):
    client = await connect(node.port, source=source)
    await client.send(request(**headers))
    head = await client.answer()
    await client.aclose()
    return head


def bearer(text):
    return b"Bearer " + text.encode()


async def test_a_bearer_token_makes_a_token_in_auth_needless(node):
    client = await connect(node.port)
    await client.upgrade(Authorization=bearer(of("ann")))
    answer = await client.ask(type="AUTH")
    assert (answer["type"], answer["user"]) == ("AUTH_OK", "ann")
    await client.aclose()


async def test_a_bad_bearer_token_gets_no_websocket(node):
    bad = {
        "expired": of("ann", seconds=-60),
        "of another key": of("ann", secret="another secret of thirty-two bytes"),
        "of no algorithm": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.",
        "too long": "x" * 9000,
        "nonsense": "x",
    }
    for kind, text in bad.items():
        head = await head_of(node, Authorization=bearer(text))
        assert head.startswith("HTTP/1.1 401 "), kind
        assert 'WWW-Authenticate: Bearer realm="greenroom", error="invalid_token"' in head, kind


async def test_a_cookie_of_the_node_s_own_page_makes_a_token_in_auth_needless(node):
    host = b"localhost:%d" % node.port
    client = await connect(node.port)
    cookie = b"a=1; session=" + of("ann").encode()
    await client.upgrade(Host=host, Origin=b"http://" + host, Cookie=cookie)
    assert (await client.ask(type="AUTH"))["user"] == "ann"
    await client.aclose()


async def test_a_cookie_without_an_origin_is_nobody_s(node):
    client = await connect(node.port)
    await client.upgrade(Cookie=b"session=" + of("ann").encode())
    assert (await client.ask(type="AUTH"))["code"] == 101
    assert await client.close_code() == 4500
    await client.aclose()


async def test_a_cookie_that_is_no_good_does_not_stand_in_the_way_of_a_good_token(node):
    host = b"localhost:%d" % node.port
    client = await connect(node.port)
    await client.upgrade(Host=host, Origin=b"http://" + host, Cookie=b"session=nonsense")
    assert (await client.ask(type="AUTH", token=of("ann")))["user"] == "ann"
    await client.aclose()


async def test_a_query_carries_no_token(node):
    client = await connect(node.port)
    data = f"GET /ws?token={of('ann')}&access_token={of('ann')} HTTP/1.1".encode()
    await client.send(request().replace(b"GET /ws HTTP/1.1", data))
    assert (await client.answer()).startswith("HTTP/1.1 101")
    assert (await client.ask(type="AUTH"))["code"] == 101
    await client.aclose()


async def test_no_log_line_of_a_handshake_holds_what_it_carries(node):
    """At debug, with heads that are good, bad, broken and not allowed."""
    lines = io.StringIO()
    configure_logs(log_format="json", level="debug", stream=lines)
    mark = "eyJSEKRET"
    carrying = {"Authorization": bearer(mark), "Cookie": b"session=" + mark.encode()}
    wrong = [
        {},
        {"Authorization": b"Basic " + mark.encode()},
        {"Origin": b"https://evil.example"},
        {"Origin": b"null"},
        {"Sec_WebSocket_Version": b"8"},
        {"Sec_WebSocket_Protocol": b"greenroom.v1.json, bearer." + mark.encode()},
        {"Sec_WebSocket_Protocol": b"bearer." + mark.encode(), "Authorization": bearer(of("ann"))},
        {"X_Bad_": mark.encode() + b"\x00"},
        {"X": mark.encode() + b"\xff"},
        {"Cookie ": mark.encode()},
    ]
    for headers in wrong:
        data = request(**{**carrying, **headers})
        client = await connect(node.port)
        await client.send(data.replace(b"/ws ", b"/ws?token=" + mark.encode() + b" "))
        assert await client.status() in {101, 400, 401, 403, 426}
        await client.aclose()
    await trio.sleep(0.05)
    configure_logs(log_format="json", level="error", stream=io.StringIO())
    assert "request refused" in lines.getvalue()
    assert mark not in lines.getvalue()


async def test_one_address_has_so_many_connections_and_others_have_theirs(tmp_path):
    settings = {"max_connections_per_address": 2, "jwt_secret": Secret(SECRET)}
    async with running(tmp_path / "data", **settings) as node:
        clients = [await connect(node.port) for _ in range(2)]
        for client in clients:
            await client.upgrade()
        head = await head_of(node)
        assert head.startswith("HTTP/1.1 429 ")
        assert "Retry-After: " in head
        assert (await head_of(node, source="127.0.0.2")).startswith("HTTP/1.1 101 ")
        # Those inside are undisturbed, and a place that is left is somebody else's at once.
        assert (await clients[0].ask(type="AUTH", token=of("ann")))["type"] == "AUTH_OK"
        await clients.pop().aclose()
        with trio.fail_after(PATIENCE_SECONDS):
            while not (await head_of(node)).startswith("HTTP/1.1 101 "):  # noqa: ASYNC110
                await trio.sleep(0.01)
        await clients.pop().aclose()


@asynccontextmanager
async def process_with(descriptors, folder):
    """A node with so many descriptors and no way to have more: its port, and what it has logged."""
    port = free_port()
    settings = {"PORT": str(port), "DATA": str(folder / "data"), "LOG_FORMAT": "json"}
    settings["JWT_SECRET"] = SECRET
    environment = {name: value for name, value in os.environ.items() if "GREENROOM_" not in name}
    environment |= {f"GREENROOM_{name}": value for name, value in settings.items()}
    command = f'ulimit -n {descriptors} && exec "$0" -m greenroom.node serve'
    log = folder / "node.log"
    with log.open("ab") as file:
        process = await trio.lowlevel.open_process(
            ["sh", "-c", command, sys.executable], stdout=file, stderr=file, env=environment
        )
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            while '"listening"' not in log.read_text():
                assert process.poll() is None, log.read_text()
                await trio.sleep(0.02)
        yield port, lambda: [json.loads(line) for line in log.read_text().splitlines()]
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.mark.slow
@pytest.mark.kill
async def test_a_node_with_few_descriptors_takes_fewer_connections_and_never_runs_out(tmp_path):
    """It says so when it starts, answers 503 to the others, and those inside are undisturbed."""
    async with process_with(128, tmp_path) as (port, events):
        inside, statuses = [], set()
        for _ in range(200):
            client = await connect(port)
            await client.send(request())
            status = await client.status()
            statuses.add(status)
            if status == 101:
                inside.append(client)
            else:
                await client.aclose()
        (said,) = (e for e in events() if e["event"] == "fewer connections than max_connections")
        assert statuses == {101, 503}
        assert len(inside) == said["connections"]
        assert (await inside[0].ask(type="AUTH", token=token("ann")))["type"] == "AUTH_OK"
        assert "accepting pauses" not in {event["event"] for event in events()}
        for client in inside:
            await client.aclose()
