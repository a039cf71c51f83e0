"""Accounts on every database."""

import attrs
import pytest
import sqlalchemy
import trio

from greenroom.node.storage.accounts import (
    Account,
    NameTaken,
    SqlAccounts,
    list_accounts,
    set_disabled,
    set_password,
)
from greenroom.node.storage.tables import accounts

ANN = Account(key="ann", name="Ann", password_hash="$argon2id$1", created_ms=1, changed_ms=1)


@pytest.fixture
async def book(store):
    await store.run(lambda connection: connection.execute(sqlalchemy.delete(accounts)))
    return SqlAccounts(store)


async def test_an_account_comes_back_as_it_was_and_by_its_key_alone(book):
    await book.add(ANN)
    assert await book.find("ann") == ANN
    for key in ("Ann", "ann ", "än", "a"):
        assert await book.find(key) is None


async def test_a_name_is_given_once(book):
    await book.add(ANN)
    with pytest.raises(NameTaken):
        await book.add(attrs.evolve(ANN, name="ANN"))
    assert (await book.find("ann")).name == "Ann"


async def test_of_two_who_register_one_name_at_once_one_has_it(book):
    taken = []

    async def add(name):
        try:
            await book.add(attrs.evolve(ANN, name=name))
        except NameTaken:
            taken.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("Ann", "aNN", "ANN"):
            nursery.start_soon(add, name)
    assert len(taken) == 2
    assert (await book.find("ann")).name not in taken


async def test_a_password_is_replaced_only_in_the_place_of_the_one_that_was_checked(book):
    await book.add(ANN)
    assert await book.replace_password("ann", old="$argon2id$1", new="$argon2id$2", changed_ms=5)
    assert not await book.replace_password("ann", old="$argon2id$1", new="x", changed_ms=6)
    found = await book.find("ann")
    assert (found.password_hash, found.changed_ms, found.created_ms) == ("$argon2id$2", 5, 1)


async def test_an_operator_sets_passwords_disables_enables_and_lists(store, book):
    bob = attrs.evolve(ANN, key="bob", name="bob")
    for account in (bob, ANN):
        await book.add(account)
    assert await store.run(lambda c: set_password(c, "ann", "$argon2id$3", changed_ms=9))
    assert not await store.run(lambda c: set_password(c, "eve", "$argon2id$3", changed_ms=9))
    for _ in range(2):  # said twice, it is no error
        assert await store.run(lambda c: set_disabled(c, "bob", disabled=True))
    assert not await store.run(lambda c: set_disabled(c, "eve", disabled=True))
    changed = attrs.evolve(ANN, password_hash="$argon2id$3", changed_ms=9)
    assert await store.run(list_accounts) == [changed, attrs.evolve(bob, disabled=True)]
    assert await store.run(lambda c: set_disabled(c, "bob", disabled=False))
    assert not (await book.find("bob")).disabled
