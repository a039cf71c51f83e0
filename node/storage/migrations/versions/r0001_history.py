"""Tables for rooms and messages."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARBINARY

revision = "0001"
down_revision = None
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
    """Make them."""
    # Any: what only one dialect understands.
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    options |= {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4"}
    op.create_table(
        "history",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        sa.CheckConstraint("id = 1", name="ck_history_one_row"),
        **options,
    )
    op.create_table(
        "rooms",
        sa.Column("room", exact(100), nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("room", name="pk_rooms"),
        **options,
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("room", exact(100), nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("user", exact(255), nullable=False),
        sa.Column("key", exact(64), nullable=False),
        sa.Column(
            "content",
            sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column(
            "content_hash",
            sa.LargeBinary(32).with_variant(VARBINARY(32), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column("timestamp", sa.BigInteger, nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.UniqueConstraint("room", "epoch", "offset", name="uq_messages_room_epoch_offset"),
        sa.UniqueConstraint("room", "user", "key", name="uq_messages_room_user_key"),
        sqlite_autoincrement=True,
        **options,
    )
