"""One check for all who ask at the same time."""

import pytest
import trio

from greenroom.node.http.health import Shared


class Check:
    """Takes a second; notes when it began."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.began.append(trio.current_time())
        error = self.error
        await trio.sleep(1)
        if error is not None:
            raise error


async def ask(shared, answers):
    asked = trio.current_time()
    try:
        await shared()
        answers.append((asked, trio.current_time(), None))
    except RuntimeError as error:
        answers.append((asked, trio.current_time(), error))


async def test_a_thousand_who_ask_at_once_are_answered_by_two_checks(autojump_clock):
    check, answers = Check(), []
    shared = Shared(check)
    async with trio.open_nursery() as nursery:
        for _ in range(1_000):
            nursery.start_soon(ask, shared, answers)
    assert len(check.began) <= 2
    assert len(answers) == 1_000


async def test_no_answer_is_older_than_its_question(autojump_clock):
    check, answers = Check(), []
    shared = Shared(check)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, shared, answers)
        await trio.sleep(0.5)
        check.error = RuntimeError("away")
        for _ in range(3):
            nursery.start_soon(ask, shared, answers)
    assert [(at - start, error) for _, at, error in answers] == [(1, None), *[(2, check.error)] * 3]
    assert len(check.began) == 2


async def test_one_who_gives_up_leaves_the_check_to_the_next(autojump_clock):
    check, answers = Check(), []
    shared = Shared(check)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            await shared()
        nursery.start_soon(ask, shared, answers)
    assert [error for _, _, error in answers] == [None]
    assert len(check.began) == 2


async def test_who_asks_later_is_answered_by_another(autojump_clock):
    check = Check()
    shared = Shared(check)
    await shared()
    check.error = RuntimeError("away")
    with pytest.raises(RuntimeError):
        await shared()
    check.error = None
    await shared()
    assert len(check.began) == 3


async def test_who_asked_during_a_check_that_was_given_up_is_not_told_of_an_older_one(
    autojump_clock,
):
    check, answers = Check(), []
    shared = Shared(check)
    await shared()
    check.error = RuntimeError("away")
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            nursery.start_soon(late_asker, shared, answers)
            await shared()
    assert [error for _, _, error in answers] == [check.error]


async def late_asker(shared, answers):
    await trio.sleep(0.2)
    await ask(shared, answers)
