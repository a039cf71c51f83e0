"""Slows down who guesses passwords, without locking anybody out. Pure: `now` is a parameter.

Three budgets of tries, each in a bounded table:

- of one address at one name: who guesses waits, and nobody else;
- of one address at all names: who tries one password with every name waits;
- of one name from everywhere: many addresses together get no more tries either. An address from
  which the name's owner came lately is exempt, so that they can't keep its owner out.

A try that succeeds costs nothing. Names count by what was asked for, whether or not there is such
an account, so that the answer "wait" tells nothing about it.
"""

from collections import Counter

import attrs

from greenroom.node.door.proxies import counted_as
from greenroom.node.tries import Tries


class Throttled(Exception):
    """Too many tries."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"too many tries; the next one in {self.retry_after_seconds:g} s"


@attrs.define(eq=False)
class LoginThrottle:
    """All that limits tries to sign in.

    Args:
        per_client: Tries of one address at one name.
        per_address: Tries of one address.
        per_name: Tries at one name, of all addresses that its owner did not come from.
        most_under_way: Tries of one address at a time, however they may end.
    """

    per_client: Tries
    per_address: Tries
    per_name: Tries
    most_under_way: int
    _owners: dict[tuple[str, str], None] = attrs.field(factory=dict[tuple[str, str], None])
    # {(name, address): None}, oldest sign-in first; bounded as the other tables
    _under_way: Counter[str] = attrs.field(factory=Counter[str])

    def begin(self, name: str, address: str, now: float) -> "Try":
        """Count a try at `name`, before anybody looks whether it is right.

        Raises:
            Throttled: It is not allowed yet, and not counted.
        """
        network = counted_as(address)
        client = (name, network)
        if self._under_way[network] >= self.most_under_way:
            raise Throttled(1.0)
        wait = max(self.per_client.wait(client, now), self.per_address.wait(network, now))
        if client not in self._owners:
            wait = max(wait, self.per_name.wait(name, now))
        if wait:
            raise Throttled(wait)
        self.per_client.take(client, now)
        self.per_address.take(network, now)
        self.per_name.take(name, now)
        self._under_way[network] += 1
        return Try(self, name, network)

    def succeeded(self, name: str, network: str, now: float) -> None:
        """Uncount a try that was right, and all that this client did wrong before it."""
        self.withdraw(name, network, now)
        self.per_client.clear((name, network))
        self._owners.pop((name, network), None)
        self._owners[name, network] = None
        if len(self._owners) > self.per_name.most_keys:
            self._owners.pop(next(iter(self._owners)))

    def withdraw(self, name: str, network: str, now: float) -> None:
        """Uncount a try that was neither right nor wrong."""
        self.per_client.give_back((name, network), now)
        self.per_address.give_back(network, now)
        self.per_name.give_back(name, now)

    def ended(self, network: str) -> None:
        """Let the address have another one under way."""
        self._under_way[network] -= 1
        if self._under_way[network] <= 0:
            del self._under_way[network]


@attrs.frozen
class Try:
    """One try that is under way. Wrong unless somebody says otherwise; `end` it in any case."""

    _throttle: LoginThrottle
    _name: str
    _network: str

    def succeeded(self, now: float) -> None:
        """Say that it was right."""
        self._throttle.succeeded(self._name, self._network, now)

    def withdraw(self, now: float) -> None:
        """Say that nobody looked."""
        self._throttle.withdraw(self._name, self._network, now)

    def end(self) -> None:
        """Say that it is over."""
        self._throttle.ended(self._network)
