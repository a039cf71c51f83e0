"""Clients that never come to the point: each is given its time, and nothing of anybody else's."""

import ssl

import pytest
import trio
import trustme
from support.attack import attack_on
from support.besieged import besieged
from support.raw import TEXT, RawClient
from support.wire import frame, frame_head, request

SOCKETS = 100
HEAD_SECONDS = 5.0
AUTH_SECONDS = 10.0
LATE_SECONDS = 8.0  # of a node that has no core for a while


async def drip(client: RawClient, data: bytes) -> None:
    """A byte now and then, as long as the node takes it."""
    for byte in data:
        if client.ended or not await client.send(bytes([byte])):
            return
        await trio.sleep(0.4)


async def watch(
    clients: list[RawClient], data: bytes, ends: list[tuple[float, int | None]]
) -> None:
    """Say `data` byte by byte; note when each client was cut, in seconds, and its close code."""
    started = trio.current_time()

    async def one(client):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, client, data)
            code = await client.close_code()
            ends.append((trio.current_time() - started, code))
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(one, client)


@pytest.mark.slow
async def test_heads_and_auths_that_never_end(attack):
    """Silence and a byte now and then, before the upgrade and after it."""
    heads, auths = [], []
    async with trio.open_nursery() as nursery:
        for head in (b"", b"\r\n" * 50, request(), b"POST /api/guest HTTP/1.1\r\n"):
            clients = [await attack.connect() for _ in range(SOCKETS)]
            nursery.start_soon(watch, clients, head, heads)
        for auth in (b"", frame(TEXT, b'{"type":"AUTH","id":1,"token":"x"}')):
            clients = [await attack.upgraded() for _ in range(SOCKETS)]
            nursery.start_soon(watch, clients, auth, auths)
    attack.saw(
        f"{len(heads)} cut by {max(heads)[0]:.1f} s, {len(auths)} by {max(auths)[0]:.1f} s",
        *{code for _, code in auths},
    )
    assert max(heads)[0] < HEAD_SECONDS + LATE_SECONDS
    assert max(auths)[0] < AUTH_SECONDS + LATE_SECONDS
    assert {code for _, code in auths} == {4502}
    assert (len(heads), len(auths)) == (4 * SOCKETS, 2 * SOCKETS)


async def test_a_frame_that_never_ends(attack):
    """A member who is in the middle of a frame is as good as one who is silent."""
    clients = [await attack.signed_in(f"slow{n}", "slow") for n in range(10)]
    for client in clients:
        await client.send(frame_head(60_000))
    for _ in range(10):
        for client in clients:
            assert await client.send(b"x")
        await trio.sleep(0.05)
    attack.saw("waited for, within the heartbeat's time")
    assert attack.growth_mib() < 5


@pytest.fixture(scope="module")
def tls_node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    key, chain = folder / "key.pem", folder / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with besieged(folder, tls=context, tls_cert=str(chain), tls_key=str(key)) as node:
        yield node


@pytest.fixture
async def tls_attack(tls_node, request):
    async with attack_on(tls_node, request) as attack:
        # OpenSSL keeps 50 KiB for a handshake that failed, until Python's collector looks at the
        # young: which it does by the number of objects, and these are few.
        attack.leaves_mib = 40
        yield attack


@pytest.mark.slow
async def test_tls_handshakes_that_never_end(tls_attack):
    hello = client_hello()
    ends = []
    async with trio.open_nursery() as nursery:
        for data in (b"", hello[:40], b"\x16\x03\x01\xff\xff" + b"\0" * 40):
            clients = [await tls_attack.connect(tls=None) for _ in range(SOCKETS)]
            nursery.start_soon(watch, clients, data, ends)
    tls_attack.saw(f"{len(ends)} cut, the last after {max(ends)[0]:.1f} s")
    assert max(ends)[0] < HEAD_SECONDS + LATE_SECONDS


async def test_plain_http_to_the_tls_port(tls_attack):
    client = await tls_attack.connect(tls=None)
    await client.send(request())
    with trio.fail_after(HEAD_SECONDS + LATE_SECONDS):
        answer = await client.rest()
    tls_attack.saw("cut")
    assert b"HTTP" not in answer


async def test_tls_to_the_plain_port(attack):
    client = await attack.connect()
    await client.send(client_hello())
    status = await client.status()
    attack.saw(status)
    assert status == 400


async def test_tls_handshakes_that_are_reset(tls_attack):
    """After nothing, in the middle, and behind all of what a client says first."""
    for cut in [0, 1, 5, 40, 10_000] * 10:
        client = await tls_attack.connect(tls=None)
        await client.send(client_hello()[:cut])
        client.reset()
    tls_attack.saw("forgotten (50)")


def client_hello() -> bytes:
    """What a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    machine = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    return outgoing.read()
