"""Limits and settings that count nothing: for tests that say more than a client usually may."""

import attrs

from greenroom.actors.rates import RateLimits
from greenroom.node.settings.rates import OFF, Rate, RateSettings

_NAMES = [field.name for field in attrs.fields(RateSettings) if isinstance(field.default, Rate)]

NO_LIMITS = RateLimits(
    publish=None,
    publish_bytes=None,
    join=None,
    history=None,
    typing=None,
    frame=None,
    refusals=None,
    room_egress=None,
)
"""For a cast in memory (support.cast_stage)."""
UNLIMITED = {name: Rate(None) for name in _NAMES}
"""For a node in this process (support.whole_node)."""
UNLIMITED_WORDS = dict.fromkeys(_NAMES, OFF)
"""For a node in a process of its own (support.node_process)."""
