"""Where to connect to, and how to get a byte stream there."""

import ssl
from typing import Protocol
from urllib.parse import urlsplit

import attrs
import trio

_DEFAULT_PORTS = {"ws": 80, "wss": 443}


@attrs.frozen
class Target:
    """The parts of a `ws://` or `wss://` URL."""

    host: str
    port: int
    resource: str
    """Path and query, as the request line has them."""
    ssl_context: ssl.SSLContext | None
    """None for plain TCP."""

    @property
    def authority(self) -> str:
        """What the `Host` header says (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["wss" if self.ssl_context else "ws"]
        return host if self.port == default else f"{host}:{self.port}"


class Connector(Protocol):
    """Opens the byte stream of one connection; tests bring their own.

    It may raise OSError when the node cannot be reached; the client then tries again. It runs
    under a deadline of the client's.
    """

    async def __call__(self, target: Target) -> trio.abc.Stream:
        """A connected stream, which the client closes."""
        ...


async def connect_tcp(target: Target) -> trio.abc.Stream:
    """TCP by happy eyeballs (RFC 8305), and TLS over it where the target asks for it."""
    if target.ssl_context is None:
        return await trio.open_tcp_stream(target.host, target.port)
    stream = await trio.open_ssl_over_tcp_stream(
        target.host, target.port, ssl_context=target.ssl_context, https_compatible=True
    )
    try:
        await stream.do_handshake()  # here, so that a bad certificate has its own exception
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error.__cause__, ssl.SSLError):
            raise error.__cause__ from None
        raise
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def parse_url(url: str, ssl_context: ssl.SSLContext | None = None) -> Target:
    """Take a `ws://` or `wss://` URL apart.

    Args:
        url: Its path is used as it stands; an empty one is the node's `/ws`.
        ssl_context: For `wss://` only; None verifies against the system's authorities.

    Raises:
        ValueError: It is no such URL, or an `ssl_context` came with `ws://`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # the library's own words do not name the URL
        raise ValueError(
            f"expected ws://HOST[:PORT]/ws or wss://..., not {url!r} ({error})"
        ) from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"expected ws://HOST[:PORT]/ws or wss://..., not {url!r}")
    if parts.username is not None or parts.fragment:
        raise ValueError("a WebSocket URL has no user name, password or fragment (RFC 6455, 3)")
    secure = parts.scheme == "wss"
    if ssl_context is not None and not secure:
        raise ValueError("ssl_context needs a wss:// URL")
    resource = parts.path if parts.path not in {"", "/"} else "/ws"
    return Target(
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[parts.scheme],
        resource=f"{resource}?{parts.query}" if parts.query else resource,
        ssl_context=(ssl_context or ssl.create_default_context()) if secure else None,
    )
