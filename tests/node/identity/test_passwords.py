"""Which passwords can be, and hashes that keep nobody waiting but who asked."""

import threading

import argon2
import pytest
import trio
import trio.testing

from greenroom.node.identity.passwords import (
    COMMON,
    Argon2Hasher,
    HasherBusy,
    PasswordRefused,
    Verdict,
    check_new_password,
    make_argon2,
    normal_password,
)
from greenroom.node.settings.accounts import HashCost

CHEAP = HashCost(memory_kib=8, passes=1, lanes=1)
DEAR = HashCost(memory_kib=64 * 1024, passes=3, lanes=1)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("seven77", "at least 8"),
        ("x" * 8, "easily guessed"),
        ("PassWord", "easily guessed"),
        ("ann-marie", "not the name"),
        ("Eiram-Nna", "not the name"),
        ("ä" * 513, "at most 1024 bytes"),
        ("\udcff" * 8, "text"),
        (12345678, "Send"),
        (None, "Send"),
    ],
)
def test_what_is_no_password(password, why):
    with pytest.raises(PasswordRefused, match=why):
        check_new_password(password, name="Ann-Marie", least=8)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "        8 spaces are a choice",
        "🎈🎉🎊🎁🎂🍰🍾🥂",
        "ö" * 7 + "a",
    ],
)
def test_no_kind_of_character_is_asked_for(password):
    assert check_new_password(password, name="ann", least=8)


def test_a_password_is_one_however_a_keyboard_composed_it():
    assert normal_password("Zoe\u0308") == normal_password("Zo\u00eb")
    assert normal_password("\uff11\uff12") == "12"


def test_common_passwords_are_long_enough_to_be_asked_about():
    assert all(len(word) >= 8 and word == word.casefold() for word in COMMON)


async def test_a_hash_says_yes_to_its_password_alone():
    hasher = Argon2Hasher(CHEAP, at_once=1, waiting=1)
    hashed = await hasher.hash("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await hasher.verify(hashed, "correct horse") == Verdict(matches=True)
    assert await hasher.verify(hashed, "Correct horse") == Verdict(matches=False)
    assert await hasher.verify("rubbish", "correct horse") == Verdict(matches=False)


async def test_a_hash_of_other_parameters_is_good_and_outdated():
    old = make_argon2(HashCost(memory_kib=16, passes=1, lanes=1)).hash("correct horse")
    hasher = Argon2Hasher(CHEAP, at_once=1, waiting=1)
    assert await hasher.verify(old, "correct horse") == Verdict(matches=True, outdated=True)


async def test_nobodys_password_is_compared_with_the_same_work(monkeypatch):
    """What stands for no account has the shape and the parameters of any hash."""
    hasher = Argon2Hasher(CHEAP, at_once=1, waiting=1)
    hashed = await hasher.hash("correct horse")
    compared = []
    verify = argon2.PasswordHasher.verify

    def counted(self, against, password):
        compared.append(against.split("$"))
        return verify(self, against, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    assert await hasher.verify(None, "correct horse") == Verdict(matches=False)
    assert await hasher.verify(hashed, "wrong") == Verdict(matches=False)
    nobodys, anns = compared
    assert nobodys[1:4] == anns[1:4]
    assert [len(part) for part in nobodys] == [len(part) for part in anns]


class SlowHasher(Argon2Hasher):
    """Hashes that end when the test says so."""

    def __init__(self, **bounds):
        super().__init__(CHEAP, **bounds)
        self.running = 0
        self.most = 0
        self.go_on = threading.Semaphore(0)
        self.lock = threading.Lock()

    async def work(self):
        def wait():
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self.go_on.acquire()
            with self.lock:
                self.running -= 1

        await self._in_thread(wait)


async def until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # a thread makes it true
            await trio.sleep(0.002)


async def test_so_many_hashes_are_made_at_once_so_many_wait_and_one_more_is_sent_away():
    hasher = SlowHasher(at_once=2, waiting=3)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(hasher.work)
        await until(lambda: hasher.running == 2)
        with pytest.raises(HasherBusy):
            await hasher.work()
        for _ in range(5):
            hasher.go_on.release()
    assert hasher.most == 2


async def test_who_gives_up_waiting_leaves_the_place_to_another():
    hasher = SlowHasher(at_once=1, waiting=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hasher.work)
        await until(lambda: hasher.running == 1)
        for _ in range(10):
            with trio.move_on_after(0.001):
                await hasher.work()
        nursery.start_soon(hasher.work)
        for _ in range(2):
            hasher.go_on.release()


async def test_a_hash_nobody_waits_for_any_more_still_counts_as_one():
    """Otherwise clients that leave could have any number made, and all the memory."""
    hasher = SlowHasher(at_once=1, waiting=5)
    async with trio.open_nursery() as nursery:
        client = trio.CancelScope()
        nursery.start_soon(work_within, client, hasher)
        await until(lambda: hasher.running == 1)
        client.cancel()
        nursery.start_soon(hasher.work)
        await trio.testing.wait_all_tasks_blocked()
        assert hasher.running == 1
        for _ in range(2):
            hasher.go_on.release()
    assert hasher.most == 1


async def work_within(scope, hasher):
    with scope:
        await hasher.work()


async def test_who_waits_too_long_is_sent_away(monkeypatch):
    monkeypatch.setattr("greenroom.node.identity.passwords.PATIENCE_SECONDS", 0.01)
    hasher = SlowHasher(at_once=1, waiting=5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hasher.work)
        await until(lambda: hasher.running == 1)
        with pytest.raises(HasherBusy):
            await hasher.work()
        hasher.go_on.release()


async def test_the_event_loop_goes_on_while_a_real_hash_is_made():
    """At full cost, as the node makes them."""
    hasher = Argon2Hasher(DEAR, at_once=1, waiting=1)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await trio.sleep(0.001)
            ticks += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await hasher.hash("correct horse")
        nursery.cancel_scope.cancel()
    assert ticks > 10
