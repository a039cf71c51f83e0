"""Whose tokens a node believes, and whether it hands out any.

The decision is pure: settings in, `Trust` out. A node is a *development node* when it signs with a
secret of its own making; it may be one only where nobody else can reach it.
"""

import ipaddress

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.kinds import Secret
from greenroom.node.settings import Settings

SECRET_HINT = "set GREENROOM_JWT_SECRET (try: openssl rand -base64 32) or jwt_secret_file"  # noqa: S105  # a hint, no secret


@attrs.frozen(kw_only=True)
class Trust:
    """What follows from the settings for tokens."""

    secret: Secret | None
    """The configured secret; None means the data directory's own one is to be used."""
    guests: bool
    """Whether anybody may have a guest token."""

    @property
    def development(self) -> bool:
        """Whether the node signs with a secret of its own making."""
        return self.secret is None


def decide_trust(settings: Settings) -> Trust:
    """Decide from the settings alone.

    Raises:
        SettingsError: A node that others can reach, or a production node, has no secret.
    """
    if settings.jwt_secret is None and settings.production:
        raise SettingsError(f"a production node needs a secret: {SECRET_HINT}")
    if settings.jwt_secret is None and not is_loopback(settings.host):
        raise SettingsError(
            f"host {settings.host} can be reached by others, so the node needs a secret: "
            f"{SECRET_HINT}, or serve on 127.0.0.1"
        )
    development = settings.jwt_secret is None
    return Trust(
        secret=settings.jwt_secret,
        guests=development if settings.guests is None else settings.guests,
    )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only; a name but localhost can't."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
