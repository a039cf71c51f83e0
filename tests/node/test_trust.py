"""Whose tokens a node believes, as a table."""

import pytest

from greenroom.node.errors import SettingsError
from greenroom.node.kinds import Secret
from greenroom.node.settings import Settings
from greenroom.node.trust import decide_trust, is_loopback

SECRET = Secret("0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_laptop_needs_no_secret(host):
    trust = decide_trust(Settings(host=host))
    assert trust.development
    assert trust.guests


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "chat.example"])
def test_a_node_that_others_reach_needs_a_secret(host):
    with pytest.raises(SettingsError, match="GREENROOM_JWT_SECRET"):
        decide_trust(Settings(host=host))
    assert not decide_trust(Settings(host=host, jwt_secret=SECRET)).development


def test_a_production_node_needs_a_secret_even_on_loopback():
    with pytest.raises(SettingsError, match="production"):
        decide_trust(Settings(production=True))


def test_with_a_secret_of_the_operators_guests_are_off_unless_asked_for():
    assert not decide_trust(Settings(jwt_secret=SECRET)).guests
    assert decide_trust(Settings(jwt_secret=SECRET, guests=True)).guests


def test_guests_can_be_turned_off_on_a_development_node():
    assert not decide_trust(Settings(guests=False)).guests


def test_a_name_is_not_taken_for_loopback():
    assert not is_loopback("localhost.example")
