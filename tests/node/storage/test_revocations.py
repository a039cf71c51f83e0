"""Revocations on every database, as the warden and `greenroom revoke` use them."""

import attrs
import pytest
import sqlalchemy

from greenroom.actors.rights.revocations import MARGIN_MS, Revocation
from greenroom.node.storage import SqlRevocations
from greenroom.node.storage.tables import revocations

NOW_MS = 1_800_000_000_000
ANN = Revocation(user="ann", at_ms=NOW_MS, until_ms=NOW_MS + 3_600_000)
TOKEN = Revocation(token_id="t1 ", at_ms=NOW_MS, until_ms=NOW_MS + 60_000)


@pytest.fixture
async def kept(store):
    """The table, empty."""
    await store.run(lambda connection: connection.execute(sqlalchemy.delete(revocations)))
    return SqlRevocations(store)


async def said(kept, *, after=0, now_ms=NOW_MS, limit=100):
    return [row.revocation for row in await kept.load(after=after, now_ms=now_ms, limit=limit)]


async def test_what_is_saved_comes_back_as_it_was(kept):
    odd = attrs.evolve(TOKEN, token_id="Grüße 🎈" + "x" * 248)
    end = attrs.evolve(ANN, user="Ann", until_ms=2**53 - 1)
    await kept.save([ANN, TOKEN, odd], now_ms=NOW_MS)
    await kept.save([end], now_ms=NOW_MS)
    assert await said(kept) == [ANN, TOKEN, odd, end]


async def test_it_is_read_page_by_page_and_only_what_is_new(kept):
    await kept.save([ANN, TOKEN], now_ms=NOW_MS)
    (first,) = await kept.load(after=0, now_ms=NOW_MS, limit=1)
    (second,) = await kept.load(after=first.number, now_ms=NOW_MS, limit=1)
    assert (first.revocation, second.revocation) == (ANN, TOKEN)
    assert await said(kept, after=second.number) == []
    await kept.save([ANN], now_ms=NOW_MS)
    assert await said(kept, after=second.number) == [ANN]


async def test_what_nobody_needs_any_more_is_not_read_and_is_deleted_in_passing(kept, store):
    await kept.save([TOKEN, ANN], now_ms=NOW_MS)
    over = TOKEN.until_ms + MARGIN_MS
    assert await said(kept, now_ms=over - 1) == [TOKEN, ANN]
    assert await said(kept, now_ms=over) == [ANN]
    await kept.save([], now_ms=over)
    count = sqlalchemy.select(sqlalchemy.func.count()).select_from(revocations)
    assert await store.run(lambda connection: connection.execute(count).scalar_one()) == 1


async def test_a_number_never_comes_back(kept):
    """Else a node that has seen it would not read the new row."""
    await kept.save([TOKEN], now_ms=NOW_MS)
    (before,) = await kept.load(after=0, now_ms=NOW_MS, limit=1)
    await kept.save([], now_ms=TOKEN.until_ms + MARGIN_MS)
    await kept.save([ANN], now_ms=NOW_MS)
    (after,) = await kept.load(after=0, now_ms=NOW_MS, limit=1)
    assert after.number > before.number
