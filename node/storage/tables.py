"""The tables of the archive, as SQLAlchemy Core sees them.

`messages` is the history, `rooms` the place each room has reached, `history` one row about the
whole. Only definitions live here: no engine, no query.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT

# Names that Alembic can refer to later, whatever a database would have made up itself.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Rooms, users and keys are compared byte by byte: "Lobby" and "lobby" are two rooms, everywhere.
ROOM = String(100).with_variant(String(100, collation="utf8mb4_bin"), "mysql", "mariadb")
USER = String(255).with_variant(String(255, collation="utf8mb4_bin"), "mysql", "mariadb")
KEY = String(64).with_variant(String(64, collation="utf8mb4_bin"), "mysql", "mariadb")
EPOCH = String(32)

history = Table(
    "history",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    # The epoch a room gets with its first message. It changes only with the history as a whole.
    Column("epoch", EPOCH, nullable=False),
)

rooms = Table(
    "rooms",
    METADATA,
    Column("room", ROOM, primary_key=True),
    Column("epoch", EPOCH, nullable=False),
    # The newest offset given out; it stays when retention removes the messages.
    Column("offset", BigInteger, nullable=False),
)

messages = Table(
    "messages",
    METADATA,
    # SQLite counts up by itself only in a column declared INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("room", ROOM, nullable=False),
    Column("epoch", EPOCH, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("user", USER, nullable=False),
    Column("key", KEY, nullable=False),
    Column("content", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    # Tells a repeated key from a key used twice without reading the content back.
    Column("content_hash", LargeBinary(32), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("node", String(64), nullable=False),
    # 0 accepted, 1 handed to fan-out and callbacks.
    Column("status", SmallInteger, nullable=False),
    UniqueConstraint("room", "epoch", "offset"),
    UniqueConstraint("room", "user", "key"),
    # Without it an id may come back after retention removed the newest rows.
    sqlite_autoincrement=True,
)
