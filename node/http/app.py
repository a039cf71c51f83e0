"""What the node answers over HTTP: the page, health, and tokens for guests.

A Starlette app built from the few things it needs, all handed in. Unknown paths tell nothing: all
are answered with the same bytes. What a request has to be before it is acted upon says `posts.py`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.door.peek import OTHER_VERSION, WEBSOCKET_PATH
from greenroom.node.http.assets import Asset
from greenroom.node.http.posts import Posts, accounts_away, json_answer, plain_error
from greenroom.node.identity.guests import clean_guest_name
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.names import NameRefused

STORE_PING_SECONDS = 2.0


@attrs.frozen(kw_only=True)
class WebServices:
    """What the web side asks of the node."""

    assets: Mapping[str, Asset]
    draining: Callable[[], bool]
    ping_store: Callable[[], Awaitable[None]]
    """Raises when the store can't be read or written, and logs why."""
    issue_guest_token: Callable[[str], IssuedToken] | None
    """None: this node has no guests."""
    has_account: Callable[[str], Awaitable[bool]] | None = None
    """Whether a name is that of an account, which no guest may have; None: there are no accounts.
    Raises `StoreUnavailable`."""
    further: Sequence[Route] = ()
    """Routes of other modules."""
    development: bool
    origins: Sequence[str] = ()


def make_app(services: WebServices) -> ASGIApp:
    """Build the app."""

    async def page(request: Request) -> Response:
        asset = services.assets[request.scope["path"]]
        # Asked for again each time, and answered 304: a new version of the node is seen at once.
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    async def healthz(_request: Request) -> Response:
        return json_answer({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if services.draining():
            return json_answer({"status": "draining"}, 503)
        try:
            with trio.fail_after(STORE_PING_SECONDS):
                await services.ping_store()
        except Exception:  # noqa: BLE001  # whatever it is, the node is not ready
            return json_answer({"status": "store unavailable"}, 503)
        return json_answer({"status": "ready"})

    async def websocket_without_upgrade(_request: Request) -> Response:
        return Response(
            "Speak WebSocket here.\n", 426, headers=OTHER_VERSION.headers, media_type="text/plain"
        )

    async def guest(request: Request) -> Response:
        assert issue is not None  # noqa: S101  # without it there is no such route
        body = await posts.read(request)
        try:
            user = clean_guest_name(body.get("name"), development=services.development)
        except NameRefused as error:
            return json_answer({"error": str(error)}, 400)
        issued = issue(user)
        # After that: an account that is made from now on ends the token.
        try:
            if services.has_account is not None and await services.has_account(user):
                return json_answer({"error": "This name belongs to somebody."}, 409)
        except StoreUnavailable:
            return accounts_away()
        return json_answer({"token": issued.token, "user": issued.user, "expires": issued.expires})

    issue = services.issue_guest_token
    posts = Posts(origins=services.origins, local_names_only=services.development)
    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route(WEBSOCKET_PATH, websocket_without_upgrade),
        *([] if issue is None else [Route("/api/guest", guest, methods=["POST"])]),
        *services.further,
        *(Route(path, page) for path in services.assets),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: plain_error})
    app.router.redirect_slashes = False
    return _without_escapes(app)


def _without_escapes(app: ASGIApp) -> ASGIApp:
    """Know only paths that are written as they stand in the table.

    None of them needs a `%`. So there is one way to write each, and nothing to decode twice.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] == "http" and b"%" not in scope["raw_path"]
        await app(scope if known else {**scope, "path": ""}, receive, send)

    return wrapped
