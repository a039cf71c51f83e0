"""The echo route's setting: what a test suite for WebSocket servers needs.

Knows nothing of what happens there: that is `door/echo.py`.
"""

import attrs

from greenroom.node.settings.kinds import Flag, about


@attrs.frozen(kw_only=True, slots=False)
class EchoSettings:
    """Whether there is an echo route."""

    echo_route: bool = attrs.field(
        default=False,
        metadata=about(
            Flag(),
            "Send back whatever comes in at /echo, without AUTH: for the Autobahn test suite only.",
        ),
    )
