"""What the node answers over HTTP: the page, health, and tokens for guests.

A Starlette app built from the few things it needs, all handed in. Unknown paths tell nothing; every
response carries the security headers; a body is small or refused.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import cast

import attrs
import orjson
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from greenroom.node.assets import Asset
from greenroom.node.guests import GuestNameError, clean_guest_name
from greenroom.node.origin import allows_origin, canonical_origin, is_local_name
from greenroom.node.peek import OTHER_VERSION, WEBSOCKET_PATH

MAX_BODY_BYTES = 4096
BODY_SECONDS = 5.0
STORE_PING_SECONDS = 2.0

NOT_A_LOCAL_NAME = (
    "A development node has guests at localhost or an IP address only; "
    "to use another name, allow it with --origin."
)

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@attrs.frozen(kw_only=True)
class GuestToken:
    """What a guest gets."""

    token: str = attrs.field(repr=False)
    user: str
    expires: int
    """ms since 1970."""


@attrs.frozen(kw_only=True)
class WebServices:
    """What the web side asks of the node."""

    assets: Mapping[str, Asset]
    draining: Callable[[], bool]
    ping_store: Callable[[], Awaitable[None]]
    """Raises when the store can't be read or written, and logs why."""
    issue_guest_token: Callable[[str], GuestToken] | None
    """None: this node has no guests."""
    development: bool
    origins: Sequence[str] = ()


def make_app(services: WebServices) -> ASGIApp:
    """Build the app."""

    async def page(request: Request) -> Response:
        asset = services.assets.get(request.url.path)
        if asset is None:
            raise HTTPException(404)
        # Asked for again each time, and answered 304: a new version of the node is seen at once.
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    async def healthz(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if services.draining():
            return _json({"status": "draining"}, 503)
        try:
            with trio.fail_after(STORE_PING_SECONDS):
                await services.ping_store()
        except Exception:  # noqa: BLE001  # whatever it is, the node is not ready
            return _json({"status": "store unavailable"}, 503)
        return _json({"status": "ready"})

    async def websocket_without_upgrade(_request: Request) -> Response:
        return Response(
            "Speak WebSocket here.\n", 426, headers=OTHER_VERSION.headers, media_type="text/plain"
        )

    async def guest(request: Request) -> Response:
        if services.issue_guest_token is None:
            raise HTTPException(404)
        origin, host = request.headers.get("origin"), request.headers.get("host")
        # DNS rebinding: any page can give this machine its own name, and is the same origin then.
        if (
            services.development
            and not is_local_name(host)
            and canonical_origin(origin or "") not in services.origins
        ):
            raise HTTPException(421, NOT_A_LOCAL_NAME)
        # A page of another origin can send such a request only after asking first (JSON needs a
        # preflight, which nobody answers here); the check makes it no matter of the browser alone.
        if not allows_origin(
            origin,
            host=host,
            tls=request.url.scheme == "https",
            allowed=services.origins,
        ):
            raise HTTPException(403)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise HTTPException(415)
        body = await _read_object(request)
        try:
            user = clean_guest_name(body.get("name"), development=services.development)
        except GuestNameError as error:
            return _json({"error": str(error)}, 400)
        issued = services.issue_guest_token(user)
        return _json({"token": issued.token, "user": issued.user, "expires": issued.expires})

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route(WEBSOCKET_PATH, websocket_without_upgrade),
        Route("/api/guest", guest, methods=["POST"]),
        *(Route(path, page) for path in services.assets),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _plain_error})
    app.router.redirect_slashes = False
    return _with_security_headers(app)


async def _read_object(request: Request) -> dict[str, object]:
    """Read a small JSON object from the body, or refuse."""
    body = bytearray()
    try:
        with trio.fail_after(BODY_SECONDS):
            async with aclosing(request.stream()) as stream:
                async for chunk in stream:
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise HTTPException(413)
    except trio.TooSlowError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None
    try:
        value: object = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise HTTPException(400) from None
    if not isinstance(value, dict):
        raise HTTPException(400)
    return cast("dict[str, object]", value)  # a JSON object has no other keys


def _json(content: dict[str, object], status: int = 200) -> Response:
    return JSONResponse(content, status, headers={"Cache-Control": "no-store"})


async def _plain_error(_request: Request, error: Exception) -> Response:
    """Answer with the status' own words: the same for everything that is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    headers = {"Cache-Control": "no-store", **(error.headers or {})}
    return JSONResponse({"error": error.detail}, error.status_code, headers=headers)


def _with_security_headers(app: ASGIApp) -> ASGIApp:
    extra = [
        (name.lower().encode("ascii"), value.encode("ascii"))
        for name, value in SECURITY_HEADERS.items()
    ]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return wrapped
