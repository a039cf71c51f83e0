"""Settings of tokens that somebody else issues, from every layer."""

from pathlib import Path

import pytest

from greenroom.node.errors import SettingsError
from greenroom.node.settings.describe import describe_settings
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.layers import load_settings
from greenroom.protocol import TokenRules

PEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
PEM += "-----END PUBLIC KEY-----\n"


def load(**environ):
    return load_settings(environ={f"GREENROOM_{name.upper()}": v for name, v in environ.items()})


def test_without_any_setting_nobody_else_is_believed():
    settings = load()
    assert not settings.has_issuer
    assert settings.token_rules == TokenRules()


def test_key_files_say_algorithm_and_name():
    settings = load(jwt_keys="/etc/a.pem,alg=PS256,kid=2026a  jwks.json")
    assert settings.jwt_keys == (
        KeyFile(Path("/etc/a.pem"), "PS256", "2026a"),
        KeyFile(Path("jwks.json")),
    )
    assert settings.has_issuer
    shown = {name: text for name, text, _ in describe_settings(settings)}
    assert shown["jwt_keys"] == "/etc/a.pem,alg=PS256,kid=2026a jwks.json"


def test_key_files_in_a_toml_file_count_from_its_directory(tmp_path):
    config = tmp_path / "g.toml"
    config.write_text('jwt_keys = ["keys/a.pem,kid=a", "/etc/b.pem"]\njwt_audience = "chat"\n')
    settings = load_settings(config=config)
    assert [file.path for file in settings.jwt_keys] == [
        tmp_path / "keys" / "a.pem",
        Path("/etc/b.pem"),
    ]
    assert settings.jwt_audience == ("chat",)


@pytest.mark.parametrize(
    "value",
    ["a.pem,alg=HS256", "a.pem,alg=none", "a.pem,kid=", "a.pem,key=1", ",alg=RS256", "a " * 21],
)
def test_a_file_that_cannot_be_meant_is_refused(value):
    with pytest.raises(SettingsError, match="JWT_KEYS must be a list of at most 20 files"):
        load(jwt_keys=value)


@pytest.mark.parametrize(
    "url", ["https://login.example.com/jwks", "http://127.0.0.1:8080/jwks", "http://[::1]/jwks"]
)
def test_keys_may_be_fetched_by_https_or_from_this_machine(url):
    assert load(jwt_jwks_url=url).jwt_jwks_url.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/jwks",
        "http://127.0.0.1.example.com/jwks",
        "https://ann:pass@login.example.com/",
        "file:///etc/jwks.json",
        "https://",
    ],
)
def test_keys_are_not_fetched_where_others_could_change_them(url):
    with pytest.raises(SettingsError, match="JWT_JWKS_URL must be a URL"):
        load(jwt_jwks_url=url)


def test_a_token_in_the_address_of_the_keys_is_not_shown():
    settings = load(jwt_jwks_url="https://login.example.com/jwks?token=s3cret")
    shown = {name: text for name, text, _ in describe_settings(settings)}
    assert shown["jwt_jwks_url"] == "https://login.example.com/jwks?***"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("jwt_leeway_seconds", "301"),
        ("jwt_leeway_seconds", "-1"),
        ("jwt_jwks_seconds", "9"),
        ("jwt_jwks_stale_seconds", "5"),
        ("jwt_longest_seconds", "0"),
    ],
)
def test_times_have_bounds(setting, value):
    with pytest.raises(SettingsError, match=setting.upper()):
        load(**{setting: value})


def test_keys_are_not_forgotten_between_two_fetches():
    with pytest.raises(SettingsError, match="forgotten between two fetches"):
        load(jwt_jwks_seconds="600", jwt_jwks_stale_seconds="599")


def test_a_public_key_is_no_secret():
    with pytest.raises(SettingsError, match="jwt_secret: a public key"):
        load(jwt_secret=PEM)


def test_a_public_key_in_the_secrets_file_is_no_secret_either(tmp_path):
    file = tmp_path / "secret"
    file.write_text(PEM)
    with pytest.raises(SettingsError, match="jwt_secret: a public key"):
        load(jwt_secret_file=str(file))


def test_keys_without_an_audience_are_warned_of():
    lines = []
    environ = {"GREENROOM_JWT_KEYS": "a.pem"}
    load_settings(environ=environ, warn=lines.append)
    assert [line for line in lines if "jwt_audience is not set" in line]
    lines.clear()
    load_settings(environ={**environ, "GREENROOM_JWT_AUDIENCE": "chat"}, warn=lines.append)
    assert lines == []
