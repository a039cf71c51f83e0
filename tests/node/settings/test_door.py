"""The settings of the door."""

import pytest

from greenroom.node.door.proxies import AddressSource, read_network
from greenroom.node.errors import SettingsError
from greenroom.node.settings.layers import load_settings
from greenroom.node.settings.record import Settings


def test_nobody_is_trusted_by_default():
    proxies = Settings().proxies
    assert (proxies.trusted, proxies.source) == ((), AddressSource.CONNECTION)


def test_proxies_are_named_by_address_or_network():
    settings = load_settings(
        environ={
            "GREENROOM_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32 192.0.2.7",
            "GREENROOM_CLIENT_ADDRESS": "forwarded",
        }
    )
    networks = tuple(read_network(text) for text in ("10.0.0.0/8", "2001:db8::/32", "192.0.2.7"))
    assert settings.trusted_proxies == networks
    assert settings.proxies.source is AddressSource.FORWARDED


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "client_address is not"),
        ({"CLIENT_ADDRESS": "forwarded"}, "trusted_proxies is not set"),
        ({"CLIENT_ADDRESS": "x-real-ip"}, "must be one of connection, proxy-protocol"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "no bits behind the prefix"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "not of everybody"),
        ({"TRUSTED_PROXIES": "proxy.example"}, "addresses or networks"),
        ({"TOKEN_COOKIE": "a b"}, "name of a cookie"),
        ({"TOKEN_COOKIE": "a=b"}, "name of a cookie"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, says):
    environ = {f"GREENROOM_{name}": text for name, text in changes.items()}
    with pytest.raises(SettingsError, match=says):
        load_settings(environ=environ)
