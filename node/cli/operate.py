"""`greenroom serve`, `check` and `migrate`: a node and what it needs."""

import os
import sys
from pathlib import Path
from typing import Annotated

import structlog
from cyclopts import Parameter

from greenroom.node.cli.options import Config, Data, option, read_settings
from greenroom.node.door.tls import make_tls_context
from greenroom.node.identity.key_files import open_key_files
from greenroom.node.identity.trust import decide_trust
from greenroom.node.logs import configure_logs
from greenroom.node.settings.describe import describe_settings
from greenroom.node.settings.layers import load_settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node")


async def serve(
    *,
    host: Annotated[str | None, option("host")] = None,
    port: Annotated[int | None, option("port")] = None,
    data: Data = None,
    config: Config = None,
    tls_cert: Annotated[Path | None, option("tls_cert")] = None,
    tls_key: Annotated[Path | None, option("tls_key")] = None,
    origin: Annotated[list[str] | None, option("origins")] = None,
    production: Annotated[bool | None, option("production")] = None,
    guests: Annotated[bool | None, option("guests", negative=("--no-guests",))] = None,
    echo_route: Annotated[bool | None, option("echo_route")] = None,
    log_format: Annotated[str | None, option("log_format")] = None,
    log_level: Annotated[str | None, option("log_level")] = None,
) -> None:
    """Run a node: page at /, WebSocket at /ws, health at /healthz and /readyz, on one port.

    On a loopback address it needs nothing: it makes its own secret in the data directory and lets
    guests in. On any other address, or with --production, it refuses to start without
    GREENROOM_JWT_SECRET or the keys of an issuer (jwt_keys, jwt_jwks_url). SIGTERM, SIGINT (Ctrl+C)
    and SIGHUP drain it.
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
            "echo_route": echo_route,
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


def check(*, data: Data = None, config: Config = None) -> None:
    """Check the settings without starting anything, and show them; secrets are masked."""
    settings = read_settings(data, config)
    trust = decide_trust(settings)
    if settings.tls_cert is not None and settings.tls_key is not None:
        make_tls_context(settings.tls_cert, settings.tls_key)
    keys = [line for file in open_key_files(settings.jwt_keys) for line in file.describe()]
    for name, value, changed in describe_settings(settings):
        print(f"{'*' if changed else ' '} {name:<27} {value}")  # noqa: T201
    for line in keys:
        print(f"  key of tokens: {line}")  # noqa: T201
    kind = "development node (its own secret)" if trust.development else "node with your secret"
    if trust.issuer:
        kind = f"node with your issuer's keys{' and your secret' if trust.signs else ''}"
    guests = "guests may sign in" if trust.guests else "no guests"
    accounts = "users sign in with passwords" if trust.accounts else "no accounts"
    print(f"\nSettings are good: {kind}, {guests}, {accounts}. * differs from the default.")  # noqa: T201


def migrate(
    *,
    check: Annotated[
        bool, Parameter(help="Change nothing; exit code 1 if something is to be done.", negative=())
    ] = False,
    new_epoch: Annotated[
        bool,
        Parameter(
            help="After a history was put back from a backup: give all rooms a new epoch, so that "
            "clients ask for what they miss. Stop all nodes first.",
            negative=(),
        ),
    ] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Bring the tables of the database up to date, and say what was done.

    A server's database needs it before the first start and after an update that says so. A node's
    own SQLite file is brought up to date when the node starts.
    """
    from greenroom.node.commands.migrate import (  # noqa: PLC0415  # half a second of imports
        check_migrations,
        run_migrations,
    )

    settings = read_settings(data, config)
    if check:
        print(check_migrations(settings))  # noqa: T201
        return
    for line in run_migrations(settings, replace_epoch=new_epoch):
        print(line)  # noqa: T201
