"""As in tests/actors, of what stands before the cast: TLS, request heads, the page's HTTP."""

import socket
import ssl

import pytest
import trio
import trustme
from support.garbage import nothing_left_to_the_collector

from greenroom.node.door.tls import make_tls_context

pytestmark = pytest.mark.socket

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

SAID = {
    "nothing": b"",
    "half a head": GET[:20],
    "no HTTP": b"\x16\x03\x01",
    "a head that h11 refuses": GET.replace(b"Host", b"H st"),
    "a refused origin": UPGRADE.replace(b"Host", b"Origin: http://evil\r\nHost"),
    "a request": GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "two requests, and away": GET + GET,
    "a request for what is not there": GET.replace(b"healthz", b"no").replace(b"1.1", b"1.0"),
    "an upgrade": UPGRADE,
}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    return make_tls_context(folder / "cert.pem", folder / "key.pem")


@pytest.fixture(scope="module")
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def visit(port: int, said: bytes, trusting: ssl.SSLContext | None) -> None:
    """Say it, hear what comes, leave. In a thread, so that none of Trio's objects are ours."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        if trusting is not None:
            client = trusting.wrap_socket(client, server_hostname="localhost")
        client.sendall(said)
        if said.startswith((b"GET", b"\x16")) and said.endswith(b"\n"):
            client.recv(4096)
        client.close()


async def all_ended(node, idle: int) -> None:
    with trio.fail_after(5):
        while node.tasks() > idle:  # noqa: ASYNC110  # sockets tell nobody
            await trio.sleep(0.005)


async def hold(node, come) -> None:
    """Have some come that may make what is made once, then some that may leave nothing."""
    idle = node.tasks()

    async def once():
        for _ in range(2):
            await trio.to_thread.run_sync(come)
        await all_ended(node, idle)

    await once()
    with nothing_left_to_the_collector():
        await once()


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_a_visit_leaves_nothing_to_the_collector(open_node, said):
    async with open_node() as node:
        await hold(node, lambda: visit(node.port, said, None))


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_nor_does_one_over_tls(open_node, tls, trusting, said):
    async with open_node(tls=tls) as node:
        await hold(node, lambda: visit(node.port, said, trusting))


@pytest.mark.parametrize("said", [b"", b"\x16\x03", b"GET / HTTP/1.1\r\n\r\n"])
async def test_nor_does_a_tls_handshake_that_fails(open_node, tls, said):
    """OpenSSL has 50 KiB for each."""
    async with open_node(tls=tls) as node:
        await hold(node, lambda: visit(node.port, said, None))
