"""The settings of rate limits: how much of each thing a second, and how much at once.

What is counted, and who shares a budget, is decided in `actors/rates.py`; its defaults are ours.
"""

import re
from typing import Final

import attrs

from greenroom.actors.budgets import Budget
from greenroom.actors.rates import RateLimits
from greenroom.node.settings.kinds import MisfitError, about

OFF: Final = "none"
USUAL_BURST_SECONDS: Final = 5
"""Of the rate, where no burst is named."""
HIGHEST: Final = 1e12
LOWEST: Final = 1e-3

_NUMBER = r"(\d+(?:\.\d+)?)([kM]?)"
_RATE = re.compile(rf"{_NUMBER}/s(?:\s+burst\s+{_NUMBER})?")
_UNITS: Final = {"": 1.0, "k": 1e3, "M": 1e6}
_EXAMPLE: Final = f"such as 50/s burst 250 (k and M are thousands and millions), or {OFF}"


@attrs.frozen
class Rate:
    """A budget, or none; and how it is written."""

    budget: Budget | None

    def __str__(self) -> str:
        if self.budget is None:
            return OFF
        return f"{_write(self.budget.rate)}/s burst {_write(self.budget.burst)}"


@attrs.frozen
class RateKind:
    """A rate and a burst."""

    def from_text(self, text: str) -> object:
        """Read both, or only the rate, or that nothing is counted."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a text, or 0."""
        if isinstance(value, Rate):
            return value
        if value == 0 and not isinstance(value, bool | float):
            return Rate(None)
        text = value.strip() if isinstance(value, str) else ""
        if text in {OFF, "0"}:
            return Rate(None)
        match = _RATE.fullmatch(text)
        if match is None:
            raise MisfitError(_EXAMPLE)
        rate = float(match[1]) * _UNITS[match[2]]
        burst = rate * USUAL_BURST_SECONDS
        if match[3] is not None:
            burst = float(match[3]) * _UNITS[match[4]]
        if not (LOWEST <= rate <= HIGHEST and 1 <= burst <= HIGHEST):
            raise MisfitError(f"{_EXAMPLE}, with a burst of at least 1")
        return Rate(Budget(rate, burst))


@attrs.frozen
class Factor:
    """How many times as much; 0 where it does not matter."""

    def from_text(self, text: str) -> object:
        """Read a number."""
        if text.strip() == OFF:
            return 0.0
        try:
            return self.check(float(text))
        except ValueError as error:
            raise MisfitError(self._phrase()) from error

    def check(self, value: object) -> object:
        """Accept 0, or a number from 1 on."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MisfitError(self._phrase())
        if value != 0 and not 1 <= value <= HIGHEST:
            raise MisfitError(self._phrase())
        return float(value)

    def _phrase(self) -> str:
        return "a number from 1 on, or 0 for no limit"


_USUAL: Final = RateLimits()


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class RateSettings:
    """What an operator can choose about how often clients may come and how much they may say."""

    connect_rate: Rate = attrs.field(
        default=Rate(Budget(rate=100, burst=1_000)),
        metadata=about(RateKind(), "Connections that one address opens; one more is answered 429."),
    )
    request_rate: Rate = attrs.field(
        default=Rate(Budget(rate=200, burst=2_000)),
        metadata=about(
            RateKind(), "HTTP requests of one address, those for a WebSocket too; then 429."
        ),
    )
    publish_rate: Rate = attrs.field(
        default=Rate(_USUAL.publish), metadata=about(RateKind(), "PUBLISHes of one connection.")
    )
    publish_bytes_rate: Rate = attrs.field(
        default=Rate(_USUAL.publish_bytes),
        metadata=about(RateKind(), "Bytes of content that one connection publishes."),
    )
    join_rate: Rate = attrs.field(
        default=Rate(_USUAL.join),
        metadata=about(RateKind(), "JOINs and REFRESHes of one connection."),
    )
    history_rate: Rate = attrs.field(
        default=Rate(_USUAL.history),
        metadata=about(RateKind(), "HISTORYs and PRESENCEs of one connection."),
    )
    typing_rate: Rate = attrs.field(
        default=Rate(_USUAL.typing), metadata=about(RateKind(), "TYPINGs of one connection.")
    )
    frame_rate: Rate = attrs.field(
        default=Rate(_USUAL.frame),
        metadata=about(
            RateKind(), "WebSocket frames of one connection; beyond that it is closed with 4007."
        ),
    )
    refusal_rate: Rate = attrs.field(
        default=Rate(_USUAL.refusals),
        metadata=about(
            RateKind(),
            "Refused commands that a connection sent although told to wait; then it is closed.",
        ),
    )
    user_rates: float = attrs.field(
        default=_USUAL.user_factor or 0.0,
        metadata=about(
            Factor(), "How many times these all connections of a user have together; 0: no limit."
        ),
    )
    address_rates: float = attrs.field(
        default=_USUAL.address_factor or 0.0,
        metadata=about(
            Factor(), "The same for all connections of an address (IPv6: a /64); 0: no limit."
        ),
    )
    room_egress_rate: Rate = attrs.field(
        default=Rate(_USUAL.room_egress),
        metadata=about(
            RateKind(), "Bytes that a room may send: those of a message, for each member."
        ),
    )

    @property
    def rate_limits(self) -> RateLimits:
        """Those that the cast knows."""
        return RateLimits(
            publish=self.publish_rate.budget,
            publish_bytes=self.publish_bytes_rate.budget,
            join=self.join_rate.budget,
            history=self.history_rate.budget,
            typing=self.typing_rate.budget,
            frame=self.frame_rate.budget,
            refusals=self.refusal_rate.budget,
            user_factor=self.user_rates or None,
            address_factor=self.address_rates or None,
            room_egress=self.room_egress_rate.budget,
        )


def _write(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.12g}{unit}"
    return f"{number:.12g}"
