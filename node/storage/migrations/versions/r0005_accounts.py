"""The accounts of users who sign in with a password."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
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
        "accounts",
        sa.Column("key", exact(64), nullable=False),
        sa.Column("name", exact(64), nullable=False),
        sa.Column("password", exact(255), nullable=False),
        sa.Column("disabled", sa.SmallInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("password_changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_accounts"),
        **options,
    )
