"""Who a connection is: its token, until when that is good, and its session at the registry."""

from typing import Any, Final

import attrs

from greenroom.actors.cast import Cast
from greenroom.actors.connection_messages import Expired, ExpiryNear
from greenroom.actors.registry import OpenSession, Session
from greenroom.protocol import (
    AuthOk,
    Claims,
    CloseCode,
    ErrorCode,
    Limits,
    TokenExpired,
    TokenInvalid,
)
from greenroom.supervisor import ActorCrashed, ActorStopped, Inbox, NoReply, Timer

MOST_ATTEMPTS: Final = 3
"""A question that crashed the registry this often is not asked again."""


@attrs.frozen
class Rejected:
    """The token does not do, or there is nobody to let the client in."""

    error: ErrorCode
    close: CloseCode
    """For an AUTH; a REFRESH that fails leaves the connection as it is."""


EXPIRED: Final = Rejected(ErrorCode.TOKEN_EXPIRED, CloseCode.TOKEN_EXPIRED)
INVALID: Final = Rejected(ErrorCode.UNAUTHORIZED, CloseCode.INVALID_TOKEN)
SOMEBODY_ELSE: Final = Rejected(ErrorCode.PERMISSION_DENIED, CloseCode.DENIED)
NOBODY_THERE: Final = Rejected(ErrorCode.NOT_AVAILABLE, CloseCode.TRY_AGAIN_LATER)


class Identity:
    """One authenticated client."""

    def __init__(self, inbox: Inbox[Any], cast: Cast, claims: Claims, session: Session) -> None:
        self._inbox = inbox
        self._cast = cast
        self._timers: list[Timer] = []  # of the token in force
        self._session = session
        self.claims = claims
        """What the token in force says."""
        self._watch_expiry()

    def auth_ok(self, id: int) -> AuthOk:
        """The answer to the AUTH that made it."""
        limits = self._cast.services.limits
        return AuthOk(
            id=id,
            connection=self._inbox.ref.id,
            session=self._session.id,
            node=self._cast.services.node,
            user=self.claims.subject,
            expires=self.expires_ms,
            heartbeat_ms=int(limits.heartbeat_seconds * 1000),
            limits=Limits(
                frame_bytes=limits.max_frame_bytes,
                content_bytes=limits.max_content_bytes,
                rooms=limits.max_rooms_per_connection,
                publishes_in_flight=limits.in_flight_publishes,
                publish_bytes_in_flight=limits.in_flight_bytes,
                history=limits.max_history_messages,
            ),
        )

    @property
    def expires_ms(self) -> int:
        """When the token in force ends."""
        return int(self.claims.expires_at * 1000)

    def renew(self, token: str) -> Rejected | None:
        """Put a new token of the same user in force."""
        claims = _verify(self._cast, token)
        if isinstance(claims, Rejected):
            return claims
        if claims.subject != self.claims.subject:
            return SOMEBODY_ELSE
        self.claims = claims
        self._watch_expiry()
        return None

    async def announce_again(self) -> None:
        """The registry has crashed and knows nobody any more."""
        await _open_session(self._inbox, self._cast, self.claims.subject, self._session.id)

    def _watch_expiry(self) -> None:
        for timer in self._timers:
            timer.cancel()
        services = self._cast.services
        left = max(0.0, self.claims.expires_at - services.now())
        # At once for a short token would be at once again for the one it is renewed with.
        warning = min(services.limits.expiry_warning_seconds, left / 2)
        self._timers = [
            self._inbox.send_after(left - warning, ExpiryNear()),
            self._inbox.send_after(left, Expired()),
        ]


async def identify(inbox: Inbox[Any], cast: Cast, token: str) -> Identity | Rejected:
    """Check a token and make its bearer known to the registry."""
    claims = _verify(cast, token)
    if isinstance(claims, Rejected):
        return claims
    session = await _open_session(inbox, cast, claims.subject)
    return NOBODY_THERE if session is None else Identity(inbox, cast, claims, session)


def _verify(cast: Cast, token: str) -> Claims | Rejected:
    try:
        return cast.services.verify(token, cast.services.now())
    except TokenExpired:
        return EXPIRED
    except TokenInvalid:
        return INVALID


async def _open_session(
    inbox: Inbox[Any], cast: Cast, user: str, known: str | None = None
) -> Session | None:
    """The one message that the registry gets from a connection.

    `known` is the session that its last incarnation gave us, never what a client claims.
    """
    request = OpenSession(user=user, connection=inbox.ref, session=known)
    for _ in range(MOST_ATTEMPTS):
        inbox.watch(cast.registry)
        try:
            return await cast.registry.ask(request)
        except (ActorCrashed, NoReply):
            continue
        except ActorStopped:
            break
    return None
