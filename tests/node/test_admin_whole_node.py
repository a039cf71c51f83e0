"""The operators' gate of a whole node: its own port, and nothing of it on the clients'."""

import socket
import ssl

import pytest
import trio
import trustme
from support.admin_gate import KEYS, OPS, Gate
from support.patience import PATIENCE_SECONDS
from support.ports import free_port
from support.whole_node import running

from greenroom.node.errors import ListenError
from greenroom.node.serve import serve
from greenroom.node.settings.record import Settings

pytestmark = pytest.mark.socket


async def test_a_node_serves_its_operators_on_a_port_of_their_own(tmp_path):
    port = free_port()
    async with (
        running(tmp_path, admin_port=port, admin_keys=KEYS) as node,
        node.sign_in("ann") as ann,
    ):
        gate = Gate(port)
        assert (await gate.get("status"))["connections"] == 1
        answer = await gate.post("publish", room="lobby", content="maintenance at 9", user="news")
        assert answer.status == 200
        assert (await ann.push("MESSAGE"))["content"] == "maintenance at 9"
        shown = await gate.get("connections?user=ann")
        assert [(each["address"], each["rooms"]) for each in shown["connections"]] == [
            ("127.0.0.1", ["lobby"])
        ]


async def test_nothing_of_the_gate_is_on_the_clients_port(tmp_path):
    port = free_port()
    async with running(tmp_path, admin_port=port, admin_keys=KEYS) as node:
        unknown = await node.http("GET", "/nothing")
        for method, path in (
            ("GET", "/v1/status"),
            ("GET", "/v1/openapi.json"),
            ("POST", "/v1/publish"),
            ("POST", "/v1/revoke"),
            ("GET", "/status"),
        ):
            answer = await node.http(method, path, Authorization=f"Bearer {OPS}")
            assert answer == unknown


async def test_a_gate_of_others_speaks_tls_and_nothing_else(tmp_path):
    authority = trustme.CA()
    cert = authority.issue_cert("localhost", "127.0.0.1")
    cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    with (tmp_path / "cert.pem").open("wb") as file:
        for blob in cert.cert_chain_pems:
            file.write(blob.bytes())
    port = free_port()
    tls = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with (
        running(tmp_path / "data", admin_port=port, admin_keys=KEYS, admin_tls=True, **tls),
        await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context) as stream,
    ):
        await stream.send_all(
            f"GET /v1/status HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n"
            f"Authorization: Bearer {OPS}\r\n\r\n".encode()
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive_some(4096)
        head = received.partition(b"\r\n\r\n")[0].lower()
        assert head.startswith(b"http/1.1 200")
        assert b"strict-transport-security: max-age=" in head
        async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
            await plain.send_all(
                f"GET /v1/status HTTP/1.1\r\nAuthorization: {OPS}\r\n\r\n".encode()
            )
            with trio.fail_after(PATIENCE_SECONDS):
                assert b"HTTP" not in await plain.receive_some(4096)


async def test_a_port_that_is_taken_stops_the_start_without_files(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=str(port)):
            await serve(Settings(port=0, data=tmp_path / "data", admin_port=port, admin_keys=KEYS))
    assert not (tmp_path / "data").exists()


async def test_a_stop_can_be_watched_until_the_last_connection_has_ended(tmp_path):
    port = free_port()
    async with (
        running(tmp_path, admin_port=port, admin_keys=KEYS) as node,
        await trio.open_tcp_stream("127.0.0.1", node.port) as silent,
    ):
        await silent.send_all(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await silent.receive_some(4096)).startswith(b"HTTP/1.1 101")
        node.stop()  # which waits 2 s for a client that does not answer the close
        status = await Gate(port).get("status")
        with trio.fail_after(PATIENCE_SECONDS):
            while not status["draining"]:
                status = await Gate(port).get("status")
        assert (status["ready"], status["connections"]) == (False, 1)
