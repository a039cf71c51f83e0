"""Who was thrown out: revoked users and tokens."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.types.TypeEngine[str]:
    """Return a text that is compared byte by byte."""
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(sa.String(length, collation="utf8mb4_bin"), "mysql", "mariadb")
    )


def upgrade() -> None:
    """Make their table."""
    # Any: what only one dialect understands.
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    options |= {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4"}
    op.create_table(
        "revocations",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("user", exact(255), nullable=True),
        sa.Column("token_id", exact(255), nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("kept_until", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
        **options,
    )
