"""Names on MariaDB that differ in the spaces behind them are two names."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# {table: {column: (length, whether it may be NULL)}}: all that is looked up or is unique.
EXACT = {
    "rooms": {"room": (100, False)},
    "messages": {"room": (100, False), "user": (255, False), "key": (64, False)},
    "dead_callbacks": {"id": (64, False), "node": (64, False), "room": (100, True)},
    "revocations": {"user": (255, True), "token_id": (255, True)},
    "accounts": {"key": (64, False), "name": (64, False), "password": (255, False)},
}


def upgrade() -> None:
    """Their collations were PAD SPACE, or looked past case; each table is written anew once."""
    quote = op.get_bind().dialect.identifier_preparer.quote
    if op.get_bind().dialect.name not in {"mysql", "mariadb"}:
        return
    for table, columns in EXACT.items():
        changes = [
            f"MODIFY {quote(name)} VARCHAR({length}) CHARACTER SET utf8mb4"
            f" COLLATE utf8mb4_nopad_bin {'NULL' if nullable else 'NOT NULL'}"
            for name, (length, nullable) in columns.items()
        ]
        op.execute(sa.text(f"ALTER TABLE {quote(table)} {', '.join(changes)}"))
