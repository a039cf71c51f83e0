"""`wss://` over real sockets, with certificates made for the test."""

import ssl

import pytest
import trio
import trustme
from support.fakenode import FakeNode, Fixed
from support.patience import PATIENCE_SECONDS

from greenroom.client import ClientClosed, open_client

pytestmark = pytest.mark.socket


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def port(authority, nursery):
    """A scripted node behind TLS on a free port of 127.0.0.1."""

    async def script(peer):
        await peer.accept_auth()
        await peer.idle()

    async def serve(stream):
        try:
            await node.serve(stream, 0)
        except* (trio.BrokenResourceError, ssl.SSLError):
            pass  # the client hung up during the TLS handshake

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    node = FakeNode(script)
    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return listeners[0].transport_listener.socket.getsockname()[1]


async def test_trusted_certificate_connects(authority, port):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_client(
            f"wss://127.0.0.1:{port}/ws", token="t", ssl_context=context
        ) as client:
            await client.wait_connected()
            assert client.user == "ann"


async def test_untrusted_certificate_is_final_and_names_the_reason(port):
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_client(f"wss://127.0.0.1:{port}/ws", token="t", random=Fixed()) as client:
            with pytest.raises(ClientClosed, match="certificate") as caught:
                await client.wait_connected()
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
