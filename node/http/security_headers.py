"""The headers that every HTTP response of this node carries, whoever writes it.

Three write responses: the apps (through Hypercorn), Hypercorn itself (to what is no HTTP), and the
listener (to what it refuses). All three take the headers from here.
"""

from collections.abc import Mapping
from typing import Final

from greenroom.node.door.origin import is_local_name

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

STRICT_TRANSPORT_SECURITY: Final = ("Strict-Transport-Security", "max-age=2592000")
"""A month: those who come by now and then never ask over http, and nobody who gives TLS up again
is locked out for a year. RFC 6797."""


def default_headers(*, tls: bool, host: str | None) -> dict[str, str]:
    """Return what a response has unless it says otherwise; what says nothing is not to be stored.

    Args:
        tls: Whether the connection itself is encrypted.
        host: The request's `Host`. At localhost and at addresses nobody is told to stay with TLS:
            other programs there speak http, and the browser knows no difference between ports.
    """
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-store"}
    if tls and not is_local_name(host):
        name, value = STRICT_TRANSPORT_SECURITY
        headers[name] = value
    return headers
