"""The command line: what it prints, where, and with which exit code."""

import json
import os
import re
import socket

import jwt
import pytest
import structlog
import trustme

from greenroom.node.cli import main
from greenroom.node.datadir import DataDirectory, make_development_secret, open_data_directory

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GREENROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    structlog.reset_defaults()


@pytest.fixture
def complaint(capsys):
    """Run a command that fails, and return its one line."""

    def run(*arguments, code):
        assert main([str(argument) for argument in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        return line

    return run


def certificate(tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.mark.socket
def test_serve_on_a_taken_port(complaint, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = complaint("serve", "--port", port, "--data", tmp_path / "d", code=1)
    assert line == (
        f"greenroom: port {port} on 127.0.0.1 is taken by another program; choose one with --port"
    )


@pytest.mark.socket
def test_serve_on_a_taken_port_makes_no_data_directory(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--data", str(tmp_path / "d")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "d").exists()


def test_serve_with_a_config_that_is_not_there(complaint):
    line = complaint("serve", "--config", "/nowhere/g.toml", code=2)
    assert line == "greenroom: config /nowhere/g.toml: No such file or directory"


def test_serve_with_a_directory_for_a_config(complaint, tmp_path):
    line = complaint("serve", "--config", tmp_path, code=2)
    assert line == f"greenroom: config {tmp_path}: Is a directory"


def test_serve_with_an_unknown_setting_in_the_config(complaint, tmp_path):
    (tmp_path / "g.toml").write_text("prot = 9000\n")
    line = complaint("serve", "--config", tmp_path / "g.toml", code=2)
    assert line.endswith("unknown setting 'prot'; did you mean port?")


def test_serve_with_a_file_for_a_data_directory(complaint, tmp_path):
    (tmp_path / "data").write_text("x")
    line = complaint("serve", "--port", 0, "--data", tmp_path / "data", code=1)
    assert line == f"greenroom: data directory {tmp_path / 'data'}: is not a directory"


def test_serve_with_a_broken_database(complaint, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "greenroom.db").write_bytes(b"not a database at all" * 100)
    line = complaint("serve", "--port", 0, "--data", tmp_path / "d", code=1)
    assert line == (
        f"greenroom: database {tmp_path / 'd' / 'greenroom.db'}: file is not a database"
    )


def test_serve_with_a_directory_that_another_node_holds(complaint, tmp_path):
    with open_data_directory(tmp_path / "d"):
        line = complaint("serve", "--port", 0, "--data", tmp_path / "d", code=1)
    assert "in use by another node" in line


def test_serve_with_a_certificate_and_no_key(complaint):
    line = complaint("serve", "--tls-cert", "cert.pem", code=2)
    assert line == (
        "greenroom: tls_cert is set but tls_key is not: TLS needs a certificate and its key"
    )


def test_serve_with_a_certificate_that_is_not_there(complaint, tmp_path):
    _cert, key = certificate(tmp_path)
    line = complaint("serve", "--tls-cert", "nowhere.pem", "--tls-key", key, code=1)
    assert line == "greenroom: TLS certificate nowhere.pem: No such file or directory"


@pytest.mark.parametrize("arguments", [("--host", "0.0.0.0"), ("--production",)])
def test_serve_where_a_secret_is_needed(complaint, arguments):
    assert "GREENROOM_JWT_SECRET" in complaint("serve", *arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("serve", "--prot", "1"), "Did you mean --port?"),
        (("srve",), 'Did you mean "serve"?'),
        (("serve", "--port", "http"), "--port"),
        (("serve", "--port", "70000"), "--port must be a whole number from 0 to 65535"),
        (("serve", "--log-format", "xml"), "--log-format must be one of auto, console, json"),
        (("serve", "--origin", "*"), "--origin must be a list of origins"),
        (("token",), "--user"),
        (("token", "--user", "a\nb"), "--user: a user is 1 to"),
    ],
)
def test_bad_usage_is_one_line_and_2(complaint, monkeypatch, arguments, expected):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    assert expected in complaint(*arguments, code=2)


def test_token_signs_with_the_configured_secret(capsys, monkeypatch):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    assert main(["token", "--user", "ann"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    claims = jwt.decode(captured.out.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "ann"
    assert claims["exp"] - claims["iat"] == pytest.approx(86_400, abs=2)


def test_token_signs_with_the_data_directorys_own_secret(capsys, tmp_path):
    secret = make_development_secret(DataDirectory(tmp_path))
    assert main(["token", "--user", "ann", "--data", str(tmp_path)]) == 0
    token = capsys.readouterr().out.strip()
    assert jwt.decode(token, secret.reveal(), algorithms=["HS256"])["sub"] == "ann"


def test_token_without_any_secret_says_how_to_get_one(complaint, tmp_path):
    line = complaint("token", "--user", "ann", "--data", tmp_path, code=1)
    assert f"greenroom serve --data {tmp_path}" in line
    assert list(tmp_path.iterdir()) == []


def test_check_shows_every_setting_and_no_secret(capsys, monkeypatch):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    monkeypatch.setenv("GREENROOM_PORT", "9000")
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^\* port +9000$", out, re.MULTILINE)
    assert re.search(r"^\* jwt_secret +\*{8}$", out, re.MULTILINE)
    assert "Settings are good: node with your secret, no guests, users sign in" in out
    assert SECRET not in out


def test_check_refuses_what_serve_would_refuse(complaint, monkeypatch):
    monkeypatch.setenv("GREENROOM_HOST", "0.0.0.0")
    assert "GREENROOM_JWT_SECRET" in complaint("check", code=2)


def test_check_warns_of_a_secret_that_others_can_read(capsys, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o644)
    monkeypatch.setenv("GREENROOM_JWT_SECRET_FILE", "secret")
    assert main(["check"]) == 0
    assert capsys.readouterr().err == (
        "greenroom: warning: jwt_secret_file secret can be read by other users (mode 0644): "
        "chmod 600 it\n"
    )


@pytest.mark.socket
def test_serve_logs_a_warning_of_a_secret_that_others_can_read(capsys, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o644)
    monkeypatch.setenv("GREENROOM_JWT_SECRET_FILE", "secret")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--log-format", "json"]) == 1
    logged = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (logged["level"], logged["event"]) == ("warning", "insecure setting")


def test_help_teaches_the_first_steps(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for words in ("greenroom serve", "greenroom token --user ann", "GREENROOM_JWT_SECRET"):
        assert words in out


def test_every_option_of_serve_names_its_environment_variable(capsys):
    assert main(["serve", "--help"]) == 0
    out = capsys.readouterr().out
    for name in ("HOST", "PORT", "DATA", "CONFIG", "TLS_CERT", "TLS_KEY", "ORIGINS", "LOG_FORMAT"):
        assert f"[GREENROOM_{name}]" in out


def test_the_help_of_serve_shows_words_and_defaults(capsys):
    assert main(["serve", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "One of auto, console, json. [default: auto] [GREENROOM_LOG_FORMAT]" in out
    assert "[default: 127.0.0.1] [GREENROOM_HOST]" in out


def test_version_is_one_line(capsys):
    assert main(["--version"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_token_says_which_rooms_it_opens(capsys, monkeypatch):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    assert main(["token", "--user", "ann", "--room", "team:*", "--room", "news:a=join+read"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert claims["rooms"] == {"team:*": ["join", "publish", "read"], "news:a": ["join", "read"]}


def test_a_token_for_a_room_that_cannot_be_is_refused(complaint, monkeypatch):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    line = complaint("token", "--user", "ann", "--room", "team red", code=2)
    assert line == "greenroom: --room team red: neither a room's name nor its beginning and a *"
