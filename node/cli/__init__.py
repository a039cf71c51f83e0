"""The `greenroom` command: reads the command line, and says each user error in one line.

Every command gathers its options and hands them to `load_settings` as the topmost layer.
The modules here hold a group of commands each; what a command does stands elsewhere. Exit codes: 0
done, 1 it could not be done, 2 bad usage.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import cyclopts

from greenroom.node.cli import callbacks, load, operate, revoke, talk, user
from greenroom.node.cli.options import complain
from greenroom.node.errors import NodeError

USAGE_ERROR = 2
INTERRUPTED = 130  # what a shell expects of a program that SIGINT ended

HELP_TEXT = """Greenroom: a realtime chat node of supervised actors.

To try it, run `greenroom serve`, open http://127.0.0.1:8000/ in two windows, and chat.

For others to reach it, give it a secret to sign tokens with:

    export GREENROOM_JWT_SECRET="$(openssl rand -base64 32)"
    greenroom serve --host 0.0.0.0 --origin https://chat.example.com
    greenroom user add ann       # who signs in on the page
    greenroom token --user ann   # for a program of hers

Every setting comes from the command line, else from the environment (`GREENROOM_PORT=9000`), else
from a TOML file (`port = 9000`), else it has a default. `greenroom check` shows what holds.
"""


def _version() -> str:
    try:
        return version("greenroom")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown (not installed)"


app = cyclopts.App(
    name="greenroom",
    help=HELP_TEXT,
    help_format="markdown",
    version=_version,
    backend="trio",
    result_action="return_value",
)

for command in (
    operate.serve,
    talk.token,
    talk.chat,
    load.load,
    operate.check,
    operate.migrate,
    callbacks.callbacks,
    revoke.revoke,
    user.user,
):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return complain(" ".join(str(error).split()), USAGE_ERROR)
    except NodeError as error:
        return complain(str(error), error.exit_code)
    except BaseException as error:
        if not _is_interrupt(error):
            raise
        return INTERRUPTED
    return code if isinstance(code, int) else 0  # only `load` has more than one good end


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl+C, which inside a nursery arrives in a group."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(KeyboardInterrupt)[1] is None
    return isinstance(error, KeyboardInterrupt)
