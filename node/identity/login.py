"""Signing in over HTTP: `/api/login` and what goes with it, as routes of the web side.

Turns requests into calls of `Accounts` and what those raise into answers. Every answer of one
kind has the same bytes, whoever asks. A client that goes away while its password waits to be hashed
leaves its place to another.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs
import structlog
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.door.carriers import (
    NoSuchTokenError,
    OtherSchemeError,
    bearer_token,
    cookie_token,
)
from greenroom.node.http.posts import Posts, accounts_away, json_answer
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.names import NameRefused
from greenroom.node.identity.passwords import HasherBusy, PasswordRefused
from greenroom.node.identity.sign_in import Accounts, NotSignedIn, WrongPassword
from greenroom.node.identity.throttle import Throttled
from greenroom.node.storage.accounts import NameTaken

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.login")

BUSY_SECONDS: Final = 2
BEARER: Final = {"WWW-Authenticate": "Bearer"}  # RFC 9110, 11.6.1: a 401 names a way in

Work = Callable[[dict[str, object]], Awaitable[Response]]


@attrs.frozen(kw_only=True)
class LoginServices:
    """What signing in needs of the node."""

    accounts: Accounts | None
    """None: this node has none."""
    guests: bool
    cookie: str | None
    """The name of the cookie that a handshake's token is looked for in; None: there is none."""
    posts: Posts


def login_routes(services: LoginServices) -> Sequence[Route]:
    """Return the routes; without accounts only the one that says so."""
    accounts, posts = services.accounts, services.posts

    async def sign_in(_request: Request) -> Response:
        offers: dict[str, object] = {"accounts": accounts is not None, "guests": services.guests}
        if accounts is not None:
            offers["registration"] = accounts.rules.registration
            offers["password_characters"] = accounts.rules.least_characters
        return json_answer(offers)

    routes = [Route("/api/sign-in", sign_in, methods=["GET"])]
    if accounts is None:
        return routes

    jar = Jar(services.cookie)

    async def login(request: Request) -> Response:
        async def work(body: dict[str, object]) -> Response:
            cookie = jar.wanted(body)
            found = await accounts.sign_in(
                body.get("name"), body.get("password"), address=_address(request)
            )
            return jar.welcome(request, found, cookie=cookie)

        return await _answer(request, posts, work)

    async def register(request: Request) -> Response:
        async def work(body: dict[str, object]) -> Response:
            cookie = jar.wanted(body)
            made = await accounts.register(
                body.get("name"), body.get("password"), address=_address(request)
            )
            return jar.welcome(request, made, cookie=cookie)

        return await _answer(request, posts, work)

    async def password(request: Request) -> Response:
        async def work(body: dict[str, object]) -> Response:
            token, cookie = jar.token(request)
            try:
                changed = await accounts.change_password(
                    token, body.get("old"), body.get("new"), address=_address(request)
                )
            except WrongPassword:  # who may ask is known here, so it is no 401
                return _error("The present password is wrong.", 403)
            return jar.welcome(request, changed, cookie=cookie)

        return await _answer(request, posts, work)

    async def renew(request: Request) -> Response:
        async def work(_body: dict[str, object]) -> Response:
            token, cookie = jar.token(request)
            return jar.welcome(request, await accounts.renew(token), cookie=cookie)

        return await _answer(request, posts, work)

    async def logout(request: Request) -> Response:
        async def work(_body: dict[str, object]) -> Response:
            token, cookie = jar.token(request)
            await accounts.sign_out(token)
            return jar.emptied(request) if cookie else Response(status_code=204)

        return await _answer(request, posts, work)

    handlers = {"login": login, "password": password, "renew": renew, "logout": logout}
    if accounts.rules.registration:
        handlers["register"] = register
    routes += [
        Route(f"/api/{name}", handler, methods=["POST"]) for name, handler in handlers.items()
    ]
    return routes


async def _answer(request: Request, posts: Posts, work: Work) -> Response:
    """Read the request's body and do what it asks for, as long as its client is there."""
    body = await posts.read(request)
    answer = _busy()  # for a client that has left nobody reads it; one that waited too long does
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_gone, request, nursery.cancel_scope)
        answer = await _told(work, body, address=_address(request))
        nursery.cancel_scope.cancel()
    return answer


async def _cancel_when_gone(request: Request, scope: trio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _told(work: Work, body: dict[str, object], *, address: str) -> Response:
    """Do it, and say in an answer what was wrong."""
    try:
        return await work(body)
    except (NameRefused, PasswordRefused) as refused:
        return json_answer({"error": str(refused)}, 400)
    except HTTPException as refused:  # here, as the nursery would make a group of it
        return json_answer({"error": refused.detail}, refused.status_code)
    except WrongPassword:
        return _error("The name or the password is wrong.", 401, BEARER)
    except NotSignedIn:
        return _error("Sign in again.", 401, BEARER)
    except NameTaken:
        return _error("This name is taken.", 409)
    except Throttled as throttled:
        # Not the name: people type their password there by mistake.
        log.warning("sign-in throttled", peer=address)
        seconds = max(1, math.ceil(throttled.retry_after_seconds))
        return _error(f"Too many tries. Try again in {seconds} s.", 429, _retry_after(seconds))
    except HasherBusy:
        return _busy()
    except StoreUnavailable:
        return accounts_away()


def _busy() -> Response:
    text = "Too many people sign in just now. Try again in a moment."
    return _error(text, 503, _retry_after(BUSY_SECONDS))


def _error(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    answer = json_answer({"error": text}, status)
    answer.headers.update(headers or {})
    return answer


def _retry_after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


@attrs.frozen
class Jar:
    """Where a request's token is, and where a new one goes: the body, or a cookie out of reach.

    Args:
        name: The cookie's; None: tokens are in headers and bodies only.
    """

    name: str | None

    def wanted(self, body: dict[str, object]) -> bool:
        """Whether the token is to go into the cookie.

        Raises:
            HTTPException: 400, as this node would not read it there.
        """
        wanted = body.get("cookie", False)
        if not isinstance(wanted, bool) or (wanted and self.name is None):
            raise HTTPException(400, "This node takes no cookie.")
        return wanted

    def token(self, request: Request) -> tuple[str, bool]:
        """Return the token that a request brings, and whether in the cookie.

        Raises:
            NotSignedIn: It brings none, or none that can be read.
        """
        try:
            token = bearer_token(request.headers.getlist("authorization"))
        except (OtherSchemeError, NoSuchTokenError):
            raise NotSignedIn from None
        if token is not None:
            return token, False
        if self.name is not None:
            token = cookie_token(request.headers.getlist("cookie"), self.name)
        if token is None:
            raise NotSignedIn
        return token, True

    def welcome(self, request: Request, signed_in: IssuedToken, *, cookie: bool) -> Response:
        """Answer with a new token."""
        said: dict[str, object] = {"user": signed_in.user, "expires": signed_in.expires}
        if not cookie:
            return json_answer({"token": signed_in.token, **said})
        answer = json_answer(said)
        self._set(request, answer, signed_in.token, signed_in.expires)
        return answer

    def emptied(self, request: Request) -> Response:
        """Answer with nothing, and have the cookie forgotten."""
        answer = Response(status_code=204)
        self._set(request, answer, "", 0)
        return answer

    def _set(self, request: Request, answer: Response, value: str, expires_ms: int) -> None:
        assert self.name is not None  # noqa: S101  # nobody wanted it, or came with it, otherwise
        answer.set_cookie(
            self.name,
            value,
            expires=datetime.fromtimestamp(expires_ms / 1000, UTC),
            path="/",
            secure=self.name.startswith("__") or _is_secure(request),
            httponly=True,
            samesite="strict",
        )


def _is_secure(request: Request) -> bool:
    """Whether the browser came by TLS: to us, or to a proxy before us, as its Origin says."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host
