"""Issues this node's tokens with the secret it has, and verifies all tokens by its keyring."""

import secrets
import time
from collections.abc import Callable, Mapping

import attrs
import structlog

from greenroom.node.datadir import (
    DataDirectory,
    make_development_secret,
    read_development_secret,
)
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.keyring import Keyring, open_keyring
from greenroom.node.identity.trust import Trust
from greenroom.node.settings.kinds import Secret
from greenroom.node.settings.record import Settings
from greenroom.protocol import (
    Claims,
    KeySet,
    KeysUnavailable,
    Rights,
    TokenRules,
    UnknownKey,
    VerificationKey,
    hmac_key,
    issue_token,
    verify_with_keys,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")

TOKEN_ID_BYTES = 12
"""Random, so that nobody guesses what to revoke."""


@attrs.frozen(kw_only=True)
class TokenOffice:
    """The only part of a node that holds the secret."""

    secret: Secret | None
    """What it signs with; None: it signs nothing, as tokens come from elsewhere."""
    lifetime_seconds: float
    rules: TokenRules = attrs.field(factory=TokenRules)
    """What tokens have to say; those issued here say it."""
    keyring: Keyring = attrs.field(
        default=attrs.Factory(lambda office: Keyring(own_keys(office.secret)), takes_self=True)
    )
    now: Callable[[], float] = time.time
    """Seconds since 1970."""

    def issue(
        self,
        user: str,
        rooms: Mapping[str, Rights] | None = None,
        *,
        now: float | None = None,
        token_id: str | None = None,
    ) -> str:
        """Sign a token for `user`.

        Args:
            user: Who its bearer is.
            rooms: What it says about rooms.
            now: When it counts as issued, seconds since 1970; unless given now.
            token_id: Its `jti`; unless given a random one.

        Raises:
            ValueError: Nobody can have that name, or no room, or no token is signed here; the text
                says why.
        """
        if self.secret is None:
            raise ValueError("tokens come from your issuer: this node signs none")
        longest = self.rules.max_lifetime_seconds or self.lifetime_seconds
        return issue_token(
            user,
            secret=self.secret.reveal(),
            now=self.now() if now is None else now,
            lifetime_seconds=min(self.lifetime_seconds, longest),
            token_id=secrets.token_hex(TOKEN_ID_BYTES) if token_id is None else token_id,
            rooms=rooms,
            issuer=next(iter(self.rules.issuer), None),
            audience=next(iter(self.rules.audience), None),
        )

    def hand_out(
        self, user: str, *, now: float | None = None, token_id: str | None = None
    ) -> IssuedToken:
        """As `issue`, and say how long it is good."""
        token = self.issue(user, now=now, token_id=token_id)
        claims = self.verify(token, self.now() if now is None else now)
        return IssuedToken(token=token, user=claims.subject, expires=int(claims.expires_at * 1000))

    def verify(self, token: str, now: float) -> Claims:
        """Check a token.

        Raises:
            KeysUnavailable: No key of ours fits, but the issuer may have newer ones.
            TokenInvalid: It is not ours, or never was one.
            TokenExpired: It was good once.
        """
        try:
            return verify_with_keys(token, keys=self.keyring.keys, now=now, rules=self.rules)
        except UnknownKey:
            if self.keyring.unsure:
                raise KeysUnavailable("no key of ours fits, but newer ones may") from None
            raise

    def verify_own(self, token: str, now: float) -> Claims:
        """Check a token that this node has signed; whoever else is believed is not asked.

        Raises:
            TokenInvalid: It is not ours, or never was one.
            TokenExpired: It was good once.
        """
        keys = KeySet(own_keys(self.secret))
        return verify_with_keys(token, keys=keys, now=now, rules=self.rules)


def own_keys(secret: Secret | None) -> tuple[VerificationKey, ...]:
    """The keys that a node's own secret makes: one, or none."""
    return () if secret is None else (hmac_key(secret.reveal()),)


def open_token_office(settings: Settings, trust: Trust, directory: DataDirectory) -> TokenOffice:
    """Return what signs and checks tokens, making the directory's own secret if it is needed.

    Raises:
        DataDirectoryError: The secret there can't be used or made.
        SettingsError: A file of keys can't be used.
    """
    secret = trust.secret
    if trust.development:
        secret = read_development_secret(directory)
        if secret is None:
            secret = make_development_secret(directory)
            log.info("made a development secret", path=str(directory.secret))
    return TokenOffice(
        secret=secret,
        lifetime_seconds=settings.token_seconds,
        rules=settings.token_rules,
        keyring=open_keyring(settings, own_keys(secret)),
    )
