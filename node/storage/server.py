"""What PostgreSQL and MariaDB have in common: SQLAlchemy Core, and rows locked one by one."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Engine, FromClause, Select, insert, select
from sqlalchemy.types import TypeEngine

from greenroom.node.storage.dialect import (
    KEY_COLUMNS,
    MARK,
    MOVE_ROOM,
    PLACES,
    Dialect,
    Rows,
    as_list,
    places,
    select_by_keys,
)
from greenroom.node.storage.numbering import KnownMessage, MessageKey, NumberedMessage, Place
from greenroom.node.storage.rows import KNOWN, NEW, known, new_row
from greenroom.node.storage.tables import history, messages, rooms

# Told apart by their places: asked for ids in order, SQLAlchemy sends some databases one by one.
_INSERT = insert(messages).returning(messages.c.id, messages.c.room, messages.c.offset)
_NEW_NAMES = [column.name for column in NEW]


class ServerDialect(Dialect[Connection]):
    """One database of a server."""

    one_writer: ClassVar[bool] = False

    def __init__(self) -> None:
        self._select_known = self.select_known(*KNOWN)

    @abstractmethod
    def listed(self, columns: Mapping[str, TypeEngine[str]]) -> FromClause:
        """Return the bound list "listed" (JSON, from `as_list`) as a table to join with."""

    @abstractmethod
    def insert_rooms(self, on: Connection, new: Rows) -> None:
        """Insert rooms, in order, and pass over what another node has just made."""

    # Any: the columns are the caller's choice.
    def select_known(self, *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
        """Return the query for rows under keys that `as_list` gives."""
        return select_by_keys(self.listed(KEY_COLUMNS), *columns)

    def begin(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Take a connection of the pool, and a transaction."""
        return engine.begin()

    def lock_places(self, on: Connection, names: Sequence[str]) -> dict[str, Place]:
        """Lock row by row, in the order of the names."""
        query = PLACES.where(rooms.c.room.in_(names))
        return places(on.execute(query.with_for_update()))

    def create_rooms(self, on: Connection, names: Sequence[str]) -> None:
        """Insert them, unless another node just did, in the epoch of the whole history."""
        epoch = on.execute(select(history.c.epoch)).scalar_one()
        self.insert_rooms(
            on, [{"room": name, "epoch": epoch, "offset": 0, "dispatched": 0} for name in names]
        )

    def known(
        self, on: Connection, keys: Sequence[MessageKey]
    ) -> Mapping[MessageKey, KnownMessage]:
        """Look them up, all in one statement."""
        return dict(map(known, on.execute(self._select_known, as_list(keys))))

    def insert_messages(
        self, on: Connection, new: Sequence[NumberedMessage], *, node: str
    ) -> Sequence[int]:
        """Insert them, all in one statement."""
        rows = [dict(zip(_NEW_NAMES, new_row(one, node), strict=True)) for one in new]
        ids = {(room, offset): id for id, room, offset in on.execute(_INSERT, rows)}
        return [ids[one.message.room, one.offset] for one in new]

    def mark(self, on: Connection, marked: Rows) -> None:
        """One UPDATE a room."""
        on.execute(MARK, list(marked))

    def move_rooms(self, on: Connection, moved: Rows) -> None:
        """One UPDATE a room, sent together."""
        on.execute(MOVE_ROOM, list(moved))
