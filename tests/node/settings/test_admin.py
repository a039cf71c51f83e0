"""The settings of the operators' gate, and its keys."""

import pytest

from greenroom.node.admin.keys import AdminKeyList, AdminKeys, Scope
from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import MisfitError
from greenroom.node.settings.layers import load_settings

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def load(**environ):
    return load_settings(environ={f"GREENROOM_{name}": text for name, text in environ.items()})


def keys(text) -> AdminKeys:
    read = AdminKeyList().from_text(text)
    assert isinstance(read, AdminKeys)
    return read


def test_without_a_port_there_is_no_gate_and_nothing_to_check():
    assert load().admin_port is None
    load(ADMIN_HOST="0.0.0.0")


def test_a_gate_needs_keys():
    with pytest.raises(SettingsError, match="nobody could come in"):
        load(ADMIN_PORT="9000")


def test_a_gate_has_a_port_of_its_own():
    with pytest.raises(SettingsError, match="a port of its own"):
        load(ADMIN_PORT="8000", ADMIN_KEYS=f"ops={KEY}", ADMIN_HOST="127.0.0.2")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "gate.example"])
def test_a_gate_that_others_can_reach_needs_tls_or_a_word_about_a_proxy(host):
    gate = {"ADMIN_PORT": "9000", "ADMIN_KEYS": f"ops={KEY}", "ADMIN_HOST": host}
    certificate = {"TLS_CERT": "c.pem", "TLS_KEY": "k.pem"}
    with pytest.raises(SettingsError, match="could read the keys on their way"):
        load(**gate)
    with pytest.raises(SettingsError, match="could read the keys on their way"):
        load(**gate, **certificate, ADMIN_TLS="no")
    with pytest.raises(SettingsError, match="admin_tls is set but tls_cert is not"):
        load(**gate, ADMIN_TLS="yes", ADMIN_BEHIND_PROXY="yes")
    assert load(**gate, **certificate).gate_has_tls(tls=True)
    assert not load(**gate, ADMIN_BEHIND_PROXY="yes").gate_has_tls(tls=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_gate_of_this_machine_has_tls_only_if_asked(host):
    gate = {"ADMIN_PORT": "9000", "ADMIN_KEYS": f"ops={KEY}", "ADMIN_HOST": host}
    certificate = {"TLS_CERT": "c.pem", "TLS_KEY": "k.pem"}
    assert not load(**gate, **certificate).gate_has_tls(tls=True)
    assert load(**gate, **certificate, ADMIN_TLS="yes").gate_has_tls(tls=True)


def test_keys_may_come_from_a_file_one_a_line(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"ops={KEY}\ngrafana:read={OTHER}\n")
    file.chmod(0o600)
    settings = load(ADMIN_PORT="9000", ADMIN_KEYS_FILE=str(file))
    assert [key.name for key in settings.admin_keys.reveal()] == ["ops", "grafana"]


def test_keys_may_be_a_list_in_toml(tmp_path):
    config = tmp_path / "g.toml"
    config.write_text(f'admin_keys = ["ops={KEY}", "grafana:read={OTHER}"]\n')
    config.chmod(0o600)
    assert len(load_settings(config=config).admin_keys.reveal()) == 2


def test_a_key_is_found_by_itself_and_says_what_it_is_good_for():
    both = keys(f"ops={KEY} grafana:read={OTHER}")
    ops, grafana = both.find(KEY), both.find(OTHER)
    assert (ops.name, ops.scopes) == ("ops", frozenset(Scope))
    assert (grafana.name, grafana.scopes) == ("grafana", frozenset({Scope.READ}))


@pytest.mark.parametrize(
    "wrong", ["", KEY[:-1], KEY + "0", KEY.upper(), "ops=" + KEY, "é", "\ud800"]
)
def test_nothing_else_is_a_key(wrong):
    assert keys(f"ops={KEY}").find(wrong) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY,
        f"={KEY}",
        f"ops={KEY[:-1]}",
        f"ops:write={KEY}",
        f"ops:={KEY}",
        f"ops!={KEY}",
        f"ops={KEY} ops={OTHER}",
        f"ops={KEY} dev={KEY}",
        "ops=" + "a" * 64,
        "ops=" + "changeme" * 8,
        "ops=" + "é" * 40,
        "ops=" + "0123456789abcdef" * 33,
        " ".join(f"k{number}={number:032}" for number in range(33)),
    ],
)
def test_keys_that_can_not_be_are_refused_without_being_shown(text):
    with pytest.raises(MisfitError) as caught:
        AdminKeyList().from_text(text)
    assert KEY not in str(caught.value)


def test_keys_are_shown_by_name_and_kept_as_hashes():
    both = keys(f"ops={KEY} grafana:read={OTHER}")
    assert str(both) == "ops=******** grafana:read=********"
    assert KEY not in repr(both.reveal())
    assert KEY.encode() not in b"".join(key.digest for key in both.reveal())
