"""The tables of the archive, as SQLAlchemy Core sees them.

`messages` is the history, `rooms` the place each room has reached, `history` one row about the
whole. Only definitions live here: no engine, no query. What makes them so in a database are the
steps in `migrations`; a test holds the two together.
"""

from typing import Final

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
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARBINARY
from sqlalchemy.types import TypeEngine

# Names that Alembic can refer to later, whatever a database would have made up itself.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


MARIADB_EXACT: Final = "utf8mb4_nopad_bin"


def _exact(length: int) -> TypeEngine[str]:
    """Compared byte by byte: "Lobby" and "lobby" are two rooms, "a" and "a " two keys, everywhere.

    PostgreSQL's "C" also keeps the indexes good when the system's collations change under them;
    MariaDB's other collations look past spaces at the end.
    """
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(String(length, collation=MARIADB_EXACT), "mysql", "mariadb")
    )


ROOM = _exact(100)
USER = _exact(255)
KEY = _exact(64)
EPOCH = String(32)

history = Table(
    "history",
    METADATA,
    Column(
        "id",
        Integer,
        CheckConstraint("id = 1", name="one_row"),
        primary_key=True,
        autoincrement=False,
    ),
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
    # Everything up to here has status 1: what follows is found without reading the whole history.
    Column("dispatched", BigInteger, nullable=False, server_default="0"),
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
    Column(
        "content_hash",
        LargeBinary(32).with_variant(VARBINARY(32), "mysql", "mariadb"),
        nullable=False,
    ),
    Column("timestamp", BigInteger, nullable=False),
    Column("node", String(64), nullable=False),
    # 0 accepted, 1 handed to fan-out and callbacks. Without an index, which each change would cost.
    Column("status", SmallInteger, nullable=False),
    UniqueConstraint("room", "epoch", "offset"),
    UniqueConstraint("room", "user", "key"),
    # Without it an id may come back after retention removed the newest rows.
    sqlite_autoincrement=True,
)

# Callbacks that were given up, as they were sent: `dead.py`.
dead_callbacks = Table(
    "dead_callbacks",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", _exact(64), nullable=False),
    # Who sends it again.
    Column(
        "node",
        String(64).with_variant(String(64, collation=MARIADB_EXACT), "mysql", "mariadb"),
        nullable=False,
    ),
    Column("room", ROOM, nullable=True),
    Column("events", Integer, nullable=False),
    Column("body", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_failed", BigInteger, nullable=False),
    # 1: somebody wants it sent again.
    Column("wanted", SmallInteger, nullable=False),
    UniqueConstraint("id"),
)

# Who was thrown out, one row each time: `revocations.py`. Nobody changes a row, so that nodes find
# what is new by its number.
revocations = Table(
    "revocations",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # One of the two says whom it is about.
    Column("user", USER, nullable=True),
    Column("token_id", _exact(255), nullable=True),
    # Tokens of the user that were issued later are good; ms since 1970, as below.
    Column("revoked_at", BigInteger, nullable=False),
    # Every token that it is about has expired by then.
    Column("kept_until", BigInteger, nullable=False),
    # Without it a number may come back after the newest rows were deleted.
    sqlite_autoincrement=True,
)

# Users who sign in with a password: `accounts.py`.
accounts = Table(
    "accounts",
    METADATA,
    # What all spellings of the name have in common.
    Column("key", _exact(64), primary_key=True),
    # As it is shown, and as tokens have it.
    Column("name", _exact(64), nullable=False),
    # Its Argon2 hash, in the form that names its parameters and its salt.
    Column("password", _exact(255), nullable=False),
    Column("disabled", SmallInteger, nullable=False),
    # ms since 1970, as the next.
    Column("created", BigInteger, nullable=False),
    Column("password_changed", BigInteger, nullable=False),
)
