"""The `greenroom` command: reads the command line, and says each user error in one line.

Every command gathers its options and hands them to `settings.load_settings` as the topmost layer;
what a command does stands elsewhere. Exit codes: 0 done, 1 it could not be done, 2 bad usage.
"""

import getpass
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import cyclopts
import structlog
from cyclopts import Parameter

from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.errors import DataDirectoryError, NodeError, SettingsError
from greenroom.node.logs import configure_logs
from greenroom.node.settings import (
    TOKEN_VARIABLE,
    Settings,
    describe_option,
    describe_settings,
    load_settings,
)
from greenroom.node.tls import make_tls_context
from greenroom.node.tokens import TokenOffice
from greenroom.node.trust import decide_trust

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")

USAGE_ERROR = 2
INTERRUPTED = 130  # what a shell expects of a program that SIGINT ended

HELP_TEXT = """Greenroom: a realtime chat node of supervised actors.

To try it, run `greenroom serve`, open http://127.0.0.1:8000/ in two windows, and chat.

For others to reach it, give it a secret to sign tokens with:

    export GREENROOM_JWT_SECRET="$(openssl rand -base64 32)"
    greenroom serve --host 0.0.0.0 --origin https://chat.example.com
    greenroom token --user ann

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


def _option(setting: str, *, negative: tuple[str, ...] = ()) -> Parameter:
    return Parameter(help=describe_option(setting), show_default=False, negative=negative)


Config = Annotated[
    Path | None, Parameter(help="TOML file with settings. [GREENROOM_CONFIG]", show_default=False)
]
Data = Annotated[Path | None, _option("data")]


@app.command
async def serve(
    *,
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    data: Data = None,
    config: Config = None,
    tls_cert: Annotated[Path | None, _option("tls_cert")] = None,
    tls_key: Annotated[Path | None, _option("tls_key")] = None,
    origin: Annotated[list[str] | None, _option("origins")] = None,
    production: Annotated[bool | None, _option("production")] = None,
    guests: Annotated[bool | None, _option("guests", negative=("--no-guests",))] = None,
    log_format: Annotated[str | None, _option("log_format")] = None,
    log_level: Annotated[str | None, _option("log_level")] = None,
) -> None:
    """Run a node: page at /, WebSocket at /ws, health at /healthz and /readyz, on one port.

    On a loopback address it needs nothing: it makes its own secret in the data directory and lets
    guests in. On any other address, or with --production, it refuses to start without
    GREENROOM_JWT_SECRET. SIGTERM, SIGINT (Ctrl+C) and SIGHUP drain it.
    """
    from greenroom.node.serve import serve as serve_node  # noqa: PLC0415  # half a second of imports

    warnings: list[str] = []  # until it is settled how log lines look
    settings = load_settings(
        options={
            "host": host,
            "port": port,
            "data": data,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "origins": origin,
            "production": production,
            "guests": guests,
            "log_format": log_format,
            "log_level": log_level,
        },
        environ=os.environ,
        config=config,
        warn=warnings.append,
    )
    configure_logs(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr)
    for warning in warnings:
        log.warning("insecure setting", detail=warning)
    await serve_node(settings)


@app.command
def token(
    *,
    user: Annotated[str, Parameter(help="Who the token is for.")],
    data: Data = None,
    config: Config = None,
) -> None:
    """Print a token for a user, and nothing else.

    Signs with GREENROOM_JWT_SECRET, or with the secret that a development node keeps in the data
    directory.
    """
    settings = _load_settings(data, config)
    print(_sign(settings, user))  # noqa: T201  # the one thing this command is for


@app.command
async def chat(
    room: Annotated[str, Parameter(help="Name of the room.")],
    *,
    user: Annotated[
        str | None, Parameter(help="Who you are; your login name unless given.", show_default=False)
    ] = None,
    url: Annotated[
        str | None,
        Parameter(
            help="The node's WebSocket: ws://HOST:PORT/ws or wss://HOST/ws.", show_default=False
        ),
    ] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Chat in the terminal. What you type is published; /who asks who is here, Ctrl+D leaves.

    The token comes from GREENROOM_TOKEN. Without one the command signs one itself, for --user, as
    `greenroom token` does: that works on the node's own machine.
    """
    from greenroom.node.chat import chat as chat_in  # noqa: PLC0415  # keeps `token` quick
    from greenroom.node.stdin import read_lines  # noqa: PLC0415

    settings = _load_settings(data, config)
    given = os.environ.get(TOKEN_VARIABLE)
    bearer = given or _sign(settings, user or getpass.getuser())
    if url is None:
        url = settings.url(settings.port).replace("http", "ws", 1) + "ws"
    await chat_in(url, room, token=bearer, lines=read_lines(), show=print)


def _load_settings(data: Path | None, config: Path | None) -> Settings:
    """Load the settings of a command that logs nothing."""
    return load_settings(
        options={"data": data},
        environ=os.environ,
        config=config,
        warn=lambda line: _complain(f"warning: {line}", 0),
    )


def _sign(settings: Settings, user: str) -> str:
    """Sign a token with the configured secret, or with the data directory's own."""
    secret = settings.jwt_secret or read_development_secret(DataDirectory(settings.data))
    if secret is None:
        raise DataDirectoryError(
            f"{settings.data} holds no development secret: run `greenroom serve --data "
            f"{settings.data}` once, or set GREENROOM_JWT_SECRET"
        )
    office = TokenOffice(secret=secret, lifetime_seconds=settings.token_seconds)
    try:
        return office.issue(user)
    except ValueError as error:
        raise SettingsError(f"--user: {error}") from None


@app.command
def check(*, data: Data = None, config: Config = None) -> None:
    """Check the settings without starting anything, and show them; secrets are masked."""
    settings = _load_settings(data, config)
    trust = decide_trust(settings)
    if settings.tls_cert is not None and settings.tls_key is not None:
        make_tls_context(settings.tls_cert, settings.tls_key)
    for name, value, changed in describe_settings(settings):
        print(f"{'*' if changed else ' '} {name:<17} {value}")  # noqa: T201
    kind = "development node (its own secret)" if trust.development else "node with your secret"
    guests = "guests may sign in" if trust.guests else "no guests"
    print(f"\nSettings are good: {kind}, {guests}. * differs from the default.")  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return _complain(" ".join(str(error).split()), USAGE_ERROR)
    except NodeError as error:
        return _complain(str(error), error.exit_code)
    except BaseException as error:
        if not _is_interrupt(error):
            raise
        return INTERRUPTED
    return 0


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl+C, which inside a nursery arrives in a group."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(KeyboardInterrupt)[1] is None
    return isinstance(error, KeyboardInterrupt)


def _complain(line: str, code: int) -> int:
    print(f"greenroom: {line}", file=sys.stderr)  # noqa: T201
    return code
