"""The address of a database: what is accepted, and that its password is seen nowhere."""

import pytest

from greenroom.node.cli import main
from greenroom.node.errors import SettingsError
from greenroom.node.settings.database import DatabaseUrl
from greenroom.node.settings.layers import load_settings

URL = "postgresql://ann:s3cret@db.example:5432/chat?sslmode=require"


def loaded(url: str):
    return load_settings(environ={"GREENROOM_DATABASE": url}).database


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "postgresql://ann:***@db.example:5432/chat?***"),
        ("postgres://ann@db/chat", "postgres://ann@db/chat"),
        ("mariadb://ann:a%40b@db/chat", "mariadb://ann:***@db/chat"),
        ("mariadb://[::1]:3306/chat", "mariadb://[::1]:3306/chat"),
    ],
)
def test_a_url_is_shown_without_its_password_and_its_options(url, shown):
    database = loaded(url)
    assert str(database) == shown
    assert repr(database) == f"DatabaseUrl({shown!r})"
    assert database.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///s3cret.db",
        "mysql://ann:s3cret@db/chat",
        "postgresql:///s3cret",
        "postgresql://ann:s3cret@db",
        "postgresql://ann:s3cret@db:port/chat",
        "postgresql://ann:s3/cret@db/chat",
        "postgresql://ann:s3@cret@db/chat",
        "postgresql://ann:s3#cret@db/chat",
        "postgresql://[s3cret",
        "s3cret",
        "",
    ],
)
def test_a_url_that_is_no_good_is_refused_without_being_shown(url):
    with pytest.raises(SettingsError) as caught:
        loaded(url)
    assert str(caught.value).startswith("GREENROOM_DATABASE must be a URL")
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_the_url_comes_from_a_file_too(tmp_path):
    file = tmp_path / "url"
    file.write_text(URL + "\n")
    file.chmod(0o644)
    warnings = []
    settings = load_settings(environ={"GREENROOM_DATABASE_FILE": str(file)}, warn=warnings.append)
    assert settings.database == DatabaseUrl(URL)
    assert warnings == [
        f"database_file {file} can be read by other users (mode 0644): chmod 600 it"
    ]


def test_the_url_and_its_file_exclude_each_other():
    with pytest.raises(SettingsError, match="database and database_file are both set"):
        load_settings(environ={"GREENROOM_DATABASE": URL, "GREENROOM_DATABASE_FILE": "x"})


def test_check_masks_the_password(monkeypatch, capsys):
    monkeypatch.setenv("GREENROOM_DATABASE", URL)
    assert main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "postgresql://ann:***@db.example:5432/chat" in shown
    assert "s3cret" not in shown


def test_migrate_says_what_it_did_and_then_that_nothing_is_left(tmp_path, capsys):
    data = ["--data", str(tmp_path)]
    assert main(["migrate", "--check", *data]) == 1
    assert "is not there yet" in capsys.readouterr().err
    assert main(["migrate", *data]) == 0
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "0001",
        "0002",
        "0003",
        "0004",
        "0005",
        "0006",
    ]
    assert main(["migrate", *data]) == 0
    assert capsys.readouterr().out.endswith("greenroom.db: nothing to migrate\n")
    assert main(["migrate", "--check", *data]) == 0
    assert capsys.readouterr().out.endswith("greenroom.db: up to date\n")


def test_migrate_makes_a_new_epoch_only_when_no_node_runs(tmp_path, capsys):
    from greenroom.node.datadir import open_data_directory

    data = ["--data", str(tmp_path)]
    assert main(["migrate", *data]) == 0
    with open_data_directory(tmp_path):
        assert main(["migrate", "--new-epoch", *data]) == 1
        assert "in use by another node" in capsys.readouterr().err
    assert main(["migrate", "--new-epoch", *data]) == 0
    assert "all rooms begin the epoch" in capsys.readouterr().out


def test_a_server_without_tables_is_told_in_one_line_when_a_node_starts(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("GREENROOM_DATABASE", "postgresql://ann:s3cret@127.0.0.1:1/chat")
    assert main(["serve", "--data", str(tmp_path), "--port", "0"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("greenroom: database postgresql://ann:***@127.0.0.1:1/chat: ")
    assert "s3cret" not in error
