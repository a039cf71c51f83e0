"""HTTP to servers that the operator names: one request, one bounded answer, one deadline.

No redirect is followed, certificates are checked against the system's (or `SSL_CERT_FILE`), the
environment's proxies are left out, and nothing is unpacked: a small answer may be a large one.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import httpx2
import trio

KEEP_ALIVE_SECONDS: Final = 5.0
"""An idle connection is closed then: sooner than servers usually do it, which would race."""
CLOSE_SECONDS: Final = 1.0


class NoAnswer(Exception):
    """There was none, or none that makes sense; whether the server acted, nobody knows."""


@attrs.frozen
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """Their names in any case."""
    body: bytes
    """As much of it as was asked for; more may have come."""


@asynccontextmanager
async def open_http(*, connections: int) -> AsyncGenerator[httpx2.AsyncClient]:
    """Hold connections: at most so many, made when they are needed."""
    client = httpx2.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        verify=ssl.create_default_context(),
        timeout=None,  # the deadline of each request is one for all of it
        limits=httpx2.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
        ),
        headers={
            "user-agent": "greenroom",
            "accept": "application/json",
            "accept-encoding": "identity",
        },
    )
    try:
        yield client
    finally:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await client.aclose()


async def request(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    seconds: float,
    most_bytes: int,
    body: bytes | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    """Send one request.

    Args:
        client: Of `open_http`.
        method: `GET` or `POST`.
        url: Where to.
        seconds: Until when the whole answer must be here.
        most_bytes: How much of its body is read: no more than a chunk beyond that.
        body: What to send.
        headers: More of them.

    Raises:
        NoAnswer: Not reached, broken off, not HTTP, or too slow.
    """
    with trio.move_on_after(seconds):
        try:
            async with client.stream(method, url, content=body, headers=list(headers)) as response:
                read = bytearray()
                # Cancelled, not left: the library leaves generators behind in a loop that is.
                with trio.CancelScope() as enough:
                    async for chunk in response.aiter_raw():
                        read += chunk
                        if len(read) >= most_bytes:
                            enough.cancel()
                return Answer(response.status_code, response.headers, bytes(read))
        # The latter two for hosts that look like one in a setting: `a..b`, `[v1.x]`.
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise NoAnswer(_reason(error)) from error
    raise NoAnswer(f"no answer within {seconds:g} s")


def _reason(error: BaseException) -> str:
    """What went wrong, in one line: the library's word for it, and the cause that says more."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(cause or "").split())
    return f"{type(error).__name__} {text}".strip()
