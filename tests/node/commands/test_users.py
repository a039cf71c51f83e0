"""`greenroom user`: what it says, and what it leaves in the database."""

import io
import json
import time
from contextlib import contextmanager

import pytest

from greenroom.node.cli import main
from greenroom.node.commands import users as user_commands
from greenroom.node.commands.beside import open_beside
from greenroom.node.identity.passwords import make_argon2
from greenroom.node.settings.record import Settings
from greenroom.node.storage import accounts, revocations

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command, and return its exit code, what it printed and what it complained about."""
    monkeypatch.setenv("GREENROOM_DATA", str(tmp_path))
    monkeypatch.setenv("GREENROOM_PASSWORD_MEMORY_MIB", "8")
    monkeypatch.setenv("GREENROOM_PASSWORD_PASSES", "1")
    assert main(["migrate"]) == 0
    capsys.readouterr()

    def run(*arguments, stdin=None, typed=()):
        answers = iter(typed)
        monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(["user", *arguments])
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return run


def kept(tmp_path, key):
    with open_beside(Settings(data=tmp_path)) as connection:
        return accounts.find(connection, key)


def revoked(tmp_path):
    with open_beside(Settings(data=tmp_path)) as connection:
        rows = revocations.needed(connection, after=0, now_ms=0, limit=10)
    return sorted({row.revocation.user for row in rows})


def last_revoked_ms(tmp_path):
    with open_beside(Settings(data=tmp_path)) as connection:
        rows = revocations.needed(connection, after=0, now_ms=0, limit=10)
    return rows[-1].revocation.at_ms


def test_a_user_is_added_with_a_password_that_is_typed_twice(run, tmp_path):
    assert run("add", "Ann", typed=["correct horse"] * 2) == (0, "user Ann: added", "")
    account = kept(tmp_path, "ann")
    assert account.name == "Ann"
    assert abs(account.created_ms / 1000 - time.time()) < 60
    assert make_argon2(Settings().hash_cost).verify(account.password_hash, "correct horse")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_program_pipes_the_password_in(run, tmp_path, end):
    code, _, _ = run("add", "ann", "--password-stdin", stdin="correct horse " + end)
    assert code == 0
    hashed = kept(tmp_path, "ann").password_hash
    assert make_argon2(Settings().hash_cost).verify(hashed, "correct horse ")


def test_there_is_no_way_to_say_a_password_on_the_command_line(run):
    for arguments in (["add", "ann", "correct horse"], ["add", "ann", "--password", "correct"]):
        assert run(*arguments)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "typed", "complaint"),
    [
        (["add", "ann"], ["correct horse", "correct house"], "the two passwords differ"),
        (["add", "ann"], ["short"] * 2, "A password has at least 8 characters."),
        (["add", "guest:ann"], [], "'guest:ann': Names that begin with guest: are for guests."),
        (["add", "BOB"], ["correct horse"] * 2, "there is a user BOB already"),
        (["passwd", "ann"], [], "there is no user 'ann'"),
        (["disable", "ann"], [], "there is no user 'ann'"),
        (["enable", "ann"], [], "there is no user 'ann'"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(run, arguments, typed, complaint):
    run("add", "bob", "--password-stdin", stdin="correct horse")
    code, out, err = run(*arguments, typed=typed)
    assert code in {1, 2}
    assert (out, err) == ("", f"greenroom: {complaint}")


def test_without_a_terminal_nothing_is_shown_while_typing(run, monkeypatch, capsys):
    import getpass
    import warnings

    def echoing(_prompt):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "correct horse"

    run("list")
    monkeypatch.setattr("getpass.getpass", echoing)
    assert main(["user", "add", "ann"]) == 2
    assert "--password-stdin" in capsys.readouterr().err


def test_a_new_password_and_disabling_sign_a_user_out_and_enabling_does_not(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    run("add", "Ann", typed=["correct horse"] * 2)
    assert revoked(tmp_path) == []
    assert run("passwd", "ann", typed=["battery staple"] * 2)[0] == 0
    hashed = kept(tmp_path, "ann").password_hash
    assert make_argon2(Settings().hash_cost).verify(hashed, "battery staple")
    assert revoked(tmp_path) == ["Ann"]
    assert run("disable", "ann")[1] == "user Ann: disabled, and signed out everywhere"
    assert kept(tmp_path, "ann").disabled
    assert run("enable", "ANN")[1] == "user Ann: enabled"
    assert not kept(tmp_path, "ann").disabled


@pytest.mark.parametrize("arguments", [("passwd", "ann"), ("disable", "ann"), ("add", "bob")])
def test_what_a_node_signs_until_it_can_see_the_change_ends_too(
    run, tmp_path, monkeypatch, arguments
):
    run("add", "Ann", typed=["correct horse"] * 2)
    committed = []

    @contextmanager
    def noting(settings):
        with open_beside(settings) as connection:
            yield connection
        committed.append(time.time())

    monkeypatch.setattr(user_commands, "open_beside", noting)
    assert run(*arguments, typed=["battery staple"] * 2)[0] == 0
    # Of a new password the first transaction looks whether there is such a user.
    changed = committed[1 if arguments[0] == "passwd" else 0]
    assert last_revoked_ms(tmp_path) >= changed * 1000


def test_a_name_that_a_guest_may_have_is_taken_from_them(run, tmp_path):
    """A development node's guests have bare names."""
    run("add", "Ann", typed=["correct horse"] * 2)
    assert revoked(tmp_path) == ["Ann"]


def test_a_shell_without_the_node_s_secret_will_do(run, tmp_path, monkeypatch):
    """The node itself would not start with these settings."""
    monkeypatch.setenv("GREENROOM_HOST", "0.0.0.0")
    monkeypatch.setenv("GREENROOM_PRODUCTION", "true")
    assert run("add", "Ann", typed=["correct horse"] * 2)[0] == 0


@pytest.mark.service
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_it_works_on_a_server_s_database_too(run, server_database, monkeypatch, kind):
    monkeypatch.setenv("GREENROOM_DATABASE", server_database(kind).reveal())
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    assert run("add", f"Zoë {kind}", typed=["correct horse"] * 2)[0] == 0
    assert run("add", f"ZOË {kind}", typed=["correct horse"] * 2)[0] == 1
    assert run("passwd", f"zoë {kind}", typed=["battery staple"] * 2)[0] == 0
    for _ in range(2):
        assert run("disable", f"zoë {kind}")[0] == 0
    assert f"disabled  {time.strftime('%Y')}" in run("list")[1]
    assert run("enable", f"zoë {kind}")[0] == 0


def test_users_are_listed_by_name_and_never_their_hashes(run):
    for name in ("bob", "Ann"):
        run("add", name, "--password-stdin", stdin="correct horse")
    run("disable", "bob")
    _, out, _ = run("list")
    assert [line.split()[0] + " " + line.split()[-1] for line in out.splitlines()] == [
        "enabled Ann",
        "disabled bob",
    ]
    _, out, _ = run("list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["name"], row["disabled"]) for row in rows] == [("Ann", False), ("bob", True)]
    assert "argon2" not in out
