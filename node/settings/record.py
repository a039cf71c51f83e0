"""Every setting of a node, in one record, and the tables that are read off it.

Refuses what contradicts itself. Knows neither where values come from (`layers.py`) nor what they
mean to the node.
"""

from pathlib import Path
from typing import Any

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.settings.accounts import AccountSettings
from greenroom.node.settings.admin import AdminSettings
from greenroom.node.settings.callbacks import CallbackSettings
from greenroom.node.settings.database import DatabaseSettings
from greenroom.node.settings.door import DoorSettings
from greenroom.node.settings.echo import EchoSettings
from greenroom.node.settings.keys import KeySettings
from greenroom.node.settings.kinds import (
    Choice,
    FilePath,
    Flag,
    Integer,
    Kind,
    Origins,
    Seconds,
    Secret,
    SecretText,
    Text,
    about,
    show,
)
from greenroom.node.settings.rates import RateSettings
from greenroom.node.settings.rooms import Rooms, RoomTable
from greenroom.node.settings.users import UserSettings


@attrs.frozen(kw_only=True)
class Settings(
    AccountSettings,
    AdminSettings,
    CallbackSettings,
    DatabaseSettings,
    DoorSettings,
    EchoSettings,
    KeySettings,
    RateSettings,
    UserSettings,
):
    """What an operator can choose. `layers.load_settings` builds it, and checks every value."""

    host: str = attrs.field(default="127.0.0.1", metadata=about(Text(), "Address to listen on."))
    port: int = attrs.field(
        default=8000,
        metadata=about(Integer(0, 65535), "Port to listen on; 0 takes a free one and says which."),
    )
    name: str = attrs.field(
        default="greenroom",
        metadata=about(Text(64), "Name of this node, as clients and the history see it."),
    )
    data: Path = attrs.field(
        default=Path("greenroom-data"),
        metadata=about(
            FilePath(), "Directory that keeps messages and, for a development node, its secret."
        ),
    )
    tls_cert: Path | None = attrs.field(
        default=None,
        metadata=about(FilePath(), "Certificate chain (PEM); turns on TLS 1.2 and 1.3."),
    )
    tls_key: Path | None = attrs.field(
        default=None,
        metadata=about(FilePath(), "Private key (PEM) that belongs to the certificate."),
    )
    origins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(Origins(), "Web origins that may connect besides the node's own page."),
    )
    production: bool = attrs.field(
        default=False,
        metadata=about(Flag(), "Refuse to start with a secret that the node made up itself."),
    )
    guests: bool | None = attrs.field(
        default=None,
        metadata=about(
            Flag(), "Give tokens to guests (anybody who asks). Unset: only a development node does."
        ),
    )
    jwt_secret: Secret | None = attrs.field(
        default=None, metadata=about(SecretText(), "Secret that signs and checks tokens (HS256).")
    )
    jwt_secret_file: Path | None = attrs.field(
        default=None,
        metadata=about(FilePath(), "File that holds the secret, instead of naming it."),
    )
    token_seconds: float = attrs.field(
        default=86_400.0,
        metadata=about(
            Seconds(365 * 86_400), "How long a token that this node issues is good for."
        ),
    )
    max_connections: int = attrs.field(
        default=10_000,
        metadata=about(Integer(1, 1_000_000), "Connections at a time; one more is answered 503."),
    )
    rooms: Rooms = attrs.field(
        default=Rooms(),
        metadata=about(
            RoomTable(), "Kinds of rooms, with their limits, by what stands before the first colon."
        ),
    )
    session_seconds: float = attrs.field(
        default=15.0,
        metadata=about(
            Seconds(3_600), "How long a session, and presence, outlives a connection that was lost."
        ),
    )
    drain_seconds: float = attrs.field(
        default=10.0,
        metadata=about(Seconds(3_600), "How long stopping may take before connections are cut."),
    )
    log_format: str = attrs.field(
        default="auto",
        metadata=about(
            Choice(("auto", "console", "json")),
            "Log lines for people or machines; auto looks whether stderr is a terminal.",
        ),
    )
    log_level: str = attrs.field(
        default="info",
        metadata=about(
            Choice(("debug", "info", "warning", "error")), "The least important line to log."
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = (
                ("tls_cert", "tls_key") if self.tls_key is None else ("tls_key", "tls_cert")
            )
            raise SettingsError(
                f"{given} is set but {missing} is not: TLS needs a certificate and its key"
            )
        if self.jwt_secret is not None and self.jwt_secret_file is not None:
            raise SettingsError("jwt_secret and jwt_secret_file are both set: keep one of them")
        if self.database is not None and self.database_file is not None:
            raise SettingsError("database and database_file are both set: keep one of them")
        self.check_keys(self.jwt_secret)
        if self.revocation_seconds < self.token_seconds:
            raise SettingsError(
                f"revocation_seconds is {show(self.revocation_seconds)} but token_seconds is "
                f"{show(self.token_seconds)}: what was revoked would be good again"
            )
        self.check_webhooks()
        self.check_admin(tls=self.tls, port=self.port)
        self.check_door()

    def url(self, port: int) -> str:
        """Return the node's address as a browser wants it, with the port that was taken."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{port}/"

    @property
    def tls(self) -> bool:
        """Whether the node speaks TLS itself."""
        return self.tls_cert is not None


# What a node is and where it listens comes before where it keeps messages and whom it tells.
_LATER = [
    field.name
    for part in (
        KeySettings,
        AccountSettings,
        DoorSettings,
        UserSettings,
        RateSettings,
        DatabaseSettings,
        CallbackSettings,
        AdminSettings,
        EchoSettings,
    )
    for field in attrs.fields(part)
]
_FIELDS: "list[attrs.Attribute[Any]]" = sorted(  # Any: of each setting's type
    attrs.fields(Settings),
    key=lambda field: _LATER.index(field.name) if field.name in _LATER else -1,
)
KINDS: dict[str, Kind] = {field.name: field.metadata["kind"] for field in _FIELDS}
HELP: dict[str, str] = {field.name: field.metadata["help"] for field in _FIELDS}
DEFAULTS: dict[str, object] = {field.name: field.default for field in _FIELDS}
