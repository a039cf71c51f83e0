"""The settings of the database: its address, whose password nobody sees, its pool, its retention.

Reads a URL and nothing else: whether a driver, a server and tables are there is the storage's
business, which is not even imported here.
"""

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from greenroom.node.masks import Masked, MaskedKind
from greenroom.node.settings.kinds import FilePath, Integer, MisfitError, Seconds, about

SCHEMES: Final = {"postgresql": "postgresql", "postgres": "postgresql", "mariadb": "mariadb"}
DAY_SECONDS: Final = 86_400
EXAMPLE: Final = "postgresql://user:password@host/name or mariadb://user:password@host/name"


class DatabaseUrl(Masked[str]):
    """Where a server's database is; `reveal()` with its password, str and repr without it."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The database's own name: postgresql or mariadb."""
        return SCHEMES[self._parts.scheme]

    def __str__(self) -> str:
        parts = self._parts
        user = f"{parts.username}{':***' if parts.password else ''}@" if parts.username else ""
        host = parts.netloc.rpartition("@")[2]
        # A query may hold a password too.
        return f"{parts.scheme}://{user}{host}{parts.path}{'?***' if parts.query else ''}"

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.reveal())


@attrs.frozen
class DatabaseAddress(MaskedKind):
    """A URL of PostgreSQL or MariaDB."""

    def from_text(self, text: str) -> object:
        """Read a URL."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a URL of a server and a database, special characters percent-encoded."""
        if isinstance(value, DatabaseUrl):
            return value
        url = value.strip() if isinstance(value, str) else ""
        try:
            parts = urlsplit(url)
            whole = bool(parts.netloc) and len(parts.path) > 1 and parts.port != 0
        except ValueError:
            raise MisfitError(f"a URL such as {EXAMPLE}") from None
        if parts.scheme not in SCHEMES or not whole:
            raise MisfitError(f"a URL such as {EXAMPLE}")
        if parts.fragment or parts.netloc.count("@") > 1 or "@" in parts.path + parts.query:
            raise MisfitError("a URL whose password has @ / ? # written as %40 %2F %3F %23")
        return DatabaseUrl(url)


@attrs.frozen(kw_only=True)
class DatabaseSettings:
    """What an operator can choose about where messages are kept, and for how long."""

    database: DatabaseUrl | None = attrs.field(
        default=None,
        metadata=about(
            DatabaseAddress(),
            "Server that keeps messages, as postgresql:// or mariadb://. Unset: SQLite in data.",
        ),
    )
    database_file: Path | None = attrs.field(
        default=None, metadata=about(FilePath(), "File that holds that URL, instead of naming it.")
    )
    database_connections: int | None = attrs.field(
        default=None,
        metadata=about(
            Integer(3, 1_000),
            "Connections that are kept to the database. Unset: two for each core, at least 4.",
        ),
    )
    database_overflow: int = attrs.field(
        default=0,
        metadata=about(Integer(0, 1_000), "Connections beyond these while many are needed."),
    )
    database_wait_seconds: float = attrs.field(
        default=5.0,
        metadata=about(Seconds(3_600), "How long to wait for a free connection."),
    )
    database_recycle_seconds: float = attrs.field(
        default=1_800.0,
        metadata=about(Seconds(7 * DAY_SECONDS), "Age at which a connection is made anew."),
    )
    database_statement_seconds: float = attrs.field(
        default=3.0,
        metadata=about(Seconds(60), "How long one statement may take, its locks included."),
    )
    retention_seconds: float | None = attrs.field(
        default=None,
        metadata=about(
            Seconds(100 * 365 * DAY_SECONDS, low=DAY_SECONDS),
            "Age at which messages are deleted, a day at least. Unset: never.",
        ),
    )
    retention_messages: int | None = attrs.field(
        default=None,
        metadata=about(
            Integer(1, 1_000_000_000),
            "Messages kept of each room; no message of the last day is deleted. Unset: all.",
        ),
    )
