"""Which web pages may open a connection: the Origin check, as pure functions.

A browser names the page's origin in every WebSocket handshake, and lets any page connect anywhere;
so the server decides. The same origin is allowed by default, others by an exact-match list. A
request without Origin does not come from a browser's page and is allowed: its token decides alone.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def canonical_origin(text: str) -> str | None:
    """Return `scheme://host[:port]` in its one spelling, None for anything that is no web origin.

    `null`, paths, user names, a bare host and unknown schemes are no origins; RFC 6454, 6.2.
    """
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \\@?#"):
        return None
    scheme, separator, authority = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        return None
    return _join(scheme, authority)


def allows_origin(
    origin: str | None, *, host: str | None, tls: bool, allowed: Collection[str]
) -> bool:
    """Decide whether a handshake with these `Origin` and `Host` headers may go on.

    Args:
        origin: The header's value, None when there was none.
        host: The `Host` header's value; together with `tls` it says what "the same origin" is.
        tls: Whether this connection itself is encrypted. Behind a proxy that ends TLS it is not:
            there the public origin has to be in `allowed`.
        allowed: Canonical origins that may connect besides the same origin.
    """
    if origin is None:
        return True
    asked = canonical_origin(origin)
    if asked is None:
        return False
    same = _join("https" if tls else "http", host) if host is not None else None
    return asked == same or asked in allowed


def is_local_name(host: str | None) -> bool:
    """Whether a `Host` header is localhost or an IP address: what nobody's DNS can point here."""
    if host is None or _join("http", host) is None:
        return False
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def is_rebound(origin: str | None, *, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a request to a node of this machine alone may be a page's behind DNS rebinding.

    Any page can give this machine its own name, and is the same origin then. A page of `allowed`
    comes by a proxy, which may call the node as it likes.
    """
    return not is_local_name(host) and canonical_origin(origin or "") not in allowed


def _join(scheme: str, authority: str) -> str | None:
    if not authority or any(c in authority for c in "/@?#\\ ") or authority.endswith(":"):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name:
        return None
    shown = f"[{name}]" if ":" in name else name
    if port is None or port == DEFAULT_PORTS[scheme]:
        return f"{scheme}://{shown}"
    return f"{scheme}://{shown}:{port}"
