"""Which layer wins, and what each refuses."""

from pathlib import Path

import pytest

from greenroom.node.errors import SettingsError
from greenroom.node.settings.kinds import Secret
from greenroom.node.settings.layers import environment_name, load_settings
from greenroom.node.settings.record import Settings

SECRET = "0123456789abcdef0123456789abcdef"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_layer_the_defaults_hold():
    assert load_settings() == Settings()


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path):
    config = write(tmp_path / "g.toml", 'host = "file"\nport = 1\nlog_level = "debug"\n')
    settings = load_settings(
        options={"host": "option"},
        environ={"GREENROOM_HOST": "environment", "GREENROOM_PORT": "2"},
        config=config,
    )
    assert (settings.host, settings.port, settings.log_level) == ("option", 2, "debug")


def test_an_option_not_given_leaves_the_layers_below_alone():
    settings = load_settings(options={"port": None}, environ={"GREENROOM_PORT": "2"})
    assert settings.port == 2


def test_the_environment_may_name_the_file(tmp_path):
    config = write(tmp_path / "g.toml", "port = 7\n")
    assert load_settings(environ={"GREENROOM_CONFIG": str(config)}).port == 7


def test_other_programs_variables_are_none_of_ours():
    assert load_settings(environ={"PORT": "1", "GREENROOMS": "x"}) == Settings()


def test_the_variable_that_names_a_browser_for_the_tests_is_no_setting():
    assert load_settings(environ={"GREENROOM_CHROMIUM": "/usr/bin/chromium"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("GREENROOM_SERVICE_HOST", "10.0.0.11"),
        ("GREENROOM_SERVICE_PORT", "8000"),
        ("GREENROOM_SERVICE_PORT_HTTP", "8000"),
        ("GREENROOM_PORT", "tcp://10.0.0.11:8000"),
        ("GREENROOM_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
        ("GREENROOM_PORT_8000_TCP_ADDR", "10.0.0.11"),
        ("GREENROOM_DATABASE_SERVICE_HOST", "10.0.0.12"),
        ("GREENROOM_DATABASE_PORT", "tcp://10.0.0.12:5432"),
    ],
)
def test_what_kubernetes_says_of_a_service_called_greenroom_is_passed_over(variable, text):
    assert load_settings(environ={variable: text}) == Settings()


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"GREENROOM_PROT": "1"}, "unknown setting GREENROOM_PROT; did you mean GREENROOM_PORT?"),
        ({"GREENROOM_PORT": "http"}, "GREENROOM_PORT must be a whole number from 0 to 65535"),
        ({"GREENROOM_PORT": "1_0"}, "GREENROOM_PORT must be a whole number"),
        ({"GREENROOM_PORT": "65536"}, "GREENROOM_PORT must be a whole number"),
        ({"GREENROOM_HOST": ""}, "GREENROOM_HOST must be a text of 1 to 255 characters"),
        ({"GREENROOM_PRODUCTION": "maybe"}, "GREENROOM_PRODUCTION must be true or false"),
        ({"GREENROOM_LOG_FORMAT": "xml"}, "must be one of auto, console, json"),
        ({"GREENROOM_ORIGINS": "*"}, "must be a list of origins such as https://"),
        ({"GREENROOM_DRAIN_SECONDS": "nan"}, "must be a number of seconds above 0"),
        ({"GREENROOM_JWT_SECRET": "short"}, "GREENROOM_JWT_SECRET must be at least 32 bytes"),
        ({"GREENROOM_TLS_CERT": "c.pem"}, "tls_cert is set but tls_key is not"),
        ({"GREENROOM_TLS_KEY": "k.pem"}, "tls_key is set but tls_cert is not"),
        ({"GREENROOM_CONFIG": "/nowhere/g.toml"}, "config /nowhere/g.toml: No such file"),
        (
            {"GREENROOM_JWT_SECRET_FILE": "/nowhere/s"},
            "jwt_secret_file /nowhere/s: No such file",
        ),
        (
            {"GREENROOM_JWT_SECRET": SECRET, "GREENROOM_JWT_SECRET_FILE": "s"},
            "jwt_secret and jwt_secret_file are both set",
        ),
    ],
)
def test_a_bad_environment_is_refused_in_one_line(environ, complaint):
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_prefix_makes_no_name_look_like_another():
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"GREENROOM_ZZZZZZZ": "1"})
    assert "did you mean" not in str(caught.value)
    assert "GREENROOM_CHROMIUM, " in str(caught.value).partition("; known are ")[2]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1", "unknown setting 'prot'; did you mean port?"),
        ("zzz = 1", "unknown setting 'zzz'; known are accounts, address"),
        ('port = "8000"', "port must be a whole number"),
        ("port = true", "port must be a whole number"),
        ('origins = "https://a.example"', "origins must be a list of origins"),
        ("origins = [1]", "origins must be a list of origins"),
        ("production = 1", "production must be true or false"),
        ("[serve]\nport = 1", "[serve]: the file has no sections"),
        ("port = ", "is not TOML"),
        ("log_format = ['json']", "log_format must be one of"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, text, complaint):
    config = write(tmp_path / "g.toml", text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config=config)
    assert complaint in str(caught.value)
    assert str(config) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ('port = "http"', ", not 'http'"),
        ("port = true", ", not true"),
        ('origins = ["https://a.example", "*"]', ", not 'https://a.example', '*'"),
        (f'log_level = "{"x" * 1000}"', ", not 'xxx"),
    ],
)
def test_a_complaint_shows_what_was_given(tmp_path, text, given):
    with pytest.raises(SettingsError) as caught:
        load_settings(config=write(tmp_path / "g.toml", text))
    assert given in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_complaint_about_an_option_calls_it_by_its_name():
    with pytest.raises(SettingsError, match=r"^--origin must be .*, not '\*'$"):
        load_settings(options={"origins": ["*"]})


def test_a_secret_never_stands_in_a_complaint():
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"GREENROOM_JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path):
    path = write(tmp_path / "secret", SECRET + "\n")
    settings = load_settings(options={"jwt_secret_file": path})
    assert settings.jwt_secret == Secret(SECRET)


def test_paths_in_the_file_count_from_the_files_own_directory(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    config = write(tmp_path / "etc" / "g.toml", 'data = "../data"\ntls_cert = "/c"\ntls_key = "k"')
    monkeypatch.chdir(tmp_path)
    settings = load_settings(config=config)
    assert settings.data == tmp_path / "etc" / ".." / "data"
    assert settings.tls_cert == Path("/c")
    assert settings.tls_key == tmp_path / "etc" / "k"


def test_paths_of_the_environment_and_the_command_line_count_from_the_working_directory(tmp_path):
    config = write(tmp_path / "g.toml", 'data = "d"\ntls_cert = "c"\ntls_key = "k"')
    settings = load_settings(
        options={"data": "d"}, environ={"GREENROOM_TLS_CERT": "c"}, config=config
    )
    assert (settings.data, settings.tls_cert) == (Path("d"), Path("c"))


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_file_that_others_can_read_is_warned_of(tmp_path, mode):
    path = write(tmp_path / "secret", SECRET)
    path.chmod(mode)
    warnings = []
    load_settings(options={"jwt_secret_file": path}, warn=warnings.append)
    assert warnings == [
        f"jwt_secret_file {path} can be read by other users (mode {mode:04o}): chmod 600 it"
    ]


def test_a_secret_file_of_the_owners_alone_is_not_warned_of(tmp_path):
    path = write(tmp_path / "secret", SECRET)
    path.chmod(0o600)
    load_settings(options={"jwt_secret_file": path}, warn=pytest.fail)


def test_origins_are_kept_in_their_one_spelling():
    settings = load_settings(environ={"GREENROOM_ORIGINS": "https://A.example:443, http://b:8080"})
    assert settings.origins == ("https://a.example", "http://b:8080")


def test_environment_names_are_the_settings_in_capitals():
    assert environment_name("tls_cert") == "GREENROOM_TLS_CERT"
