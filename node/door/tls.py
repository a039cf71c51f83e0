"""The node's own TLS: one server context, from two files, with nothing left to choose."""

import ssl
from contextlib import suppress
from pathlib import Path

import trio

from greenroom.node.errors import TlsError

# With "h2" on offer Chromium takes it, and its WebSocket over the same port then fails.
ALPN = ["http/1.1"]


def make_tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and 1.3.

    Raises:
        TlsError: One of the files can't be read, is no PEM, or the two don't belong together.
    """
    for what, path in (("certificate", certificate), ("key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsError(f"TLS {what} {path}: {error.strerror or error}") from error

    def refuse_to_ask() -> str:
        # Without this OpenSSL would ask on the terminal, and a service would hang there.
        raise TlsError(f"TLS key {key} has a passphrase: use a key without one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(ALPN)
    try:
        context.load_cert_chain(certificate, key, password=refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"TLS key {key} does not belong to certificate {certificate}") from error
        raise TlsError(f"TLS certificate {certificate} or key {key} is not usable PEM") from error
    return context


def forget_handshake(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Have a stream whose handshake has begun no longer refer to itself, to begin it.

    That cycle would keep the 50 KiB that OpenSSL takes for it until the garbage collector comes.
    It stands in a private name of Trio's, here and nowhere else; where there is none by this name,
    nothing happens, and tests/node/test_leaves_nothing.py fails.
    """
    with suppress(AttributeError):
        stream._handshook._afn = _begun_already


async def _begun_already(*_: object) -> None:
    """Stand where the handshake was: it is done once."""
