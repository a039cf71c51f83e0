"""An issuer's keys at an address (JWKS): how they are fetched, and when again.

Fetching is one bounded GET. When to fetch is a schedule that is told the time: as often as the
settings say or sooner where the answer's `max-age` is shorter, soon after a failure, and at once
where somebody asks for a key that is not known, but not more often than every ten seconds.
"""

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import attrs

from greenroom.node.outgoing import NoAnswer, open_http, request
from greenroom.node.settings.keys import JwksUrl

FETCH_SECONDS: Final = 5.0
MOST_BYTES: Final = 256 * 1024
LEAST_MAX_AGE_SECONDS: Final = 60.0
"""An issuer that says less, or `no-store`, is not asked more often than that."""
ASKED_SECONDS: Final = 10.0
"""Anybody can send tokens that name unknown keys: they make no more than one fetch in that time."""
FRESH_SECONDS: Final = 1.0
"""A key that was not among those fetched so lately is unknown for sure."""
FIRST_RETRY_SECONDS: Final = 5.0
LAST_RETRY_SECONDS: Final = 60.0

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,10})", re.IGNORECASE)


class JwksUnavailable(Exception):
    """The keys could not be fetched. The text says why, and does not hold the address."""


@attrs.frozen
class Fetched:
    """What stood at the address."""

    document: bytes
    max_age: float | None
    """Seconds for which the issuer says that it will stand there; None: it says nothing."""


Fetch: TypeAlias = Callable[[], Awaitable[Fetched]]
"""Fetches once; raises `JwksUnavailable`."""


@asynccontextmanager
async def open_jwks(url: JwksUrl) -> AsyncGenerator[Fetch]:
    """Hold what fetches from `url`."""
    async with open_http(connections=1) as client:

        async def fetch() -> Fetched:
            try:
                answer = await request(
                    client,
                    "GET",
                    url.reveal(),
                    seconds=FETCH_SECONDS,
                    most_bytes=MOST_BYTES + 1,
                )
            except NoAnswer as trouble:
                raise JwksUnavailable(str(trouble)) from trouble
            if answer.status != 200:
                raise JwksUnavailable(f"answered {answer.status}")
            if len(answer.body) > MOST_BYTES:
                raise JwksUnavailable(f"answered more than {MOST_BYTES} bytes")
            return Fetched(answer.body, read_max_age(answer.headers.get("cache-control", "")))

        yield fetch


def read_max_age(cache_control: str) -> float | None:
    """Seconds for which an answer may be used (RFC 9111, 5.2.2); None where nothing says so."""
    if re.search(r"\bno-(?:store|cache)\b", cache_control, re.IGNORECASE):
        return 0.0
    found = _MAX_AGE.search(cache_control)
    return None if found is None else float(found[1])


@attrs.define(eq=False)
class JwksSchedule:
    """When to fetch, and how long what was fetched is good. `now` is any clock that only rises."""

    interval_seconds: float
    stale_seconds: float
    next_at: float = -math.inf
    _tried_at: float = -math.inf
    _fetched_at: float = -math.inf
    _failures: int = 0

    def may_ask(self, now: float) -> bool:
        """Whether to fetch at once for somebody who asks for a key that is not known."""
        return now - self._tried_at >= ASKED_SECONDS

    def worked(self, now: float, *, max_age: float | None) -> None:
        """A fetch has brought keys."""
        self._tried_at = self._fetched_at = now
        self._failures = 0
        wanted = self.interval_seconds if max_age is None else max(LEAST_MAX_AGE_SECONDS, max_age)
        self.next_at = now + min(wanted, self.interval_seconds)

    def failed(self, now: float) -> None:
        """A fetch has brought none."""
        self._tried_at = now
        pause = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self.next_at = now + min(pause, self.interval_seconds)

    def is_fresh(self, now: float) -> bool:
        """Whether a key that is not known now is known to nobody."""
        return now - self._fetched_at <= FRESH_SECONDS

    @property
    def stale_at(self) -> float:
        """When what was fetched is not good any more."""
        return self._fetched_at + self.stale_seconds
