"""The doorkeeper: one question at a time about one thing, bounded, and never in anybody's way."""

import pytest
import trio

from greenroom.actors.ports import GateUnavailable
from greenroom.actors.rights import doorkeeper
from greenroom.actors.rights.doorkeeper import AskRights, doorkeeper_spec
from greenroom.actors.services import CastLimits
from greenroom.protocol import ALL_RIGHTS, NO_RIGHTS
from greenroom.supervisor import open_supervisor


class Gate:
    """Lets ann in everywhere, with switches for trouble."""

    def __init__(self) -> None:
        self.asked = []
        self.error = None
        self.seconds = 0.0
        self.most = 0
        self._now = 0

    async def rights_in(self, room, user):
        self.asked.append((room, user))
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await trio.sleep(self.seconds)
        finally:
            self._now -= 1
        if self.error is not None:
            raise self.error
        return ALL_RIGHTS if user == "ann" else None


async def ask_all(ref, questions):
    """The answers, or what was raised instead."""
    answers = {}

    async def ask(number, question):
        try:
            answers[number] = await ref.ask(question)
        except GateUnavailable as trouble:
            answers[number] = str(trouble)

    async with trio.open_nursery() as nursery:
        for number, question in enumerate(questions):
            nursery.start_soon(ask, number, question)
    return [answers[number] for number in range(len(questions))]


def keep(gate, **limits):
    return open_supervisor([doorkeeper_spec(gate, CastLimits(**limits))])


async def test_an_answer_is_remembered_for_a_while_also_a_no(autojump_clock):
    gate = Gate()
    async with keep(gate, gate_memory_seconds=5) as sup:
        ref = sup.ref("doorkeeper")
        for _ in range(3):
            assert await ref.ask(AskRights("private:a", "ann")) == ALL_RIGHTS
            assert await ref.ask(AskRights("private:a", "bob")) == NO_RIGHTS
        assert len(gate.asked) == 2
        await trio.sleep(1)  # a no is soon forgotten: who is invited tries again
        assert await ref.ask(AskRights("private:a", "ann")) == ALL_RIGHTS
        assert await ref.ask(AskRights("private:a", "bob")) == NO_RIGHTS
        assert len(gate.asked) == 3
        await trio.sleep(4)
        await ref.ask(AskRights("private:a", "ann"))
        assert len(gate.asked) == 4


async def test_a_question_that_many_have_is_asked_once(autojump_clock):
    gate = Gate()
    gate.seconds = 1
    async with keep(gate) as sup:
        answers = await ask_all(sup.ref("doorkeeper"), [AskRights("private:a", "ann")] * 50)
        assert answers == [ALL_RIGHTS] * 50
        assert len(gate.asked) == 1


async def test_a_slow_gate_holds_up_nobody_whose_answer_is_known(autojump_clock):
    gate = Gate()
    async with keep(gate) as sup:
        ref = sup.ref("doorkeeper")
        await ref.ask(AskRights("private:a", "ann"))
        gate.seconds = 1000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_all, ref, [AskRights(f"private:{n}", "ann") for n in range(9)])
            await trio.sleep(0.1)
            with trio.fail_after(0.01):
                assert await ref.ask(AskRights("private:a", "ann")) == ALL_RIGHTS


async def test_a_gate_that_does_not_answer_is_not_waited_for(autojump_clock):
    gate = Gate()
    gate.seconds = 1000
    async with keep(gate, gate_seconds=3, gate_questions_at_once=2) as sup:
        started = trio.current_time()
        questions = [AskRights(f"private:{number}", "ann") for number in range(10)]
        answers = await ask_all(sup.ref("doorkeeper"), questions)
        assert answers == ["no answer in time"] * 10
        assert trio.current_time() - started == pytest.approx(3)
        assert gate.most == 2


async def test_who_tries_every_door_keeps_nobody_waiting(autojump_clock):
    gate = Gate()
    gate.seconds = 1.0
    async with keep(gate, gate_seconds=3) as sup:
        ref = sup.ref("doorkeeper")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_all, ref, [AskRights(f"private:{n}", "eve") for n in range(99)])
            await trio.sleep(0.1)
            with trio.fail_after(1.1):
                assert await ref.ask(AskRights("private:a", "ann")) == ALL_RIGHTS
        assert gate.most == 5


@pytest.mark.parametrize("error", [GateUnavailable("away"), RuntimeError("a bug")])
async def test_trouble_is_not_remembered_and_crashes_nobody(autojump_clock, error, caplog):
    gate = Gate()
    gate.error = error
    async with keep(gate) as sup:
        ref = sup.ref("doorkeeper")
        with pytest.raises(GateUnavailable):
            await ref.ask(AskRights("private:a", "ann"))
        gate.error = None
        assert await ref.ask(AskRights("private:a", "ann")) == ALL_RIGHTS
        (child,) = sup.snapshot().children
        assert child.incarnation == 1


async def test_a_gate_that_fails_is_said_once_and_that_it_answers_again_too(autojump_clock, caplog):
    caplog.set_level("INFO", "greenroom.actors.rights.doorkeeper")
    gate = Gate()
    async with keep(gate, gate_seconds=3) as sup:
        for error, seconds in [(GateUnavailable("answered 404"), 0), (None, 60), (None, 0)]:
            gate.error, gate.seconds = error, seconds
            questions = [AskRights(f"private:{number}", "ann") for number in range(5)]
            await ask_all(sup.ref("doorkeeper"), questions)
    assert [record.getMessage() for record in caplog.records] == [
        "the gate does not say who may enter: answered 404",
        "the gate says again who may enter",
    ]


async def test_questions_and_answers_are_bounded(autojump_clock, monkeypatch):
    monkeypatch.setattr(doorkeeper, "MOST_QUESTIONS", 10)
    monkeypatch.setattr(doorkeeper, "MOST_REMEMBERED", 5)
    gate = Gate()
    gate.seconds = 0.1
    async with keep(gate) as sup:
        ref = sup.ref("doorkeeper")
        answers = await ask_all(ref, [AskRights(f"private:{n}", "ann") for n in range(12)])
        assert answers.count(ALL_RIGHTS) == 10
        assert answers.count("too many questions") == 2
        for number in range(20, 26):
            await ref.ask(AskRights(f"private:{number}", "ann"))
        assert len(gate.asked) == 16
        for number in range(21, 26):
            await ref.ask(AskRights(f"private:{number}", "ann"))
        assert len(gate.asked) == 16
        await ref.ask(AskRights("private:20", "ann"))
        assert len(gate.asked) == 17
