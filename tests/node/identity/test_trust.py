"""Whose tokens a node believes, as a table."""

from pathlib import Path

import pytest

from greenroom.node.door.loopback import is_loopback
from greenroom.node.errors import SettingsError
from greenroom.node.identity.trust import decide_trust
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.kinds import Secret
from greenroom.node.settings.record import Settings

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


ISSUER = (KeyFile(Path("issuer.pem")),)


@pytest.mark.parametrize(
    ("secret", "issuer", "guests", "expected"),
    [
        # (development, signs, guests); None: refused
        (None, (), None, (True, True, True)),
        (None, (), False, (True, True, False)),
        (None, ISSUER, None, (False, False, False)),
        (None, ISSUER, False, (False, False, False)),
        (None, ISSUER, True, None),
        (SECRET, (), None, (False, True, False)),
        (SECRET, (), True, (False, True, True)),
        (SECRET, ISSUER, None, (False, True, False)),
        (SECRET, ISSUER, True, (False, True, True)),
    ],
)
def test_who_signs_and_who_may_be_a_guest(secret, issuer, guests, expected):
    settings = Settings(jwt_secret=secret, jwt_keys=issuer, guests=guests)
    if expected is None:
        with pytest.raises(SettingsError, match="tokens come from your issuer"):
            decide_trust(settings)
    else:
        trust = decide_trust(settings)
        assert (trust.development, trust.signs, trust.guests) == expected


@pytest.mark.parametrize(
    ("secret", "issuer", "accounts", "expected"),
    [
        (None, (), None, True),
        (None, (), False, False),
        (None, ISSUER, None, False),
        (None, ISSUER, True, None),  # refused
        (SECRET, (), None, True),
        (SECRET, ISSUER, None, False),
        (SECRET, ISSUER, True, True),
    ],
)
def test_who_has_accounts(secret, issuer, accounts, expected):
    """A node that signs for itself has; beside an issuer of users, only when asked for."""
    settings = Settings(jwt_secret=secret, jwt_keys=issuer, accounts=accounts)
    if expected is None:
        with pytest.raises(SettingsError, match="accounts is set, but tokens come from"):
            decide_trust(settings)
    else:
        assert decide_trust(settings).accounts is expected


@pytest.mark.parametrize(
    "settings",
    [{"accounts": False}, {"jwt_keys": ISSUER}, {"jwt_secret": SECRET, "jwt_keys": ISSUER}],
)
def test_registration_without_accounts_is_refused(settings):
    """Or an operator would wait for users who can't come."""
    with pytest.raises(SettingsError, match="registration is set, but the node has no accounts"):
        decide_trust(Settings(registration=True, **settings))


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"production": True}])
def test_a_node_that_believes_an_issuer_needs_no_secret(settings):
    assert not decide_trust(Settings(jwt_keys=ISSUER, **settings)).signs


def test_a_name_is_not_taken_for_loopback():
    assert not is_loopback("localhost.example")
