"""Settings of the webhooks, and `greenroom callbacks`."""

import json
from pathlib import Path

import pytest

from greenroom.actors.callbacks.ports import Callback, DeadCallback
from greenroom.node.callbacks import plan_callbacks
from greenroom.node.cli import main
from greenroom.node.errors import SettingsError
from greenroom.node.settings.layers import load_settings
from greenroom.node.storage import Pool, open_database
from greenroom.node.storage.dead import bury
from greenroom.node.storage.sqlite import WRITES

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://example.com/hook?token=s3cret"


def load(**environ):
    return load_settings(environ={f"GREENROOM_{name.upper()}": v for name, v in environ.items()})


def test_without_a_url_nothing_is_called_back():
    assert plan_callbacks(load()) is None
    assert plan_callbacks(load(webhook_secret=SECRET)) is None


def test_a_url_and_a_secret_are_enough():
    plan = plan_callbacks(load(webhook_url=URL, webhook_secret=SECRET)).plan
    assert (len(plan.kinds), plan.ephemeral, plan.max_events) == (5, False, 100)


def test_some_events_may_be_chosen():
    settings = load(webhook_url=URL, webhook_secret=SECRET, webhook_events="left, message")
    assert settings.webhook_events == ("message", "left")
    assert {kind.value for kind in plan_callbacks(settings).plan.kinds} == {"message", "left"}


@pytest.mark.parametrize("setting", ["webhook_url", "webhook_access_url"])
def test_unsigned_webhooks_are_refused(setting):
    with pytest.raises(SettingsError, match=f"{setting} is set but webhook_secret is not"):
        load(**{setting: URL})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("webhook_url", "ftp://example.com"),
        ("webhook_url", "https://ann:s3cret@example.com/"),
        ("webhook_url", "https://"),
        ("webhook_url", "https://example.com/#s3cret"),
        ("webhook_url", "https://[s3cret"),
        ("webhook_url", "s3cret"),
        ("webhook_secret", "s3cret"),
        ("webhook_events", "message message"),
        ("webhook_events", "typing"),
        ("webhook_events", ""),
        ("webhook_batch", "0"),
    ],
)
def test_what_is_no_good_is_refused_without_showing_a_secret(setting, value):
    with pytest.raises(SettingsError, match=f"GREENROOM_{setting.upper()} must be") as refused:
        load(**{setting: value})
    assert "s3cret" not in str(refused.value)


def test_the_secret_may_come_from_a_file_with_the_old_one_beside_it(tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n{SECRET}\n")
    file.chmod(0o600)
    assert len(load(webhook_secret_file=str(file)).webhook_secret.reveal()) == 2
    with pytest.raises(SettingsError, match="both set"):
        load(webhook_secret_file=str(file), webhook_secret=SECRET)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://example.com/", True),
        ("http://10.0.0.7/", True),
        ("https://example.com/", False),
        ("http://127.0.0.1:9000/", False),
        ("http://[::1]/", False),
        ("http://localhost/", False),
    ],
)
def test_webhooks_that_others_can_read_are_warned_of(url, warned):
    warnings = []
    load_settings(
        environ={"GREENROOM_WEBHOOK_URL": url, "GREENROOM_WEBHOOK_SECRET": SECRET},
        warn=warnings.append,
    )
    assert any("webhook_url is http" in line for line in warnings) is warned


def test_check_shows_neither_secret_nor_query(monkeypatch, capsys):
    monkeypatch.setenv("GREENROOM_WEBHOOK_URL", URL)
    monkeypatch.setenv("GREENROOM_WEBHOOK_SECRET", SECRET)
    assert main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "https://example.com/hook?***" in shown
    assert "s3cret" not in shown
    assert SECRET[6:] not in shown


# The dead-letter list.


@pytest.fixture
def data(tmp_path) -> list[str]:
    """A data directory with two dead letters, and the options that name it."""
    database = open_database(None, Path(tmp_path) / "greenroom.db", Pool())
    with database.engine.execution_options(**{WRITES: True}).begin() as connection:
        for id, room in (("cb_1", "lobby"), ("cb_2", None)):
            callback = Callback(id=id, room=room, events=2, body=b'{"version":1}')
            dead = DeadCallback(
                callback=callback,
                reason="answered 404",
                attempts=3,
                first_failed_ms=1_800_000_000_000,
            )
            bury(connection, dead, node="greenroom", limit=10)
    database.engine.dispose()
    return ["--data", str(tmp_path)]


def test_the_list_is_shown_for_people_and_for_machines(data, capsys):
    assert main(["callbacks", "list", *data]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == ("cb_1  2027-01-15 08:00:00Z  lobby  2 events  3 attempts  answered 404")
    assert "(the node)" in second
    assert main(["callbacks", "list", "--json", *data]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["id"], first["body"], first["wanted"]) == ("cb_1", {"version": 1}, False)


def test_entries_are_marked_and_dropped(data, capsys):
    assert main(["callbacks", "replay", "cb_2", *data]) == 0
    assert capsys.readouterr().out == "1 to be sent again\n"
    main(["callbacks", "list", *data])
    assert [line.endswith("to be sent again") for line in capsys.readouterr().out.splitlines()] == [
        False,
        True,
    ]
    assert main(["callbacks", "replay", "--all", *data]) == 0
    assert capsys.readouterr().out == "2 to be sent again\n"
    assert main(["callbacks", "drop", "cb_1", *data]) == 0
    assert main(["callbacks", "drop", "--all", *data]) == 0
    assert capsys.readouterr().out == "1 dropped\n1 dropped\n"
    assert main(["callbacks", "list", *data]) == 0
    assert capsys.readouterr().out == ""


def test_an_id_that_is_not_there_changes_nothing(data, capsys):
    assert main(["callbacks", "drop", "cb_1", "cb_9", *data]) == 1
    assert "not on the dead-letter list of greenroom: cb_9" in capsys.readouterr().err
    main(["callbacks", "list", *data])
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("which", [[], ["cb_1", "--all"]])
def test_what_is_meant_must_be_said(data, capsys, which):
    assert main(["callbacks", "drop", *which, *data]) == 2
    assert "or --all" in capsys.readouterr().err


def test_where_no_node_ever_ran_there_is_no_list(tmp_path, capsys):
    assert main(["callbacks", "list", "--data", str(tmp_path)]) == 1
    assert "not there yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
