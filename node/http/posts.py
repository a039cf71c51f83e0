"""What a route that acts asks of a request before it does: where it comes from, and a small body.

Safe against forged requests by design, without a token of its own: only JSON, which a page of
another origin can't send without asking first, and nobody answers that question here; the Origin,
where there is one, has to be the node's own or listed; and a request that comes with a cookie, as
only browsers send it, has to name its Origin.
"""

from collections.abc import Collection
from contextlib import aclosing
from typing import Final, cast

import attrs
import orjson
import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from greenroom.node.door.origin import allows_origin, is_rebound

MAX_BODY_BYTES: Final = 4096
BODY_SECONDS: Final = 5.0
AWAY_SECONDS: Final = 5
MOST_DIGITS: Final = 15
SAME_SITE: Final = frozenset({"same-origin", "none"})

NOT_A_LOCAL_NAME: Final = (
    "A development node lets people in at localhost or an IP address only; "
    "to use another name, allow it with --origin."
)


@attrs.frozen(kw_only=True)
class Posts:
    """Who may send something to be acted upon.

    Args:
        origins: Canonical origins that may, besides the node's own.
        local_names_only: Whether the node is reached from this machine alone: then a page at any
            other name got there by DNS rebinding, and is the same origin to its browser.
    """

    origins: Collection[str] = ()
    local_names_only: bool = False

    async def read(self, request: Request) -> dict[str, object]:
        """Check where a request comes from and return the JSON object that it brings.

        Raises:
            HTTPException: 421 for a name that is not this machine's, 403 for a foreign origin, 415
                for what is no JSON, 413 for more than `MAX_BODY_BYTES`, 408 for a body that takes
                longer than `BODY_SECONDS`, 400 for a body that is no object.
        """
        self._check_origin(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(415)
        return await read_object(request)

    def _check_origin(self, request: Request) -> None:
        origins = request.headers.getlist("origin")
        origin = origins[0] if origins else None
        tls = request.scope["scheme"] == "https"
        host = request.headers.get("host")
        if self.local_names_only and is_rebound(origin, host=host, allowed=self.origins):
            raise HTTPException(421, NOT_A_LOCAL_NAME)
        allowed = len(origins) <= 1 and allows_origin(
            origin, host=host, tls=tls, allowed=self.origins
        )
        if origin is None:
            site = request.headers.get("sec-fetch-site")
            allowed = "cookie" not in request.headers and (site is None or site in SAME_SITE)
        if not allowed:
            raise HTTPException(403)


async def read_object(
    request: Request, *, max_bytes: int = MAX_BODY_BYTES, seconds: float = BODY_SECONDS
) -> dict[str, object]:
    """Read a small JSON object from the body, or refuse.

    Raises:
        HTTPException: 413, 408 or 400; see `Posts.read`.
    """
    announced = request.headers.get("content-length", "0")  # digits: h11 refuses anything else
    if len(announced) > MOST_DIGITS or int(announced) > max_bytes:
        raise HTTPException(413)
    body = bytearray()
    try:
        with trio.fail_after(seconds):
            async with aclosing(request.stream()) as stream:
                async for chunk in stream:
                    body += chunk
                    if len(body) > max_bytes:
                        raise HTTPException(413)
    except trio.TooSlowError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None
    try:
        value: object = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return cast("dict[str, object]", value)  # a JSON object has no other keys


def json_answer(content: object, status: int = 200) -> Response:
    """Return an answer that nobody stores: every response is so that says nothing else."""
    return JSONResponse(content, status)


def accounts_away() -> Response:
    """Answer that the store does not say just now who has an account, and when to ask again."""
    text = "The node can't look up accounts just now. Try again in a moment."
    return JSONResponse({"error": text}, 503, headers={"Retry-After": str(AWAY_SECONDS)})


async def plain_error(_request: Request, error: Exception) -> Response:
    """Answer with the status' own words: the same for everything that is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    headers = dict(error.headers or {})
    if "Allow" in headers:  # it comes out of a set
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return JSONResponse({"error": error.detail}, error.status_code, headers=headers)
