"""Opening a connection: what is said when there is none."""

import errno
import os
import socket
import ssl

import pytest
import trio

from greenroom.client._link import LinkEnded, open_link
from greenroom.client._target import connect_tcp, parse_url
from greenroom.protocol import JSON_CODEC

URL = "ws://node.test:8000/ws"


def tls_error(reason):
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


async def failing_detail(url, connector, nursery):
    """Return what is told of a connection that can't be opened."""
    with pytest.raises(LinkEnded) as caught:
        await open_link(
            nursery,
            parse_url(url),
            connector=connector,
            codec=JSON_CODEC,
            on_received=lambda: None,
        )
    return caught.value.ending.detail


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name not known"),
        (socket.gaierror(socket.EAI_AGAIN, "Try again"), "the name cannot be looked up now"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to host"),
        (tls_error("WRONG_VERSION_NUMBER"), "no TLS there"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "TLS failed (sslv3 alert handshake failure)"),
        (trio.BrokenResourceError(), "the node hung up"),
        (OSError("something"), "the network does not let us"),
    ],
)
async def test_a_failed_connection_says_why(error, cause, nursery):
    async def connector(target):
        raise error

    assert await failing_detail(URL, connector, nursery) == (
        f"cannot connect to node.test:8000: {cause}"
    )


@pytest.mark.socket
async def test_a_port_where_nobody_listens_refuses_the_connection(nursery):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and not listening: nobody else takes it meanwhile
        port = bound.getsockname()[1]
        detail = await failing_detail(f"ws://127.0.0.1:{port}/ws", connect_tcp, nursery)
    refused = os.strerror(errno.ECONNREFUSED).lower()
    assert detail == f"cannot connect to 127.0.0.1:{port}: {refused}"


@pytest.mark.socket
async def test_a_port_that_speaks_no_tls_is_told_as_such(nursery):
    async def answer(stream):
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answer, [listener])
    port = listener.socket.getsockname()[1]
    detail = await failing_detail(f"wss://127.0.0.1:{port}/ws", connect_tcp, nursery)
    assert detail == f"cannot connect to 127.0.0.1:{port}: no TLS there"
