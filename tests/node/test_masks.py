"""No secret is seen: in what settings show, in complaints about bad ones, in copies, in options."""

import copy
import logging
import pickle
import traceback
from pathlib import Path

import attrs
import pytest

from greenroom.node.admin.keys import AdminKeyList
from greenroom.node.cli.operate import check
from greenroom.node.errors import SettingsError
from greenroom.node.masks import Masked, is_masked
from greenroom.node.settings.callbacks import WebhookAddress, WebhookUrl
from greenroom.node.settings.database import DatabaseAddress, DatabaseUrl
from greenroom.node.settings.describe import describe_option, describe_settings
from greenroom.node.settings.keys import JwksAddress, JwksUrl
from greenroom.node.settings.kinds import Secret, SecretText
from greenroom.node.settings.layers import SECRET_FILES, environment_name, load_settings
from greenroom.node.settings.record import KINDS, Settings
from greenroom.node.signatures import SigningKeys, SigningSecrets

HIDDEN = "s3cretS3CRETs3cretS3CRETs3cretS3CRETs3cretS3"  # as base64 too

GOOD = {
    SecretText: HIDDEN,
    DatabaseAddress: f"postgresql://ann:{HIDDEN}@db/chat?password={HIDDEN}",
    WebhookAddress: f"https://example.com/hook?token={HIDDEN}",
    JwksAddress: f"https://example.com/jwks?token={HIDDEN}",
    SigningSecrets: f"whsec_{HIDDEN}",
    AdminKeyList: f"ops={HIDDEN} grafana:read={HIDDEN}x",
}
"""A value of each kind that is masked, with `HIDDEN` in it."""

BAD = {
    SecretText: HIDDEN[:12],
    DatabaseAddress: f"mysql://ann:{HIDDEN}@db/chat",
    WebhookAddress: f"https://ann:{HIDDEN}@example.com/",
    JwksAddress: f"http://example.com/jwks?token={HIDDEN}",
    SigningSecrets: f"whsec_{HIDDEN}!",
    AdminKeyList: f"ops:admin={HIDDEN}",
}

MASKED = [name for name, kind in KINDS.items() if is_masked(kind)]

VALUES = [
    Secret(HIDDEN),
    DatabaseUrl(GOOD[DatabaseAddress]),
    WebhookUrl(GOOD[WebhookAddress]),
    JwksUrl(GOOD[JwksAddress]),
    SigningKeys((HIDDEN.encode(),)),
    AdminKeyList().from_text(GOOD[AdminKeyList]),
]


def every_secret() -> dict[str, str]:
    """The environment with every secret setting in it."""
    return {environment_name(name): GOOD[type(KINDS[name])] for name in MASKED}


@pytest.mark.parametrize("name", MASKED)
def test_a_secret_setting_is_shown_nowhere(name):
    settings = load_settings(environ=every_secret())
    value = getattr(settings, name)
    assert isinstance(value, Masked)
    shown = [repr(value), str(value), f"{value}", f"{value!r:>90}", repr(attrs.asdict(settings))]
    shown += [repr(settings), *(text for _, text, _ in describe_settings(settings))]
    assert [text for text in shown if HIDDEN in text] == []
    assert {n: text for n, text, _ in describe_settings(settings)}[name] != "-"


@pytest.mark.parametrize("name", MASKED)
def test_a_bad_value_of_a_secret_setting_is_not_shown(name, tmp_path):
    bad = BAD[type(KINDS[name])]
    config = tmp_path / "g.toml"
    config.write_text(f'{name} = "{bad}"\n')
    layers = [{"environ": {environment_name(name): bad}}, {"config": config}]
    if name in SECRET_FILES:
        file = tmp_path / "secret"
        file.write_text(bad)
        layers.append({"environ": {environment_name(SECRET_FILES[name]): str(file)}})
    for layer in layers:
        with pytest.raises(SettingsError) as caught:
            load_settings(**layer)
        assert HIDDEN[:12] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("line", ['{} = "{}', "{} = {}", "{} = ['{}']", '{} = "{}"\n{} = 1'])
def test_a_file_that_is_no_toml_is_not_quoted(name, line, tmp_path):
    config = tmp_path / "g.toml"
    config.write_text(line.replace("{}", name, 1).replace("{}", HIDDEN, 1).replace("{}", name))
    with pytest.raises(SettingsError) as caught:
        load_settings(config=config)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("name", SECRET_FILES)
def test_every_setting_that_may_come_from_a_file_is_secret_and_has_no_option(name):
    assert is_masked(KINDS[name])
    assert "no option" in (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    assert HIDDEN not in describe_option(name)


def test_a_url_given_for_the_path_of_its_file_is_not_quoted():
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"GREENROOM_DATABASE_FILE": GOOD[DatabaseAddress]})
    assert str(caught.value) == "database_file is a path, not a URL"


@pytest.mark.parametrize("name", MASKED)
def test_a_config_that_others_can_read_is_warned_of_when_a_secret_stands_in_it(name, tmp_path):
    config = tmp_path / "g.toml"
    warnings: list[str] = []
    for text, mode in ((f'{name} = "{GOOD[type(KINDS[name])]}"\n', 0o600), ("port = 1\n", 0o644)):
        config.write_text(text)
        config.chmod(mode)
        load_settings(config=config, environ=every_secret(), warn=warnings.append)
    assert [line for line in warnings if "other users" in line] == []
    config.write_text(f'{name} = "{GOOD[type(KINDS[name])]}"\n')
    load_settings(config=config, environ=every_secret(), warn=warnings.append)
    (line,) = [line for line in warnings if "other users" in line]
    assert "holds a secret and can be read by other users (mode 0644): chmod 600 it" in line
    assert HIDDEN not in line


@pytest.mark.parametrize(
    "line",
    [
        'jwt_jwks_url = "https://login.example.com/.well-known/jwks.json"',
        'webhook_url = "https://app.example.com/greenroom"',
        'database = "postgresql://db.example/greenroom"',
    ],
)
def test_a_url_without_a_secret_in_it_needs_no_hiding(line, tmp_path):
    config = tmp_path / "g.toml"
    config.write_text(line + "\n")
    config.chmod(0o644)
    warnings: list[str] = []
    load_settings(
        config=config,
        environ={environment_name("webhook_secret"): GOOD[SigningSecrets]},
        warn=warnings.append,
    )
    assert [line for line in warnings if "other users" in line] == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_masked_value_is_copied_as_itself_and_never_pickled(value):
    assert copy.copy(value) is value
    assert copy.deepcopy([value])[0] is value
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="is not pickled"):
            pickle.dumps(value, protocol)
    with pytest.raises(TypeError) as caught:
        f"{value:x}"
    assert HIDDEN not in str(caught.value)
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_masked_value_equals_the_same_of_its_type(value):
    twin = type(value)(value.reveal())
    assert (value == twin, hash(value) == hash(twin)) == (True, True)
    assert value != value.reveal()
    assert value != Masked(value.reveal())


def test_a_masked_value_in_a_log_line_is_masked(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", *VALUES[:2], {"a": VALUES[3]})
    assert len(caplog.records) == 1
    assert HIDDEN not in caplog.text


def test_check_shows_every_secret_setting_and_no_secret(capsys, monkeypatch, tmp_path):
    for variable, text in every_secret().items():
        monkeypatch.setenv(variable, text)
    check(data=tmp_path / "data")
    out = capsys.readouterr().out
    assert HIDDEN not in out
    for name in MASKED:
        assert f"* {name} " in out


def test_secrets_are_unset_without_a_setting():
    assert [getattr(Settings(), name) for name in MASKED] == [None] * len(MASKED)
