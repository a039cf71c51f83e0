"""The operators' gate: lets in who shows a key that is good for what is asked, and nobody else.

An ASGI app in front of the one that answers. Whoever has no key learns nothing: every path, method
and failure looks alike. Keys come in the Authorization header alone, so no browser sends one by
itself; a page of another origin is refused all the same.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from greenroom.node.admin.keys import AdminKey, AdminKeys
from greenroom.node.door.origin import allows_origin
from greenroom.node.door.proxies import counted_as
from greenroom.node.tries import Tries

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.gate")

KEY: Final = "greenroom.admin_key"
"""Where the scope of a request holds the key that let it in."""
FAILURES: Final = 20
FAILURES_SECONDS: Final = 60.0
"""Of one address, within this time; more are 429. A good key is let in all the same: it can't be
guessed, and whoever tries must not keep the operators out."""


def with_gate(app: ASGIApp, keys: Callable[[], AdminKeys], *, now: Callable[[], float]) -> ASGIApp:
    """Put the gate before an app.

    Args:
        app: What answers who is let in; it finds the key in the scope, as `KEY`.
        keys: Those that hold right now.
        now: A clock that never goes back, in seconds.
    """
    failures = Tries(FAILURES, FAILURES_SECONDS)

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        key = keys().find(bearer_of(request))
        if key is None:
            answer = _unauthorized(request, failures, now())
        elif not _is_of_this_origin(request):
            answer = _refusal(HTTPStatus.FORBIDDEN)
        else:
            await app({**scope, KEY: key}, receive, send)
            return
        await answer(scope, receive, send)

    return gate


def bearer_of(request: Request) -> str:
    """Return what stands in the one Authorization header as a bearer's token, or nothing."""
    given = request.headers.getlist("authorization")
    scheme, _, credentials = (given[0] if len(given) == 1 else "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def key_of(request: Request) -> AdminKey:
    """Return the key that let a request in."""
    key = request.scope[KEY]
    assert isinstance(key, AdminKey)  # noqa: S101  # the gate has put it there
    return key


def address_of(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client is not None else ""


def _unauthorized(request: Request, failures: Tries, now: float) -> Response:
    network = counted_as(address_of(request))
    wait = failures.wait(network, now)
    if wait:
        return _refusal(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(int(wait) + 1)})
    failures.take(network, now)
    log.warning("operator refused", reason="no key that holds", peer=address_of(request))
    return _refusal(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Bearer realm="greenroom"'})


def _is_of_this_origin(request: Request) -> bool:
    origins = request.headers.getlist("origin")
    if not origins:
        return True
    tls = request.scope["scheme"] == "https"
    host = request.headers.get("host")
    return len(origins) == 1 and allows_origin(origins[0], host=host, tls=tls, allowed=())


def _refusal(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": status.phrase}, status, headers=headers)
