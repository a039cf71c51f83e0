"""How often an address may come, so that none takes the node's time by coming again and again."""

from greenroom.actors.budgets import Budget
from greenroom.node.door.proxies import counted_as
from greenroom.node.tries import Tries


class Turnstile:
    """Counts how often each address comes, IPv6 by /64. Bounded, as `Tries` are."""

    def __init__(self, budget: Budget | None) -> None:
        """Args: budget: Of each address; None: nothing is counted."""
        self._tries = None if budget is None else Tries(budget.burst, budget.burst / budget.rate)

    def wait(self, address: str, now: float) -> float:
        """Count one more; or return how many seconds it is too early, and count nothing.

        Args:
            address: Who comes.
            now: Seconds on a clock that does not go back.
        """
        if self._tries is None:
            return 0.0
        name = counted_as(address)
        seconds = self._tries.wait(name, now)
        if not seconds:
            self._tries.take(name, now)
        return seconds
