"""Settings of a node that counts nothing: for tests that say more than a client usually may."""

import attrs

from greenroom.node.settings.rates import OFF, Rate, RateSettings

_NAMES = [field.name for field in attrs.fields(RateSettings) if isinstance(field.default, Rate)]

UNLIMITED = {name: Rate(None) for name in _NAMES}
"""For a node in this process (support.whole_node)."""
UNLIMITED_WORDS = dict.fromkeys(_NAMES, OFF)
"""For a node in a process of its own (support.node_process)."""
