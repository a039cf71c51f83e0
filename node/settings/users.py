"""The settings that bound what one user has, and how long who was thrown out is remembered."""

import attrs

from greenroom.node.settings.kinds import Integer, Seconds, about

DAY_SECONDS = 86_400.0


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class UserSettings:
    """What an operator can choose about single users."""

    max_connections_per_user: int = attrs.field(
        default=100,
        metadata=about(
            Integer(1, 1_000_000), "Connections of one user at a time; one more is closed (4504)."
        ),
    )
    revocation_seconds: float = attrs.field(
        default=400 * DAY_SECONDS,
        metadata=about(
            Seconds(100 * 365 * DAY_SECONDS, low=1),
            "How long a revoked user's tokens are remembered: the longest life of a token.",
        ),
    )
