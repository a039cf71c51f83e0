"""The dead-letter list of callbacks."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0003"
down_revision = "0002"
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
    """Make its table."""
    # Any: what only one dialect understands.
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    options |= {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4"}
    op.create_table(
        "dead_callbacks",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", exact(64), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("room", exact(100), nullable=True),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("body", sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_failed", sa.BigInteger, nullable=False),
        sa.Column("wanted", sa.SmallInteger, nullable=False),
        sa.UniqueConstraint("id", name="uq_dead_callbacks_id"),
        **options,
    )
