"""Issues and verifies this node's tokens with the one secret it has."""

import time
from collections.abc import Callable

import attrs

from greenroom.node.http import GuestToken
from greenroom.node.kinds import Secret
from greenroom.protocol import Claims, issue_token, verify_token


@attrs.frozen(kw_only=True)
class TokenOffice:
    """The only part of a node that holds the secret."""

    secret: Secret
    lifetime_seconds: float
    now: Callable[[], float] = time.time
    """Seconds since 1970."""

    def issue(self, user: str) -> str:
        """Sign a token for `user`.

        Raises:
            ValueError: Nobody can have that name; the text says why.
        """
        return issue_token(
            user,
            secret=self.secret.reveal(),
            now=self.now(),
            lifetime_seconds=self.lifetime_seconds,
        )

    def issue_for_guest(self, user: str) -> GuestToken:
        """Sign a token and say how long it is good, as the page is told."""
        token = self.issue(user)
        claims = self.verify(token, self.now())
        return GuestToken(token=token, user=claims.subject, expires=int(claims.expires_at * 1000))

    def verify(self, token: str, now: float) -> Claims:
        """Check a token.

        Raises:
            TokenInvalid: It is not ours, or never was one.
            TokenExpired: It was good once.
        """
        return verify_token(token, secret=self.secret.reveal(), now=now)
