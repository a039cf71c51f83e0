"""Who a connection is: its token, until when that is good, and its session at the registry."""

from collections.abc import Callable
from typing import Any, Final

import attrs

from greenroom.actors.cast import Cast
from greenroom.actors.registry import OpenSession, TooManyConnections
from greenroom.actors.services import Services
from greenroom.actors.sessions import Session
from greenroom.actors.tracebacks import forget_frames
from greenroom.protocol import (
    AuthOk,
    Claims,
    CloseCode,
    ErrorCode,
    KeysUnavailable,
    Limits,
    TokenError,
    TokenExpired,
    UnknownKey,
)
from greenroom.supervisor import ActorCrashed, ActorStopped, Inbox, NoReply

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
REVOKED: Final = Rejected(ErrorCode.UNAUTHORIZED, CloseCode.TOKEN_REVOKED)
TOO_MANY: Final = Rejected(ErrorCode.LIMIT_EXCEEDED, CloseCode.CONNECTION_LIMIT)
SOMEBODY_ELSE: Final = Rejected(ErrorCode.PERMISSION_DENIED, CloseCode.DENIED)
NOBODY_THERE: Final = Rejected(ErrorCode.NOT_AVAILABLE, CloseCode.TRY_AGAIN_LATER)


class Identity:
    """One authenticated client."""

    __slots__ = (
        "_cast",
        "_inbox",
        "claims",
        "session",
    )

    def __init__(self, inbox: Inbox[Any], cast: Cast, claims: Claims, session: Session) -> None:
        self._inbox = inbox
        self._cast = cast
        self.session = session
        """As the registry knows it."""
        self.claims = claims
        """What the token in force says."""

    def auth_ok(self, id: int) -> AuthOk:
        """The answer to the AUTH that made it."""
        limits = self._cast.services.limits
        return AuthOk(
            id=id,
            connection=self._inbox.ref.id,
            session=self.session.id,
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

    async def renew(self, token: str) -> Rejected | None:
        """Put a new token of the same user in force.

        It may wait for newer keys; `Bearers` ends the connection if the old token ends meanwhile.
        """
        claims = await check_token(self._cast.services, token)
        if isinstance(claims, Rejected):
            return claims
        if claims.subject != self.claims.subject:
            return SOMEBODY_ELSE
        self.claims = self.session.claims = claims
        self._cast.services.bearers.renew(self._inbox.ref, claims)
        return None

    async def announce_again(self) -> None:
        """The registry has crashed and knows nobody any more."""
        request = OpenSession(
            claims=self.claims,
            connection=self._inbox.ref,
            end=self.session.end,
            known=self.session.id,
        )
        session = await _open_session(self._inbox, self._cast, request)
        if isinstance(session, Session):
            session.goodbye = self.session.goodbye
            self.session = session


async def identify(
    inbox: Inbox[Any],
    cast: Cast,
    token: str | None,
    *,
    session: str | None,
    end: Callable[[CloseCode], object],
    silence: Callable[[], object],
    throw_out: Callable[[CloseCode], object],
    warn: Callable[[], object],
) -> Identity | Rejected:
    """Check a token and make its bearer known to the registry.

    From the check on the connection is ended in time when the token expires or is revoked, whatever
    is waited for here; until `Bearers.forget`, which whoever owns the connection calls at its end.

    Args:
        inbox: The connection's.
        cast: Where the registry is.
        token: What AUTH brought, or the handshake; None: neither did.
        session: The session that the client says it had.
        end: Closes the connection; see `Session.end`.
        silence: Lets nothing more out to the client; see `Bearer.silence`.
        throw_out: Closes it when the token is good no more; see `Bearer.end`.
        warn: Says that the token ends soon; see `Bearer.warn`.
    """
    claims = INVALID if token is None else await check_token(cast.services, token)
    if isinstance(claims, Rejected):
        return claims
    cast.services.bearers.admit(inbox.ref, claims, silence=silence, end=throw_out, warn=warn)
    request = OpenSession(claims=claims, connection=inbox.ref, end=end, claimed=session)
    opened = await _open_session(inbox, cast, request)
    return opened if isinstance(opened, Rejected) else Identity(inbox, cast, claims, opened)


async def check_token(services: Services, token: str) -> Claims | Rejected:
    """Check a token, by newer keys where those at hand do not know the one it names."""
    claims = _judge(services, token)
    if isinstance(claims, UnknownKey) and services.refresh_keys is not None:
        await services.refresh_keys()
        claims = _judge(services, token)
    match claims:
        case Claims():
            return REVOKED if services.revocations.revoked(claims) else claims
        case TokenExpired():
            return EXPIRED
        case KeysUnavailable():
            return NOBODY_THERE
        case _:
            return INVALID


def _judge(services: Services, token: str) -> Claims | TokenError:
    try:
        return services.verify(token, services.now())
    except TokenError as error:
        forget_frames(error)  # one of them is our caller's, which will hold it
        return error


async def _open_session(inbox: Inbox[Any], cast: Cast, request: OpenSession) -> Session | Rejected:
    """The one message that the registry gets from a connection."""
    for _ in range(MOST_ATTEMPTS):
        inbox.watch(cast.registry)
        try:
            return await cast.registry.ask(request)
        except (ActorCrashed, NoReply):
            continue
        except TooManyConnections:
            return TOO_MANY
        except ActorStopped:
            break
    return NOBODY_THERE
