"""Whose tokens a node believes, and whether it hands out any.

The decision is pure: settings in, `Trust` out. A node is a *development node* when it signs with a
secret of its own making; it may be one only where nobody else can reach it.

| secret | issuer's keys | the node | guests | accounts |
|---|---|---|---|---|
| none | none | signs with a secret of its own making: a development node | unless set: yes | yes |
| none | some | believes the issuer, and signs nothing | never: setting it is refused | never |
| set | none | signs and believes what is signed with the secret | unless set: no | yes |
| set | some | signs, and believes both | unless set: no | no |
"""

import attrs

from greenroom.node.door.loopback import is_loopback
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import Secret
from greenroom.node.settings.record import Settings

SECRET_HINT = "set GREENROOM_JWT_SECRET (try: openssl rand -base64 32) or jwt_secret_file"  # noqa: S105  # a hint, no secret


@attrs.frozen(kw_only=True)
class Trust:
    """What follows from the settings for tokens."""

    secret: Secret | None
    """The configured secret; None: a development node's own one, or none at all."""
    issuer: bool = False
    """Whether somebody else's keys are believed too."""
    guests: bool
    """Whether anybody may have a guest token."""
    accounts: bool
    """Whether users sign in with a name and a password."""

    @property
    def development(self) -> bool:
        """Whether the node signs with a secret of its own making."""
        return self.secret is None and not self.issuer

    @property
    def signs(self) -> bool:
        """Whether the node issues tokens at all."""
        return self.secret is not None or self.development


def decide_trust(settings: Settings) -> Trust:
    """Decide from the settings alone.

    Raises:
        SettingsError: A node that others can reach, or a production node, believes nobody; or
            guests or accounts are asked for where nothing signs their tokens; or registration is
            where there are no accounts.
    """
    secret, issuer = settings.jwt_secret, settings.has_issuer
    if secret is None and not issuer:
        if settings.production:
            raise SettingsError(f"a production node needs a secret: {SECRET_HINT}")
        if not is_loopback(settings.host):
            raise SettingsError(
                f"host {settings.host} can be reached by others, so the node needs a secret: "
                f"{SECRET_HINT}, or serve on 127.0.0.1"
            )
    trust = Trust(
        secret=secret,
        issuer=issuer,
        guests=bool(settings.guests),
        accounts=bool(settings.accounts),
    )
    for name, asked in (("guests", trust.guests), ("accounts", trust.accounts)):
        if asked and not trust.signs:
            raise SettingsError(
                f"{name} is set, but tokens come from your issuer and the node signs none: "
                f"set jwt_secret too, or take {name} away"
            )
    if settings.accounts is None and not issuer:
        trust = attrs.evolve(trust, accounts=True)
    if settings.registration and not trust.accounts:
        raise SettingsError(
            "registration is set, but the node has no accounts: see the setting accounts"
        )
    if trust.development and settings.guests is None:
        return attrs.evolve(trust, guests=True)
    return trust
