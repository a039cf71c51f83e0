"""Webhooks over HTTP: `CallbackSink` and `RoomGate` for a receiver that the operator names.

One POST of JSON each, signed; how HTTP is spoken is `outgoing.py`.
"""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final, cast

import httpx2
import orjson

from greenroom.actors.callbacks.ports import Callback, SinkRefused, SinkUnavailable
from greenroom.actors.ports import GateUnavailable
from greenroom.node.outgoing import Answer, NoAnswer, open_http, request
from greenroom.node.signatures import SigningKeys, signed_headers
from greenroom.protocol import ALL_RIGHTS, Rights, read_rights

ANSWER_BYTES: Final = 64 * 1024
"""Of an answer; what is beyond is not read."""
GATE_SECONDS: Final = 2.0

LATER: Final = frozenset({408, 425, 429})
"""Of the 4xx, those that the same request may not meet again."""
ABOUT_CONTENT: Final = frozenset({400, 413, 422})
"""Of the others, those that a part of the request may not meet."""


class Poster:
    """Signs and posts; shared by all that call the receiver."""

    def __init__(
        self, client: httpx2.AsyncClient, keys: SigningKeys, now: Callable[[], float]
    ) -> None:
        self._client = client
        self._keys = keys
        self.now = now
        """Wall clock, seconds since 1970."""

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        id: str,
        seconds: float,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Post `body` once.

        Args:
            url: Where to.
            body: JSON.
            id: The same for the same request.
            seconds: Until when the whole answer must be here.
            headers: More of them.

        Raises:
            NoAnswer: Not reached, broken off, not HTTP, or too slow.
        """
        signed = signed_headers(self._keys, id=id, now=self.now(), body=body)
        return await request(
            self._client,
            "POST",
            url,
            body=body,
            headers=[("content-type", "application/json"), *signed, *headers],
            seconds=seconds,
            most_bytes=ANSWER_BYTES,
        )


@asynccontextmanager
async def open_poster(
    keys: SigningKeys, *, connections: int, now: Callable[[], float]
) -> AsyncGenerator[Poster]:
    """Hold the connections to the receiver: at most so many, made when they are needed."""
    async with open_http(connections=connections) as client:
        yield Poster(client, keys, now)


class WebhookSink:
    """The receiver of callbacks, at one URL."""

    def __init__(self, poster: Poster, url: str, *, seconds: float) -> None:
        """Call back `url`; each attempt may take `seconds`."""
        self._poster = poster
        self._url = url
        self._seconds = seconds

    async def deliver(self, callback: Callback, *, attempt: int) -> None:
        """Hand over one request; see `CallbackSink.deliver`."""
        try:
            answer = await self._poster.post(
                self._url,
                callback.body,
                id=callback.id,
                seconds=self._seconds,
                headers=[("greenroom-attempt", str(attempt))],
            )
        except NoAnswer as trouble:
            raise SinkUnavailable(str(trouble)) from trouble
        judge(answer, now=self._poster.now())


def judge(answer: Answer, *, now: float) -> None:
    """Return if the receiver has taken the request.

    Raises:
        SinkUnavailable: 3xx (a redirect is not followed, and may be of a page that says
            "maintenance"), 408, 425, 429, 5xx.
        SinkRefused: Every other 4xx.
    """
    status = answer.status
    if 200 <= status <= 299:
        return
    if 400 <= status <= 499 and status not in LATER:
        raise SinkRefused(f"answered {status}", content=status in ABOUT_CONTENT)
    raise SinkUnavailable(
        f"answered {status}", retry_after(answer.headers.get("retry-after"), now=now)
    )


def retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait, from a number of them or a date (RFC 9110, 10.2.3); None from neither."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


class WebhookGate:
    """`RoomGate` of a receiver that knows who belongs to which room."""

    def __init__(self, poster: Poster, url: str, *, node: str) -> None:
        """Ask `url`, in the name of `node`."""
        self._poster = poster
        self._url = url
        self._node = node

    async def rights_in(self, room: str, user: str) -> Rights | None:
        """Ask what `user` may do in `room`; see `RoomGate.rights_in`."""
        question = {"version": 1, "type": "access", "node": self._node, "room": room, "user": user}
        try:
            answer = await self._poster.post(
                self._url,
                orjson.dumps(question),
                id="ac_" + secrets.token_hex(12),
                seconds=GATE_SECONDS,
            )
        except NoAnswer as trouble:
            raise GateUnavailable(str(trouble)) from trouble
        if not 200 <= answer.status <= 299:
            raise GateUnavailable(f"answered {answer.status}")
        return read_answer(answer.body)


def read_answer(body: bytes) -> Rights | None:
    """Read `{"allow": true, "rights": ["join", ...]}`; without `rights`, all of them.

    Raises:
        GateUnavailable: It says something else.
    """
    try:
        read: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise GateUnavailable("answered no JSON") from error
    answer = cast("dict[str, object]", read) if isinstance(read, dict) else {}
    if not isinstance(answer.get("allow"), bool):
        raise GateUnavailable('answered without "allow": true or false')
    if not answer["allow"]:
        return None
    if "rights" not in answer:
        return ALL_RIGHTS
    rights = read_rights(answer["rights"])
    if rights is None:
        raise GateUnavailable("answered rights that are none")
    return rights
