"""What differs between the databases: how each is opened, locked, filled, and what its errors mean.

`store.py` says what a transaction does, a `Dialect` how its engine is asked for it. One module each
for SQLite, PostgreSQL and MariaDB; `server.py` has what the last two share, and here is what all
have in common.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, Generic, TypeVar

import attrs
import orjson
from sqlalchemy import (
    ColumnElement,
    Engine,
    FromClause,
    Select,
    bindparam,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from greenroom.actors.ports import Head
from greenroom.node.storage.numbering import KnownMessage, MessageKey, NumberedMessage, Place
from greenroom.node.storage.tables import messages, rooms

Rows = Sequence[Mapping[str, object]]

Transaction = TypeVar("Transaction")
"""What a commit's statements run on, while it is open."""

KEY_COLUMNS: Final[Mapping[str, TypeEngine[str]]] = {
    name: messages.c[name].type for name in ("room", "user", "key")
}
PLACES: Final = select(rooms.c.room, rooms.c.epoch, rooms.c.offset, rooms.c.dispatched).order_by(
    rooms.c.room
)
MOVE_ROOM: Final = (
    update(rooms)
    .where(rooms.c.room == bindparam("moved"))
    .values(offset=bindparam("head"), dispatched=bindparam("handed"))
)
MARK: Final = (
    update(messages)
    .where(
        messages.c.room == bindparam("moved"),
        messages.c.epoch == bindparam("of"),
        messages.c.offset > bindparam("marked"),
        messages.c.offset <= bindparam("handed"),
    )
    .values(status=1)
)


@attrs.frozen(kw_only=True)
class Pool:
    """How many connections are kept, and how long anything with them may take."""

    size: int = 4
    """Kept open once they were needed."""
    overflow: int = 0
    """Opened beyond these under load, and closed again."""
    wait_seconds: float = 5.0
    """For a free connection; then the store is unavailable to whoever waited."""
    recycle_seconds: float = 1800.0
    """Age (not idleness) at which a connection is replaced when it comes back."""
    statement_seconds: float = 3.0
    """For one statement, its locks included: a thread that waits for one can't be cancelled."""

    @property
    def most(self) -> int:
        """Connections at a time."""
        return self.size + self.overflow

    @property
    def most_seconds(self) -> float:
        """For one statement, where the server does not even say that it took too long."""
        return self.statement_seconds + 1

    @property
    def statement_ms(self) -> int:
        """The same in the databases' unit."""
        return max(1, int(self.statement_seconds * 1000))

    def engine_options(self) -> dict[str, Any]:  # Any: options of many types
        """Return what SQLAlchemy's engine is made with."""
        return {
            # Else errors, which a crash logs, quote what somebody wrote, and passwords' hashes.
            "hide_parameters": True,
            "pool_size": self.size,
            "max_overflow": self.overflow,
            "pool_timeout": self.wait_seconds,
            "pool_recycle": int(self.recycle_seconds),
        }


class Dialect(ABC, Generic[Transaction]):
    """One kind of database."""

    one_writer: ClassVar[bool]
    """A transaction that writes has the database to itself; otherwise it locks rows."""

    @abstractmethod
    def create_engine(self, pool: Pool) -> Engine:
        """Return an engine that has not connected yet."""

    @abstractmethod
    def may_pass(self, error: DBAPIError) -> bool:
        """Whether the trouble is the outside world's: locked, full, gone. The rest are our bugs."""

    # What a commit consists of.

    @abstractmethod
    def begin(self, engine: Engine) -> AbstractContextManager[Transaction]:
        """Open a transaction that may write; it commits at the end of the block, or rolls back.

        Raises:
            DBAPIError: Trouble, as in all that follows; see `may_pass`.
            StoreUnavailable: Trouble that may pass, where no `DBAPIError` tells of it.
        """

    @abstractmethod
    def lock_places(self, on: Transaction, names: Sequence[str]) -> dict[str, Place]:
        """Lock the rows of rooms, everybody in one order, and return where they stand."""

    @abstractmethod
    def create_rooms(self, on: Transaction, names: Sequence[str]) -> None:
        """Insert rooms that were not there a moment ago, unless somebody else just did."""

    @abstractmethod
    def known(
        self, on: Transaction, keys: Sequence[MessageKey]
    ) -> Mapping[MessageKey, KnownMessage]:
        """Return what is stored under some of these keys."""

    @abstractmethod
    def insert_messages(
        self, on: Transaction, new: Sequence[NumberedMessage], *, node: str
    ) -> Sequence[int]:
        """Insert messages and return their ids, in the same order."""

    @abstractmethod
    def mark(self, on: Transaction, marked: Rows) -> None:
        """Set status 1 from above `marked` up to `handed` of room `moved` in epoch `of`."""

    @abstractmethod
    def move_rooms(self, on: Transaction, moved: Rows) -> None:
        """Write where rooms stand: `moved`, `of`, `head`, `handed` in each row."""


# Any: the columns are the caller's choice.
def select_by_keys(listed: FromClause, *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """Return the query for rows under some keys, which come as one list: a table to join with.

    A list of tuples after IN is what SQLite answers by reading the whole table, and MariaDB
    three times slower at a thousand (EXPLAIN and timing: SQLite 3.40, MariaDB 10.11).
    """
    return select(*columns).select_from(
        listed.join(
            messages,
            (messages.c.room == listed.c.room)
            & (messages.c.user == listed.c.user)
            & (messages.c.key == listed.c.key),
        )
    )


def places(rows: Iterable[Sequence[Any]]) -> dict[str, Place]:
    """Read what was selected as `PLACES`."""
    return {room: Place(Head(epoch, offset), handed) for room, epoch, offset, handed in rows}


def as_list(keys: Sequence[MessageKey]) -> dict[str, str]:
    """Return the parameter that the list of `select_by_keys` is read from."""
    names = list(KEY_COLUMNS)
    return {"listed": orjson.dumps([dict(zip(names, key, strict=True)) for key in keys]).decode()}


def one_line(error: BaseException) -> str:
    """Return what went wrong as the driver says it, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(cause).split()) or type(cause).__name__
