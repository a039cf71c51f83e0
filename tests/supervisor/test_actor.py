"""Actors written as classes."""

import contextlib

import attrs
import pytest
import trio

from greenroom.supervisor import (
    Actor,
    ActorCrashed,
    ChildSpec,
    DeadLetterReason,
    Down,
    Exit,
    Hooks,
    Ignore,
    NoReply,
    Request,
    Restart,
    StartFailed,
    UnhandledMessage,
    handles,
    open_supervisor,
)
from greenroom.supervisor.testing import Probe, settle


@attrs.frozen
class Add:
    n: int


@attrs.frozen
class Get(Request[int]):
    pass


@attrs.frozen
class SlowGet(Request[int]):
    pass


@attrs.frozen
class Divide(Request[float]):
    by: int


@attrs.frozen
class Special(Add):
    pass


class Counter(Actor[object]):
    def __init__(self, start=0, log=None):
        self.total = start
        self.log = [] if log is None else log

    async def started(self):
        self.log.append("started")
        return self.total

    async def stopping(self, exit_):
        await trio.sleep(1)
        self.log.append(exit_)

    @handles(Add)
    def add(self, message):
        self.total += message.n

    @handles(Get)
    def get(self, message):
        return self.total

    @handles(SlowGet)
    async def slow_get(self, message):
        await trio.sleep(2)
        return self.total

    @handles(Divide)
    def divide(self, message):
        return self.total / message.by

    @handles(str)
    def text(self, message):
        self.stop()


async def test_a_handler_s_return_value_is_the_reply(autojump_clock):
    async with open_supervisor([ChildSpec(id="c", start=Counter)]) as sup:
        await sup.ref("c").tell(Add(2))
        await sup.ref("c").tell(Add(3))
        assert await sup.ref("c").ask(Get()) == 5


async def test_handlers_may_be_async(autojump_clock):
    async with open_supervisor([ChildSpec(id="c", start=Counter, args=(7,))]) as sup:
        assert await sup.ref("c").ask(SlowGet()) == 7
        assert trio.current_time() == 2


async def test_each_incarnation_is_a_fresh_instance_with_the_spec_s_arguments(autojump_clock):
    async with open_supervisor([ChildSpec(id="c", start=Counter, args=(10,))]) as sup:
        ref = sup.ref("c")
        await ref.tell(Add(5))
        with pytest.raises(ActorCrashed):
            await ref.ask(Divide(0))
        assert await ref.ask(Get()) == 10


async def test_started_s_value_is_the_start_s_value(autojump_clock):
    async with open_supervisor() as sup:
        _, value = await sup.start_child_with_value(ChildSpec(id="c", start=Counter, args=(4,)))
        assert value == 4


@pytest.mark.parametrize(
    ("message", "expected"),
    [("stop", Exit.NORMAL), (Divide(0), Exit.CRASHED), (None, Exit.STOPPED)],
)
async def test_stopping_runs_in_the_grace_and_is_told_how_it_ended(
    autojump_clock, message, expected
):
    log = []
    spec = ChildSpec(id="c", start=Counter, args=(0, log), restart=Restart.TEMPORARY)
    async with open_supervisor([spec]) as sup:
        if message is not None:
            await sup.ref("c").tell(message)
        await trio.sleep(0.5)
    assert log == ["started", expected]


async def test_a_message_type_without_handler_is_a_dead_letter(autojump_clock):
    letters = []
    spec = ChildSpec(id="c", start=Counter)
    async with open_supervisor([spec], hooks=Hooks(dead_letter=letters.append)) as sup:
        await sup.ref("c").tell(3.5)
        assert await sup.ref("c").ask(Get()) == 0
    assert [(x.message, x.reason) for x in letters] == [(3.5, DeadLetterReason.UNHANDLED)]


async def test_a_request_without_handler_tells_its_asker(autojump_clock):
    @attrs.frozen
    class Unknown(Request[None]):
        pass

    async with open_supervisor([ChildSpec(id="c", start=Counter)]) as sup:
        with pytest.raises(UnhandledMessage):
            await sup.ref("c").ask(Unknown())
        assert sup.snapshot().children[0].incarnation == 1


async def test_subclasses_of_a_message_go_to_its_handler(autojump_clock):
    async with open_supervisor([ChildSpec(id="c", start=Counter)]) as sup:
        await sup.ref("c").tell(Special(9))
        assert await sup.ref("c").ask(Get()) == 9


async def test_a_subclass_inherits_handlers_and_may_replace_them(autojump_clock):
    class Doubling(Counter):
        @handles(Add)
        def add_twice(self, message):
            self.total += 2 * message.n

    async with open_supervisor([ChildSpec(id="c", start=Doubling)]) as sup:
        await sup.ref("c").tell(Add(2))
        assert await sup.ref("c").ask(Get()) == 4


async def test_an_error_in_init_or_started_fails_the_start(autojump_clock):
    class Broken(Actor[object]):
        async def started(self):
            raise ValueError("no database")

    with pytest.RaisesGroup(StartFailed) as info:
        async with open_supervisor([ChildSpec(id="c", start=Broken)]):
            pass
    assert isinstance(info.value.exceptions[0].__cause__, ValueError)


async def test_started_may_say_ignore(autojump_clock):
    class NotToday(Actor[object]):
        async def started(self):
            raise Ignore

    async with open_supervisor([ChildSpec(id="c", start=NotToday)]) as sup:
        assert sup.count_children().active == 0


async def test_a_handler_may_take_the_reply_and_answer_later(autojump_clock):
    class Later(Actor[object]):
        @handles(Get)
        def get(self, message):
            self.reply_to = self.inbox.take_reply()

        @handles(Add)
        def add(self, message):
            self.reply_to.reply(message.n)

    answers = []

    async def asks(ref):
        answers.append(await ref.ask(Get()))

    async with (
        open_supervisor([ChildSpec(id="c", start=Later)]) as sup,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(asks, sup.ref("c"))
        await settle()
        await sup.ref("c").tell(Add(1))
    assert answers == [1]


async def test_an_expired_request_s_nested_ask_does_not_crash_the_actor(autojump_clock):
    class Outer(Actor[object]):
        @handles(Get)
        async def get(self, message):
            return await self.inbox.supervisor.ref("slow").ask(SlowGet())

    specs = [ChildSpec(id="slow", start=Counter), ChildSpec(id="outer", start=Outer)]
    async with open_supervisor(specs) as sup:
        with trio.move_on_after(1) as scope:
            await sup.ref("outer").ask(Get())
        assert scope.cancelled_caught
        await settle()
        assert sup.snapshot().children[1].incarnation == 1
        assert await sup.ref("outer").ask(Get()) == 0


async def test_snapshot_and_restore_carry_state_over_a_crash(autojump_clock):
    class Remembering(Counter):
        def snapshot(self):
            return self.total

        def restore(self, state):
            self.total = state

    async with open_supervisor([ChildSpec(id="c", start=Remembering)]) as sup:
        ref = sup.ref("c")
        await ref.tell(Add(5))
        with pytest.raises(ActorCrashed):
            await ref.ask(Divide(0))
        assert await ref.ask(Get()) == 5


async def test_library_messages_go_through_the_same_handlers(autojump_clock):
    downs = []

    class Watcher(Actor[object]):
        async def started(self):
            self.inbox.watch(self.inbox.supervisor.ref("p"))

        @handles(Down)
        def down(self, message):
            downs.append(message.incarnation)

    probe = Probe()
    async with open_supervisor([probe.spec("p"), ChildSpec(id="w", start=Watcher)]):
        probe.crash()
        await settle()
    assert downs == [1]


async def test_a_message_of_the_library_without_handler_is_a_dead_letter_too(autojump_clock):
    letters = []

    class Ticking(Actor[object]):
        async def started(self):
            self.inbox.send_after(1, "tick")

    spec = ChildSpec(id="a", start=Ticking)
    async with open_supervisor([spec], hooks=Hooks(dead_letter=letters.append)):
        await trio.sleep(2)
    assert [(x.message, x.reason) for x in letters] == [("tick", DeadLetterReason.UNHANDLED)]


@attrs.frozen
class Who(Request[str]):
    name: str


async def test_a_handler_that_receives_answers_nobody_else_s_request(autojump_clock):
    class Greedy(Actor[object]):
        @handles(Who)
        async def who(self, message):
            if message.name == "first":
                await self.inbox.receive()
            return f"for {message.name}"

    outcomes = {}

    async def asks(ref, name):
        try:
            outcomes[name] = await ref.ask(Who(name))
        except NoReply as exc:
            outcomes[name] = type(exc)

    async with (
        open_supervisor([ChildSpec(id="a", start=Greedy)]) as sup,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(asks, sup.ref("a"), "first")
        await settle()
        nursery.start_soon(asks, sup.ref("a"), "second")
    assert outcomes == {"first": NoReply, "second": NoReply}


class Storing(Actor[object]):
    """Asks `store`, which takes two seconds, where it is told to."""

    def __init__(self, where, outcomes):
        self.where, self.outcomes = where, outcomes

    async def store(self):
        self.outcomes.append(await self.inbox.supervisor.ref("store").ask(SlowGet()))

    @handles(Get)
    async def get(self, message):
        if self.where == "handler":
            self.inbox.reply(1)
            await self.store()
        if self.where == "crash":
            raise ValueError
        self.stop()
        return 1

    async def stopping(self, exit_):
        if self.where != "handler":
            await self.store()


@pytest.mark.parametrize("where", ["handler", "stopping", "crash"])
async def test_the_deadline_of_a_request_caps_nothing_that_comes_after_it(autojump_clock, where):
    outcomes = []
    once = ChildSpec(id="a", start=Storing, args=(where, outcomes), restart=Restart.TEMPORARY)
    async with open_supervisor([ChildSpec(id="store", start=Counter), once]) as sup:
        with trio.move_on_after(1), contextlib.suppress(ActorCrashed):
            await sup.ref("a").ask(Get())
        await trio.sleep(5)
    assert outcomes == [0]


async def test_what_a_handler_had_in_hand_when_it_crashed_is_not_lost_by_its_clean_up(
    autojump_clock,
):
    letters = []

    class Draining(Actor[object]):
        @handles(str)
        async def crash(self, message):
            await trio.sleep(1)
            raise ValueError

        async def stopping(self, exit_):
            await self.inbox.receive()

    spec = ChildSpec(id="a", start=Draining, restart=Restart.TEMPORARY)
    async with open_supervisor([spec], hooks=Hooks(dead_letter=letters.append)) as sup:
        for message in ("in hand", "drained"):
            await sup.ref("a").tell(message)
        await trio.sleep(2)
    assert sorted(letter.message for letter in letters) == ["drained", "in hand"]
