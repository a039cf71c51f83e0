"""What the commands share: options that several have, and what becomes of them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from greenroom.node.datadir import DataDirectory, read_development_secret
from greenroom.node.errors import DataDirectoryError, SettingsError
from greenroom.node.identity.tokens import TokenOffice
from greenroom.node.settings.describe import describe_option
from greenroom.node.settings.layers import load_settings
from greenroom.node.settings.record import Settings


def option(setting: str, *, negative: tuple[str, ...] = ()) -> Parameter:
    """Take the help of the setting that the option overrides."""
    return Parameter(help=describe_option(setting), show_default=False, negative=negative)


Config = Annotated[
    Path | None, Parameter(help="TOML file with settings. [GREENROOM_CONFIG]", show_default=False)
]
Data = Annotated[Path | None, option("data")]


def read_settings(data: Path | None, config: Path | None, **options: object) -> Settings:
    """Load the settings of a command that logs nothing."""
    return load_settings(
        options={"data": data, **options},
        environ=os.environ,
        config=config,
        warn=lambda line: complain(f"warning: {line}", 0),
    )


def own_websocket(settings: Settings) -> str:
    """Return the URL of the node that these settings start on this machine."""
    return settings.url(settings.port).replace("http", "ws", 1) + "ws"


def signed(sign: Callable[[str], str], user: str) -> str:
    """Sign one token."""
    try:
        return sign(user)
    except ValueError as error:
        raise SettingsError(f"--user: {error}") from None


def signer(settings: Settings) -> Callable[..., str]:
    """Return what signs with the configured secret, or with the data directory's own."""
    if settings.has_issuer and settings.jwt_secret is None:
        raise SettingsError(
            "tokens come from your issuer, and the node believes no others: get one there, or set "
            "jwt_secret too"
        )
    secret = settings.jwt_secret or read_development_secret(DataDirectory(settings.data))
    if secret is None:
        raise DataDirectoryError(
            f"{settings.data} holds no development secret: run `greenroom serve --data "
            f"{settings.data}` once, or set GREENROOM_JWT_SECRET"
        )
    return TokenOffice(
        secret=secret, lifetime_seconds=settings.token_seconds, rules=settings.token_rules
    ).issue


def complain(line: str, code: int) -> int:
    """Say one line to whoever typed the command, and return `code`."""
    print(f"greenroom: {line}", file=sys.stderr)  # noqa: T201
    return code
