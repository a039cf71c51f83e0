"""How far each room was handed on; what stood there before counts as handed on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Without marking old rows, callbacks would begin with the whole history."""
    op.add_column(
        "rooms", sa.Column("dispatched", sa.BigInteger, nullable=False, server_default="0")
    )
    rooms = sa.table("rooms", sa.column("offset"), sa.column("dispatched"))
    messages = sa.table("messages", sa.column("status"))
    op.execute(sa.update(rooms).values(dispatched=rooms.c.offset))
    op.execute(sa.update(messages).values(status=1))
