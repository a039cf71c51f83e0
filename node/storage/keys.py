"""Which of a batch's keys are stored already: one query, by index on every engine.

A list of (room, user, key) tuples is what the others search by index and SQLite by reading the
whole table (seen with EXPLAIN QUERY PLAN, 3.40); so SQLite gets it as one JSON value to join with.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Dialect, Select, String, bindparam, func, select, tuple_

from greenroom.node.storage.numbering import MessageKey
from greenroom.node.storage.tables import messages

_list = func.json_each(bindparam("keys", type_=String)).table_valued("value", name="wanted")


def _item(index: int) -> ColumnElement[str]:
    return func.json_extract(_list.c.value, f"$[{index}]", type_=String)


# Any: the columns are the caller's choice.
def select_known(dialect: Dialect, *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """Return the query for rows under some keys; its parameters come from `known_parameters`."""
    if dialect.name == "sqlite":
        return select(*columns).select_from(
            _list.join(
                messages,
                (messages.c.room == _item(0))
                & (messages.c.user == _item(1))
                & (messages.c.key == _item(2)),
            )
        )
    key = tuple_(messages.c.room, messages.c.user, messages.c.key)
    return select(*columns).where(key.in_(bindparam("keys", expanding=True)))


def known_parameters(dialect: Dialect, keys: Sequence[MessageKey]) -> dict[str, object]:
    """Return the parameters that go with `select_known`."""
    return {"keys": orjson.dumps(keys).decode() if dialect.name == "sqlite" else list(keys)}
