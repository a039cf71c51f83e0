"""`greenroom user add`, `passwd`, `disable`, `enable`, `list`: who may sign in with a password."""

import getpass
import sys
import warnings
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from greenroom.node.cli.options import Config, Data, read_settings
from greenroom.node.errors import SettingsError

user = cyclopts.App(name="user", help="Make and disable users who sign in with a password.")

MAX_STDIN_CHARACTERS = 4_096
"""More than any password has."""

Name = Annotated[str, Parameter(help="The user's name.")]
FromStdin = Annotated[
    bool,
    Parameter(
        name="--password-stdin",
        help="Read the password from standard input instead of asking for it; there is no option "
        "for the password itself, because other users can see command lines.",
        negative=(),
    ),
]


@user.command
def add(
    name: Name, *, password_stdin: FromStdin = False, data: Data = None, config: Config = None
) -> None:
    """Make a user, and ask for a password."""
    from greenroom.node.commands.users import (  # noqa: PLC0415  # half a second of imports
        add_user,
        check_name,
    )

    settings = read_settings(data, config)
    shown = check_name(name)
    print(add_user(settings, shown, _password(shown, stdin=password_stdin)))  # noqa: T201


@user.command
def passwd(
    name: Name, *, password_stdin: FromStdin = False, data: Data = None, config: Config = None
) -> None:
    """Give a user another password, and sign them out everywhere."""
    from greenroom.node.commands.users import (  # noqa: PLC0415  # as above
        change_password,
        require_user,
    )

    settings = read_settings(data, config)
    shown = require_user(settings, name)
    print(change_password(settings, shown, _password(shown, stdin=password_stdin)))  # noqa: T201


@user.command
def disable(name: Name, *, data: Data = None, config: Config = None) -> None:
    """Keep a user out, and sign them out everywhere; within seconds where a node runs."""
    from greenroom.node.commands.users import set_disabled  # noqa: PLC0415  # as above

    print(set_disabled(read_settings(data, config), name, disabled=True))  # noqa: T201


@user.command
def enable(name: Name, *, data: Data = None, config: Config = None) -> None:
    """Let a disabled user in again, with the password they had."""
    from greenroom.node.commands.users import set_disabled  # noqa: PLC0415  # as above

    print(set_disabled(read_settings(data, config), name, disabled=False))  # noqa: T201


@user.command(name="list")
def list_users(
    *,
    json: Annotated[bool, Parameter(help="One JSON object a line.", negative=())] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Show all users, by name."""
    from greenroom.node.commands.users import list_users as users  # noqa: PLC0415  # as above

    for line in users(read_settings(data, config), as_json=json):
        print(line)  # noqa: T201


def _password(name: str, *, stdin: bool) -> str:
    """Return the password that somebody types twice without seeing it, or a program pipes in."""
    if stdin:
        text = sys.stdin.read(MAX_STDIN_CHARACTERS)
        return text.removesuffix("\n").removesuffix("\r")
    try:
        with warnings.catch_warnings():
            # It would go on and show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            password = getpass.getpass(f"Password of {name}: ")
            again = getpass.getpass("Once more: ")
    except (EOFError, getpass.GetPassWarning):
        raise SettingsError("there is no terminal to ask on: use --password-stdin") from None
    if password != again:
        raise SettingsError("the two passwords differ")
    return password
