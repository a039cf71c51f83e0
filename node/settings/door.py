"""The settings of the door: who may come in how often, behind which proxies, and with which cookie.

Reads words and networks, and nothing else: what they mean is decided in `node/door/`.
"""

from collections.abc import Sequence
from typing import cast

import attrs

from greenroom.node.door.carriers import COOKIE_NAME
from greenroom.node.door.proxies import AddressSource, Network, Proxies, read_network
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import Choice, Integer, MisfitError, Seconds, about


@attrs.frozen
class Networks:
    """A list of addresses and networks; in the environment separated by commas or spaces."""

    def from_text(self, text: str) -> object:
        """Read a list of them."""
        return self.check(text.replace(",", " ").split())

    def check(self, value: object) -> object:
        """Accept a list of texts, each an address or a network."""
        misfit = MisfitError(
            "a list of addresses or networks such as 10.0.0.0/8, with no bits behind the prefix "
            "and not of everybody"
        )
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise misfit
        try:
            # TOML: items of any type.
            return tuple(read_network(str(item)) for item in cast("Sequence[object]", value))
        except ValueError:
            raise misfit from None


@attrs.frozen
class CookieName:
    """The name of a cookie."""

    def from_text(self, text: str) -> object:
        """Take the text as it is."""
        return self.check(text.strip())

    def check(self, value: object) -> object:
        """Accept what RFC 6265 lets be a name."""
        if not isinstance(value, str) or not COOKIE_NAME.fullmatch(value):
            raise MisfitError("the name of a cookie such as __Host-greenroom")
        return value


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class DoorSettings:
    """What an operator can choose about who comes in."""

    max_connections_per_address: int = attrs.field(
        default=1_000,
        metadata=about(
            Integer(1, 1_000_000),
            "Connections of one address (IPv6: of one /64); one more is answered 429.",
        ),
    )
    max_rooms: int = attrs.field(
        default=20_000,
        metadata=about(Integer(1, 10_000_000), "Rooms that live at a time; one more is ERROR 108."),
    )
    max_rooms_per_address: int = attrs.field(
        default=5_000,
        metadata=about(
            Integer(1, 10_000_000), "Those of them that were opened from one address (IPv6: a /64)."
        ),
    )
    handshake_seconds: float = attrs.field(
        default=5.0,
        metadata=about(
            Seconds(60, low=1), "Time for TLS and a request's head; then the connection is closed."
        ),
    )
    auth_seconds: float = attrs.field(
        default=10.0,
        metadata=about(Seconds(120, low=1), "Time from the handshake to AUTH; then 4502."),
    )
    close_seconds: float = attrs.field(
        default=2.0,
        metadata=about(
            Seconds(60), "Time for the last bytes and the client's goodbye; then it is cut off."
        ),
    )
    trusted_proxies: tuple[Network, ...] = attrs.field(
        default=(),
        metadata=about(Networks(), "Addresses and networks of proxies whose word counts."),
    )
    client_address: str = attrs.field(
        default=AddressSource.CONNECTION.value,
        metadata=about(
            Choice(tuple(source.value for source in AddressSource)),
            "Where trusted proxies say who the client is.",
        ),
    )
    token_cookie: str | None = attrs.field(
        default=None,
        metadata=about(
            CookieName(), "Cookie whose token AUTH may mean, of allowed origins. Unset: none."
        ),
    )

    @property
    def proxies(self) -> Proxies:
        """Whose word counts about where a connection comes from."""
        return Proxies(trusted=self.trusted_proxies, source=AddressSource(self.client_address))

    def check_door(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            SettingsError: They do.
        """
        direct = AddressSource(self.client_address) is AddressSource.CONNECTION
        if self.trusted_proxies and direct:
            raise SettingsError(
                "trusted_proxies is set but client_address is not: "
                "say whether they use proxy-protocol, forwarded or x-forwarded-for"
            )
        if not self.trusted_proxies and not direct:
            raise SettingsError(
                f"client_address is {self.client_address} but trusted_proxies is not set: "
                "name the proxies, because anybody can send that"
            )
