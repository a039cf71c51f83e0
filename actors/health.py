"""Whether the store does what it is asked for: told once when it stops, once when it goes on."""

import logging

import attrs

from greenroom.actors.ports import StoreUnavailable

log = logging.getLogger("greenroom.actors.health")


@attrs.define(eq=False)
class StoreHealth:
    """What the last attempt showed. Outlives the actor that writes it; anybody may read it."""

    doing: str
    """What is attempted, for the log: "commit"."""
    good: bool = attrs.field(default=True, init=False)

    def failed(self, trouble: StoreUnavailable) -> None:
        """It did not work."""
        if self.good:
            log.warning("the store can't %s: %s", self.doing, trouble)
        self.good = False

    def worked(self) -> None:
        """It did."""
        if not self.good:
            log.info("the store can %s again", self.doing)
        self.good = True
