"""What a database's complaint tells, which a crash would log."""

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from greenroom.node.storage.tables import accounts, messages, revocations


@pytest.mark.parametrize("many", [False, True], ids=["one row", "many rows"])
async def test_no_error_holds_what_was_to_be_written(place, many):
    """What somebody wrote, or a password's hash. The driver's own words name columns and keys."""
    row = dict.fromkeys(("room", "epoch", "key", "content"), "between you and me")
    statement, rows = insert(messages), [row, row] if many else row
    engine = place.database().engine
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(statement, rows)
    engine.dispose()
    assert "between you and me" not in str(caught.value)
    assert "INSERT INTO messages" in str(caught.value)


async def test_nor_does_one_of_a_value_that_does_not_fit(place):
    engine = place.database().engine
    row = {"user": "between you and me", "revoked_at": None, "kept_until": 0}
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(insert(revocations), row)
    engine.dispose()
    assert "between you and me" not in str(caught.value)


@pytest.mark.parametrize("name", ["between you and me", "it's between 'you' for key 'me'"])
async def test_nor_does_one_of_a_name_that_is_there_already(place, name):
    row = {"key": name, "name": "", "password": "", "disabled": 0}
    row |= {"created": 0, "password_changed": 0}
    engine = place.database().engine
    with engine.begin() as connection:
        connection.execute(insert(accounts), row)
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(insert(accounts), row)
    engine.dispose()
    assert "between" not in str(caught.value)
    assert "accounts" in str(caught.value)
