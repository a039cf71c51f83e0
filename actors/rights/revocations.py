"""Who was thrown out: users and single tokens that were revoked, until their tokens have expired.

Pure, and shared by the whole node: whoever checks a token asks it. It outlives the actor that keeps
it in step with the store (`warden.py`); nothing here waits, or reads a clock.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

from greenroom.protocol import Claims, is_valid_subject

MAX_TOKEN_ID_CHARS: Final = 255
"""Of a token that can be revoked by its id; one with a longer id only with its user."""

_WHOLE_TOKEN: Final = re.compile(r"eyJ[\w-]*\.[\w-]*\.")  # JSON in base64url (RFC 7515, 3.1)

MARGIN_MS: Final = 600_000
"""Kept so much longer: clocks differ, and a token may be taken for a moment after its end."""


@attrs.frozen(kw_only=True)
class Revocation:
    """All tokens of a user up to a moment, or one token.

    Raises:
        ValueError: It names neither a user nor a token, or both, or one that can't be.
    """

    user: str | None = None
    token_id: str | None = None
    """As its `jti`, whoever its bearer is."""
    at_ms: int
    """Tokens of the user that were issued later are good; ms since 1970. A token that does not say
    when it was issued counts as issued before."""
    until_ms: int
    """Every token that it is about has expired by then."""

    def __attrs_post_init__(self) -> None:
        if (self.user is None) is (self.token_id is None):
            raise ValueError("a revocation names a user or a token's id")
        if self.user is not None and not is_valid_subject(self.user):
            raise ValueError("this can be no user")
        if self.token_id is not None and not is_valid_token_id(self.token_id):
            raise ValueError(
                f"a token's id is its jti, never the token itself: 1 to {MAX_TOKEN_ID_CHARS} "
                "characters without control characters"
            )

    @property
    def whom(self) -> tuple[str | None, str | None]:
        """Whom it is about: one revocation of each is enough."""
        return self.user, self.token_id

    def merged(self, other: "Revocation") -> "Revocation":
        """What the two, which are about the same, come to: the later moment, the longer time."""
        return attrs.evolve(
            self,
            at_ms=max(self.at_ms, other.at_ms),
            until_ms=max(self.until_ms, other.until_ms),
        )


def is_valid_token_id(token_id: str) -> bool:
    """Whether a revocation can name it: what every database keeps as it is, and no whole token.

    Somebody who revokes passes the token itself for its id one day, and ids are shown and logged.
    """
    return (
        1 <= len(token_id) <= MAX_TOKEN_ID_CHARS
        and token_id.isprintable()
        and not _WHOLE_TOKEN.match(token_id)
    )


class Revocations:
    """All revocations in force.

    Bounded by what can still be alive: one entry for each user and each token that was revoked
    within the longest life of a token. Only operators and accounts add any, so there is no other
    bound, and none is ever dropped for a newer one.

    Args:
        keep_seconds: The longest life of a token: so long a revocation is kept, unless it is known
            that less does, or that there is a token that lives longer.
        one_user: What all names of one user have in common; each is a user's own unless given.
    """

    def __init__(self, *, keep_seconds: float, one_user: Callable[[str], str] = str) -> None:
        self._keep_ms = math.ceil(keep_seconds * 1000)
        self.one_user = one_user
        self._by_whom: dict[tuple[str | None, str | None], Revocation] = {}
        self._unsaved: dict[tuple[str | None, str | None], Revocation] = {}

    def __len__(self) -> int:
        return len(self._by_whom)

    def __iter__(self) -> Iterator[Revocation]:
        return iter(self._by_whom.values())

    def of_user(self, user: str, *, now: float) -> Revocation:
        """A revocation of all tokens that `user` has now. Raises ValueError for no user."""
        # Up: a token that was issued within the same millisecond was issued before.
        at_ms = math.ceil(now * 1000)
        user = self.one_user(user)
        return Revocation(user=user, at_ms=at_ms, until_ms=at_ms + self._keep_ms)

    def of_token(self, token_id: str, *, expires: float | None, now: float) -> Revocation:
        """A revocation of one token. Raises ValueError for an id that can't be.

        Args:
            token_id: Its `jti`.
            expires: When it expires, if that is known; seconds since 1970.
            now: Seconds since 1970.
        """
        at_ms = math.ceil(now * 1000)
        until_ms = at_ms + self._keep_ms if expires is None else math.ceil(expires * 1000)
        return Revocation(token_id=token_id, at_ms=at_ms, until_ms=until_ms)

    def add(self, revocation: Revocation) -> None:
        """Put it in force; what is new in it is `unsaved`."""
        known = self._by_whom.get(revocation.whom)
        merged = revocation if known is None else known.merged(revocation)
        if merged != known:
            self._by_whom[merged.whom] = self._unsaved[merged.whom] = merged

    def learn(self, revocations: Iterable[Revocation]) -> list[Revocation]:
        """Put those in force that the store has; return the ones that said something new."""
        news: list[Revocation] = []
        for revocation in revocations:
            if revocation.user is not None:  # as whoever has written it calls the user
                user = self.one_user(revocation.user)
                revocation = attrs.evolve(revocation, user=user)  # noqa: PLW2901
            known = self._by_whom.get(revocation.whom)
            merged = revocation if known is None else known.merged(revocation)
            if merged != known:
                self._by_whom[merged.whom] = merged
                news.append(merged)
        return news

    def revoked(self, claims: Claims, *, verified_at: float | None = None) -> bool:
        """Whether the token is refused.

        A token that is, and that lives longer than its revocation, has it kept as long as that.

        Args:
            claims: What it says.
            verified_at: When it was found good, of a connection that is in; seconds since 1970. It
                was issued before that, whatever the issuer's clock made of it.
        """
        caught = False
        by_user = self._by_whom.get((self.one_user(claims.subject), None))
        if by_user is not None and _issued_ms(claims, verified_at) <= by_user.at_ms:
            caught = True
            self.add(_covering(by_user, claims))
        if claims.token_id is not None:
            by_token = self._by_whom.get((None, claims.token_id))
            if by_token is not None:
                caught = True
                self.add(_covering(by_token, claims))
        return caught

    @property
    def unsaved(self) -> Sequence[Revocation]:
        """What the store does not know yet, oldest first."""
        return tuple(self._unsaved.values())

    def saved(self, revocations: Iterable[Revocation]) -> None:
        """The store has these now."""
        for revocation in revocations:
            if self._unsaved.get(revocation.whom) == revocation:
                del self._unsaved[revocation.whom]

    def expire(self, *, now: float) -> None:
        """Forget those whose tokens have all expired."""
        now_ms = now * 1000
        for whom, revocation in list(self._by_whom.items()):
            if revocation.until_ms + MARGIN_MS <= now_ms:
                del self._by_whom[whom]
                self._unsaved.pop(whom, None)


def _issued_ms(claims: Claims, verified_at: float | None) -> float:
    issued_at = 0.0 if claims.issued_at is None else claims.issued_at
    return 1000 * (issued_at if verified_at is None else min(issued_at, verified_at))


def _covering(revocation: Revocation, claims: Claims) -> Revocation:
    """The revocation, made to hold this token for all of its life."""
    issued_ms = 0 if claims.issued_at is None else math.ceil(claims.issued_at * 1000)
    return attrs.evolve(
        revocation,
        at_ms=max(revocation.at_ms, issued_ms if revocation.user is not None else 0),
        until_ms=max(revocation.until_ms, math.ceil(claims.expires_at * 1000)),
    )
