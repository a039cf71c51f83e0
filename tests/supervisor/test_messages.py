"""What becomes of messages: tell, ask, crashes, policies, deadlines, cycles, watches, timers."""

# ruff: noqa: PERF401, SIM117  an actor's loop is a loop; nested blocks say what ends first

import gc
import math

import attrs
import pytest
import trio

from greenroom.supervisor import (
    ActorCrashed,
    ActorStopped,
    AskCycle,
    Backoff,
    ChildSpec,
    Completion,
    DeadLetterReason,
    Down,
    DownReason,
    Hooks,
    InboxFull,
    IncarnationEnded,
    NameEvent,
    NameTaken,
    NoReply,
    NotARequest,
    Overflow,
    Request,
    RequestExpired,
    Restart,
    RestartLimit,
    StashFull,
    Strategy,
    open_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle

PLENTY = RestartLimit(max_restarts=10_000, max_seconds=1)
ONCE = {"restart": Restart.TEMPORARY}


@attrs.frozen
class Echo(Request[object]):
    value: object = None


@attrs.frozen
class Crash(Request[None]):
    pass


async def never(inbox, *, task_status):
    """Starts and receives nothing."""
    task_status.started()
    await trio.sleep_forever()


async def echo(inbox, *, task_status):
    task_status.started()
    async for message in inbox:
        if isinstance(message, Crash):
            raise ProbeCrash
        inbox.reply(message.value)


async def test_messages_of_one_sender_arrive_in_order(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec(inbox_capacity=7)]) as sup:
        ref = sup.ref("probe")
        for i in range(1000):
            await ref.tell(i)
        await settle()
    assert probe.received == list(range(1000))


async def test_tell_waits_for_room(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=never, inbox_capacity=2)]) as sup:
        ref = sup.ref("a")
        await ref.tell(1)
        await ref.tell(2)
        with trio.move_on_after(1) as scope:
            await ref.tell(3)
        assert scope.cancelled_caught
        assert sup.snapshot().children[0].inbox.waiting == 2


async def test_waiting_senders_are_served_in_order(autojump_clock):
    gate = trio.Event()
    got = []

    async def slow(inbox, *, task_status):
        task_status.started()
        await gate.wait()
        async for message in inbox:
            got.append(message)

    async with open_supervisor([ChildSpec(id="a", start=slow, inbox_capacity=1)]) as sup:
        async with trio.open_nursery() as nursery:
            for i in range(5):
                nursery.start_soon(sup.ref("a").tell, i)
                await settle()
            gate.set()
        await settle()
    assert got == [0, 1, 2, 3, 4]


async def test_tell_nowait_raises_inbox_full_which_is_a_would_block(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=never, inbox_capacity=1)]) as sup:
        sup.ref("a").tell_nowait(1)
        with pytest.raises(InboxFull) as info:
            sup.ref("a").tell_nowait(2)
        assert isinstance(info.value, trio.WouldBlock)
        assert info.value.capacity == 1


async def test_what_waits_survives_a_crash_in_order_exactly_once(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()], limit=PLENTY) as sup:
        await settle()
        probe.crash()
        for i in range(50):
            sup.ref("probe").tell_nowait(i)
        await settle()
        assert probe.received == list(range(50))
        assert len(probe.started_at) == 2


async def test_the_message_in_hand_at_a_crash_is_a_dead_letter(autojump_clock):
    letters = []
    got = []

    async def picky(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            if message == "poison":
                raise ProbeCrash
            got.append(message)

    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=picky)], hooks=hooks) as sup:
        for message in ("one", "poison", "two"):
            await sup.ref("a").tell(message)
        await settle()
    assert got == ["one", "two"]
    [letter] = letters
    assert (letter.message, letter.reason, letter.path) == (
        "poison",
        DeadLetterReason.IN_HAND,
        "root/a",
    )


async def test_a_message_is_redelivered_at_most_n_times_before_those_behind_it(autojump_clock):
    got, letters = [], []

    async def picky(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            got.append(message)
            if message == "poison":
                raise ProbeCrash

    spec = ChildSpec(id="a", start=picky, redeliver_at_most=2)
    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([spec], limit=PLENTY, hooks=hooks) as sup:
        await sup.ref("a").tell("poison")
        await sup.ref("a").tell("next")
        await settle()
    assert got == ["poison", "poison", "poison", "next"]
    assert [letter.message for letter in letters] == ["poison"]


async def test_the_ask_of_a_redelivered_message_stays_open(autojump_clock):
    tries = []

    async def second_time_lucky(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            tries.append(inbox.incarnation)
            if len(tries) == 1:
                raise ProbeCrash
            inbox.reply("done")

    spec = ChildSpec(id="a", start=second_time_lucky, redeliver_at_most=1)
    async with open_supervisor([spec]) as sup:
        assert await sup.ref("a").ask(Echo()) == "done"
    assert tries == [1, 2]


async def test_a_whole_batch_is_in_hand_and_is_redelivered_in_order(autojump_clock):
    batches = []

    async def batching(inbox, *, task_status):
        task_status.started()
        while True:
            batch = await inbox.receive_batch(3)
            batches.append([e.message for e in batch])
            if len(batches) == 1:
                raise ProbeCrash

    spec = ChildSpec(id="a", start=batching, redeliver_at_most=1)
    async with open_supervisor([spec]) as sup:
        for i in range(5):
            sup.ref("a").tell_nowait(i)
        await settle()
    assert batches == [[0, 1, 2], [0, 1, 2], [3, 4]]


async def test_receive_batch_nowait_adds_to_what_is_in_hand(autojump_clock):
    letters, batches = [], []

    async def batching(inbox, *, task_status):
        task_status.started()
        batch = await inbox.receive_batch(2)
        more = inbox.receive_batch_nowait(2)
        batches.append(([e.message for e in batch], [e.message for e in more]))
        raise ProbeCrash

    spec = ChildSpec(id="a", start=batching, restart=Restart.TEMPORARY)
    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([spec], hooks=hooks) as sup:
        ref = sup.ref("a")
        for i in range(5):
            ref.tell_nowait(i)
        await settle()
    assert batches == [([0, 1], [2, 3])]
    assert [(x.message, x.reason) for x in letters] == [
        (0, DeadLetterReason.IN_HAND),
        (1, DeadLetterReason.IN_HAND),
        (2, DeadLetterReason.IN_HAND),
        (3, DeadLetterReason.IN_HAND),
        (4, DeadLetterReason.STOPPED),
    ]


async def test_answered_asks_of_a_batch_are_not_dead_letters(autojump_clock):
    letters = []

    gate = trio.Event()

    async def batching(inbox, *, task_status):
        task_status.started()
        await gate.wait()
        first, _ = await inbox.receive_batch(2)
        first.reply_to.reply("ok")
        raise ProbeCrash

    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=batching, **ONCE)], hooks=hooks) as sup:
        ref = sup.ref("a")
        async with trio.open_nursery() as nursery:

            async def first():
                assert await ref.ask(Echo(1)) == "ok"

            async def second():
                with pytest.raises(ActorCrashed):
                    await ref.ask(Echo(2))

            nursery.start_soon(first)
            await settle()
            nursery.start_soon(second)
            await settle()
            gate.set()
    assert [(x.message, x.asked) for x in letters] == [(Echo(2), True)]


async def test_ten_thousand_random_cancels_of_a_receiving_actor_lose_no_message(autojump_clock):
    import random

    rng = random.Random(1)
    got = []

    async def flaky(inbox, *, task_status):
        task_status.started()
        while True:
            with trio.move_on_after(rng.choice((0, 0.001, 0.002))):
                got.append(await inbox.receive())

    sent = 0
    async with open_supervisor([ChildSpec(id="a", start=flaky)]) as sup:
        ref = sup.ref("a")
        for i in range(10_000):
            with trio.move_on_after(rng.choice((0, 0.001))):
                await ref.tell(i)
                sent += 1
            if i % 7 == 0:
                await trio.sleep(0.001)
        await trio.sleep(5)
    assert len(got) == sent
    assert got == sorted(got)


async def test_stopping_a_receiving_actor_loses_no_message(autojump_clock):
    got, letters = [], []

    async def child(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            got.append(message)

    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=child)], hooks=hooks) as sup:
        ref = sup.ref("a")
        for i in range(1000):
            ref.tell_nowait(i)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sup.terminate_child, "a")
            await sup.restart_child("a")
        await settle()
    assert sorted(got + [x.message for x in letters]) == list(range(1000))


# --- ask


async def test_ask_returns_the_reply(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=echo)]) as sup:
        assert await sup.ref("a").ask(Echo(42)) == 42


async def test_ask_raises_actor_crashed_when_its_incarnation_crashes(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=echo)]) as sup:
        with pytest.raises(ActorCrashed) as info:
            await sup.ref("a").ask(Crash())
        assert "ProbeCrash" in str(info.value)


async def test_asks_that_wait_are_answered_by_the_next_incarnation(autojump_clock):
    backoff = Backoff(initial_seconds=5, jitter=0)
    async with open_supervisor([ChildSpec(id="a", start=echo, backoff=backoff)]) as sup:
        ref = sup.ref("a")
        with pytest.raises(ActorCrashed):
            await ref.ask(Crash())
        assert await ref.ask(Echo(1)) == 1
        assert trio.current_time() == 5


async def test_ask_of_a_stopped_actor_raises_actor_stopped(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=echo)]) as sup:
        await sup.terminate_child("a")
        with pytest.raises(ActorStopped):
            await sup.ref("a").ask(Echo())


async def test_asks_that_wait_end_when_the_actor_stops_for_good(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=never)]) as sup:
        async with trio.open_nursery() as nursery:

            async def asks():
                with pytest.raises(ActorStopped):
                    await sup.ref("a").ask(Echo())

            nursery.start_soon(asks)
            await settle()
            await sup.terminate_child("a")


async def test_ask_after_the_tree_has_ended_raises_actor_stopped(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=echo)]) as sup:
        ref = sup.ref("a")
    with pytest.raises(ActorStopped):
        await ref.ask(Echo())


async def test_tell_to_a_stopped_actor_is_a_dead_letter_and_no_error(autojump_clock):
    letters = []
    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=echo)], hooks=hooks) as sup:
        await sup.terminate_child("a")
        await sup.ref("a").tell("anyone?")
    assert [(x.message, x.reason) for x in letters] == [("anyone?", DeadLetterReason.STOPPED)]


async def test_what_nobody_misses_is_no_dead_letter_but_asks_hear_of_the_end(autojump_clock):
    """Neither in hand nor in the inbox, neither at a crash nor at the end nor after it."""
    letters = []
    hooks = Hooks(dead_letter=letters.append)

    async def crashing_once(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            if inbox.incarnation == 1:
                raise ProbeCrash
            await trio.sleep_forever()

    spec = ChildSpec(id="a", start=crashing_once, dead_letters=False)
    async with open_supervisor([spec], hooks=hooks) as sup:
        ref = sup.ref("a")
        for number in range(3):
            await ref.tell(number)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(ActorStopped):
                    await ref.ask(Echo())

            nursery.start_soon(ask)
            await settle()
            await sup.terminate_child("a")
        await ref.tell("too late")
    assert not letters


async def test_senders_that_wait_for_room_go_on_when_the_actor_stops(autojump_clock):
    letters = []
    hooks = Hooks(dead_letter=letters.append)
    spec = ChildSpec(id="a", start=never, inbox_capacity=1)
    async with open_supervisor([spec], hooks=hooks) as sup:
        async with trio.open_nursery() as nursery:
            for i in range(3):
                nursery.start_soon(sup.ref("a").tell, i)
            await settle()
            await sup.terminate_child("a")
    assert sorted(x.message for x in letters) == [0, 1, 2]


async def test_an_unanswered_request_ends_with_no_reply(autojump_clock):
    async def mute(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            pass

    async with open_supervisor([ChildSpec(id="a", start=mute)]) as sup:
        with pytest.raises(NoReply):
            await sup.ref("a").ask(Echo())


async def test_returning_with_an_unanswered_request_in_hand_ends_the_ask(autojump_clock):
    async def once(inbox, *, task_status):
        task_status.started()
        await inbox.receive()

    async with open_supervisor([ChildSpec(id="a", start=once, **ONCE)]) as sup:
        with pytest.raises(ActorStopped):
            await sup.ref("a").ask(Echo())


async def test_a_taken_reply_can_be_given_later(autojump_clock):
    async def later(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        first = inbox.take_reply()
        await inbox.receive()
        inbox.reply("second")
        await trio.sleep(3)
        first.reply("first")
        await trio.sleep_forever()

    answers = []
    async with open_supervisor([ChildSpec(id="a", start=later)]) as sup:

        async def ask(value):
            answers.append((await sup.ref("a").ask(Echo(value)), trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 1)
            await settle()
            nursery.start_soon(ask, 2)
    assert answers == [("second", 0), ("first", 3)]


async def test_dropping_a_taken_reply_ends_the_ask(autojump_clock):
    async def drops(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        inbox.take_reply()
        gc.collect()
        await trio.sleep_forever()

    async with open_supervisor([ChildSpec(id="a", start=drops)]) as sup:
        with pytest.raises(NoReply):
            await sup.ref("a").ask(Echo())


async def test_a_crash_ends_the_asks_whose_replies_were_taken(autojump_clock):
    kept = []

    async def keeps(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        kept.append(inbox.take_reply())
        raise ProbeCrash

    async with open_supervisor([ChildSpec(id="a", start=keeps, **ONCE)]) as sup:
        with pytest.raises(ActorCrashed):
            await sup.ref("a").ask(Echo())
        kept[0].reply("too late, and harmless")


async def test_fail_gives_the_asker_an_error_without_a_crash(autojump_clock):
    async def refuses(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            inbox.fail(KeyError("no"))

    async with open_supervisor([ChildSpec(id="a", start=refuses)]) as sup:
        for _ in range(2):
            with pytest.raises(KeyError):
                await sup.ref("a").ask(Echo())
        assert sup.snapshot().children[0].incarnation == 1


async def test_replying_twice_is_an_error_of_the_actor(autojump_clock):
    errors = []

    async def twice(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            inbox.reply(1)
            try:
                inbox.reply(2)
            except NotARequest as exc:
                errors.append(exc)

    async with open_supervisor([ChildSpec(id="a", start=twice)]) as sup:
        assert await sup.ref("a").ask(Echo()) == 1
        await settle()
    assert len(errors) == 1


async def test_replying_to_a_request_that_was_told_does_nothing(autojump_clock):
    async with open_supervisor([ChildSpec(id="a", start=echo)]) as sup:
        await sup.ref("a").tell(Echo(1))
        assert await sup.ref("a").ask(Echo(2)) == 2
        assert sup.snapshot().children[0].incarnation == 1


async def test_a_late_reply_is_harmless(autojump_clock):
    async def slow(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            await trio.sleep(5)
            inbox.reply(message.value)

    async with open_supervisor([ChildSpec(id="a", start=slow)]) as sup:
        with trio.move_on_after(1):
            await sup.ref("a").ask(Echo(1))
        assert await sup.ref("a").ask(Echo(2)) == 2
        assert sup.snapshot().children[0].incarnation == 1


async def test_a_request_that_expired_before_its_turn_is_skipped(autojump_clock):
    seen = []

    async def slow(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            seen.append(message.value)
            await trio.sleep(5)
            inbox.reply(None)

    async with open_supervisor([ChildSpec(id="a", start=slow)]) as sup:
        ref = sup.ref("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.ask, Echo(1))
            await settle()
            with trio.move_on_after(1):
                await ref.ask(Echo(2))
            await ref.ask(Echo(3))
        assert seen == [1, 3]
        assert sup.snapshot().children[0].inbox.skipped == 1


async def test_nested_asks_are_capped_by_the_request_s_deadline(autojump_clock):
    ended = []

    async def outer(inbox, inner, *, task_status):
        task_status.started()
        async for _ in inbox:
            try:
                await inner().ask(Echo())
            except RequestExpired:
                ended.append(trio.current_time())

    async with open_supervisor([ChildSpec(id="inner", start=never)]) as sup:
        spec = ChildSpec(id="outer", start=outer, args=(lambda: sup.ref("inner"),))
        ref = await sup.start_child(spec)
        with trio.move_on_after(2):
            await ref.ask(Echo())
        await settle()
    assert ended == [2]


async def test_asking_oneself_is_an_error(autojump_clock):
    errors = []

    async def selfish(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            try:
                await inbox.ref.ask(Echo())
            except AskCycle as exc:
                errors.append(exc.actors)

    async with open_supervisor([ChildSpec(id="a", start=selfish)]) as sup:
        await sup.ref("a").tell("go")
        await settle()
    assert errors == [("root/a", "root/a")]


async def test_a_cycle_of_asks_is_reported_with_its_names(autojump_clock):
    errors = []

    async def asks_next(inbox, target, *, task_status):
        task_status.started()
        async for _ in inbox:
            try:
                await inbox.supervisor.ref(target).ask(Echo())
            except AskCycle as exc:
                errors.append(exc.actors)
            inbox.answer(None)

    specs = [
        ChildSpec(id="a", start=asks_next, args=("b",)),
        ChildSpec(id="b", start=asks_next, args=("c",)),
        ChildSpec(id="c", start=asks_next, args=("a",)),
    ]
    async with open_supervisor(specs) as sup:
        with trio.fail_after(1):
            await sup.ref("a").ask(Echo())
    assert errors == [("root/c", "root/a", "root/b", "root/c")]


async def test_a_waiting_tell_that_closes_a_cycle_is_an_error(autojump_clock):
    errors = []

    async def asks_b(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        await inbox.supervisor.ref("b").ask(Echo())
        await trio.sleep_forever()

    async def tells_a(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            try:
                for i in range(3):
                    await inbox.supervisor.ref("a").tell(i)
            except AskCycle as exc:
                errors.append(exc.actors)
            inbox.answer(None)

    specs = [
        ChildSpec(id="a", start=asks_b, inbox_capacity=1),
        ChildSpec(id="b", start=tells_a),
    ]
    async with open_supervisor(specs) as sup:
        await sup.ref("a").tell("go")
        await settle()
    assert errors == [("root/b", "root/a", "root/b")]


async def test_no_cycle_while_a_helper_task_does_the_asking(autojump_clock):
    done = []

    async def with_helper(inbox, *, task_status):
        async def helper():
            done.append(await inbox.supervisor.ref("b").ask(Echo()))

        async with trio.open_nursery() as nursery:
            task_status.started()
            nursery.start_soon(helper)
            async for _ in inbox:
                inbox.reply("answered meanwhile")

    async def asks_back(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            inbox.reply(await inbox.supervisor.ref("a").ask(Echo()))

    specs = [ChildSpec(id="a", start=with_helper), ChildSpec(id="b", start=asks_back)]
    async with open_supervisor(specs):
        await settle()
    assert done == ["answered meanwhile"]


async def test_an_asker_already_answered_makes_no_cycle(autojump_clock):
    """b answers a, and asks a before a has run again."""
    done = []

    async def a(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        await inbox.supervisor.ref("b").ask(Echo())
        async for _ in inbox:
            inbox.answer("a")

    async def b(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            inbox.reply(None)
            done.append(await inbox.supervisor.ref("a").ask(Echo()))

    specs = [ChildSpec(id="a", start=a), ChildSpec(id="b", start=b)]
    async with open_supervisor(specs) as sup:
        await sup.ref("a").tell("go")
        await settle()
    assert done == ["a"]


# --- policies


async def policy_case(policy, **settings):
    letters, overflows = [], []
    spec = ChildSpec(id="a", start=never, inbox_capacity=2, overflow=policy, **settings)
    hooks = Hooks(dead_letter=letters.append, overflow=overflows.append)
    async with open_supervisor([spec], hooks=hooks) as sup:
        ref = sup.ref("a")
        error = None
        for i in range(3):
            try:
                await ref.tell(i)
            except InboxFull as exc:
                error = exc
        await settle()
        [child] = sup.snapshot().children
        before_stop = [(x.message, x.reason) for x in letters]
    return child, before_stop, overflows, error


async def test_policy_raise_refuses_the_new_message(autojump_clock):
    child, letters, overflows, error = await policy_case(Overflow.RAISE)
    assert (child.inbox.waiting, letters, len(overflows)) == (2, [], 1)
    assert isinstance(error, InboxFull)


async def test_policy_drop_oldest_buries_the_oldest(autojump_clock):
    child, letters, overflows, error = await policy_case(Overflow.DROP_OLDEST)
    assert letters == [(0, DeadLetterReason.OVERFLOW)]
    assert (child.inbox.waiting, child.inbox.dropped, len(overflows), error) == (2, 1, 1, None)


async def test_policy_drop_newest_buries_the_newest(autojump_clock):
    child, letters, overflows, error = await policy_case(Overflow.DROP_NEWEST)
    assert letters == [(2, DeadLetterReason.OVERFLOW)]
    assert (child.inbox.waiting, child.inbox.dropped, len(overflows), error) == (2, 1, 1, None)


async def test_policy_fail_crashes_the_actor_and_keeps_what_waited(autojump_clock):
    child, letters, _, error = await policy_case(Overflow.FAIL)
    assert letters == [(2, DeadLetterReason.OVERFLOW)]
    assert (child.incarnation, child.inbox.waiting, error) == (2, 2, None)
    assert "InboxOverflowed" in child.last_crash.summary


async def overflow_at_one_second(body):
    """Overflow an actor with a grace of two seconds; return when its second life has started."""

    async def run(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            await body(inbox)
        else:
            second_life.append(trio.current_time())
        await trio.sleep_forever()

    second_life = []
    spec = ChildSpec(
        id="a", start=run, inbox_capacity=1, overflow=Overflow.FAIL, shutdown_seconds=2
    )
    async with open_supervisor([spec]) as sup:
        await trio.sleep(1)
        for message in range(2):
            sup.ref("a").tell_nowait(message)
        await trio.sleep(100)
    return second_life


async def test_policy_fail_ends_an_open_grace_after_its_seconds(autojump_clock):
    async def in_grace(inbox):
        with inbox.grace():
            await trio.sleep_forever()

    assert await overflow_at_one_second(in_grace) == [3]


async def test_policy_fail_gives_up_an_actor_that_shields_itself(autojump_clock):
    """One second after its grace, as at a stop."""

    async def shielded(inbox):
        with trio.CancelScope(shield=True):
            await trio.sleep(50)

    assert await overflow_at_one_second(shielded) == [4]


@pytest.mark.parametrize("policy", [Overflow.RAISE, Overflow.DROP_NEWEST, Overflow.FAIL])
async def test_an_ask_that_finds_a_full_inbox_ends_with_inbox_full(autojump_clock, policy):
    spec = ChildSpec(id="a", start=never, inbox_capacity=1, overflow=policy)
    async with open_supervisor([spec]) as sup:
        await sup.ref("a").tell(1)
        with pytest.raises(InboxFull):
            await sup.ref("a").ask(Echo())


async def test_an_ask_dropped_as_the_oldest_ends_with_inbox_full(autojump_clock):
    spec = ChildSpec(id="a", start=never, inbox_capacity=1, overflow=Overflow.DROP_OLDEST)
    async with open_supervisor([spec]) as sup:
        async with trio.open_nursery() as nursery:

            async def asks():
                with pytest.raises(InboxFull):
                    await sup.ref("a").ask(Echo())

            nursery.start_soon(asks)
            await settle()
            await sup.ref("a").tell(1)


# --- stash, saved state


async def test_the_stash_is_put_back_in_front_oldest_first(autojump_clock):
    got = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        ready = False
        async for message in inbox:
            if message == "ready":
                ready = True
                assert inbox.unstash() == 2
            elif ready:
                got.append(message)
            else:
                inbox.stash()

    async with open_supervisor([ChildSpec(id="a", start=stashing)]) as sup:
        for message in (1, 2, "ready", 3):
            await sup.ref("a").tell(message)
        await settle()
    assert got == [1, 2, 3]


async def test_the_stash_survives_a_crash(autojump_clock):
    got = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            if inbox.incarnation == 2:
                got.append(message)
            elif message == "crash":
                raise ProbeCrash
            else:
                inbox.stash()

    async with open_supervisor([ChildSpec(id="a", start=stashing)]) as sup:
        for message in (1, 2, "crash", 3):
            await sup.ref("a").tell(message)
        await settle()
    assert got == [1, 2, 3]


async def test_the_stash_is_bounded(autojump_clock):
    errors = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            try:
                inbox.stash()
            except StashFull as exc:
                errors.append(exc.capacity)

    async with open_supervisor([ChildSpec(id="a", start=stashing, stash_capacity=2)]) as sup:
        for i in range(3):
            await sup.ref("a").tell(i)
        await settle()
    assert errors == [2]


async def test_saved_state_reaches_the_next_incarnation(autojump_clock):
    seen = []

    async def saving(inbox, *, task_status):
        seen.append(inbox.saved)
        task_status.started()
        async for message in inbox:
            inbox.save(message)
            if message == "crash":
                raise ProbeCrash

    async with open_supervisor([ChildSpec(id="a", start=saving)]) as sup:
        await sup.ref("a").tell("state")
        await sup.ref("a").tell("crash")
        await settle()
    assert seen == [None, "crash"]


# --- watching


async def watcher_of(sup, target_id, **settings):
    watcher = Probe()
    await sup.start_child(watcher.spec("watcher", **settings))
    watcher.inbox.watch(sup.ref(target_id))
    return watcher


async def test_a_watch_brings_exactly_one_down(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("p")]) as sup:
        watcher = await watcher_of(sup, "p")
        watcher.inbox.watch(sup.ref("p"))
        for _ in range(2):
            await settle()
            probe.crash()
        await settle()
    assert watcher.received == [
        Down(
            ref=sup._core.statics["p"].ref,
            incarnation=1,
            reason=DownReason.CRASHED,
            will_restart=True,
        )
    ]


async def test_watching_again_tells_of_the_next_incarnation(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("p", restart=Restart.TRANSIENT)]) as sup:
        watcher = await watcher_of(sup, "p")
        probe.crash()
        await settle()
        watcher.inbox.watch(sup.ref("p"))
        probe.finish()
        await settle()
    assert [(d.incarnation, d.reason, d.will_restart) for d in watcher.received] == [
        (1, DownReason.CRASHED, True),
        (2, DownReason.NORMAL, False),
    ]


async def test_watching_a_stopped_actor_brings_down_at_once(autojump_clock):
    async with open_supervisor([ChildSpec(id="p", start=never)]) as sup:
        await sup.terminate_child("p")
        watcher = await watcher_of(sup, "p")
        await settle()
        [down] = watcher.received
        assert (down.incarnation, down.reason, down.will_restart) == (1, DownReason.STOPPED, False)


async def test_unwatch_brings_nothing(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec("p")]) as sup:
        watcher = await watcher_of(sup, "p")
        watcher.inbox.unwatch(sup.ref("p"))
        probe.crash()
        await settle()
    assert watcher.received == []


async def test_unwatch_takes_back_the_down_of_an_earlier_life(autojump_clock):
    """The next life is watched already when the watcher, busy so far, wants to hear no more."""
    probe = Probe()
    got = []

    async def busy(inbox, *, task_status):
        target = inbox.supervisor.ref("p")
        inbox.watch(target)
        task_status.started()
        await trio.sleep(1)
        assert inbox.watch(target) == 2
        inbox.unwatch(target)
        async for message in inbox:
            got.append(message)

    spec = ChildSpec(id="busy", start=busy)
    async with open_supervisor([probe.spec("p", restart=Restart.TRANSIENT), spec]):
        probe.crash()
        await trio.sleep(2)
    assert got == []


async def test_down_passes_a_full_inbox(autojump_clock):
    probe = Probe()
    got = []

    async def slow(inbox, *, task_status):
        inbox.watch(inbox.supervisor.ref("p"))
        task_status.started()
        await trio.sleep(10)
        async for message in inbox:
            got.append(message)

    spec = ChildSpec(id="slow", start=slow, inbox_capacity=1)
    async with open_supervisor([probe.spec("p"), spec]) as sup:
        await sup.ref("slow").tell("fills it")
        probe.crash()
        await trio.sleep(11)
    assert [type(m) for m in got] == [str, Down]


async def test_down_does_not_overtake_what_the_dead_had_sent(autojump_clock):
    async def last_words(inbox, target, *, task_status):
        task_status.started()
        await inbox.receive()
        await target.tell("last words")
        raise ProbeCrash

    watcher = Probe()
    async with open_supervisor([watcher.spec("w")]) as sup:
        ref = await sup.start_child(
            ChildSpec(id="p", start=last_words, args=(sup.ref("w"),), restart=Restart.TEMPORARY)
        )
        watcher.inbox.watch(ref)
        await ref.tell("go")
        await settle()
    assert watcher.received[0] == "last words"
    assert isinstance(watcher.received[1], Down)


async def test_a_watcher_s_successor_is_owed_nothing(autojump_clock):
    probe, watcher = Probe(), Probe()
    async with open_supervisor([probe.spec("p"), watcher.spec("w")]) as sup:
        await settle()
        watcher.inbox.watch(sup.ref("p"))
        watcher.crash()
        await settle()
        probe.crash()
        await settle()
    assert watcher.received == []


async def test_a_watch_set_before_the_first_start_is_for_the_first_life(autojump_clock):
    probe = Probe()
    got = []

    async def early(inbox, *, task_status):
        inbox.watch(inbox.supervisor.ref("p"))
        task_status.started()
        async for message in inbox:
            got.append(message.incarnation)

    async with open_supervisor([ChildSpec(id="w", start=early), probe.spec("p")]):
        await settle()
        probe.crash()
        await settle()
    assert got == [1]


# --- timers


async def test_send_after_arrives_after_its_seconds(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        probe.inbox.send_after(3, "late")
        probe.inbox.send_after(1, "early")
        assert await probe.next() == "early"
        assert trio.current_time() == 1
        assert await probe.next() == "late"
        assert trio.current_time() == 3


async def test_a_cancelled_timer_sends_nothing(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        timer = probe.inbox.send_after(1, "x")
        timer.cancel()
        timer.cancel()
        await trio.sleep(2)
    assert probe.received == []


async def test_timers_die_with_their_incarnation(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        probe.inbox.send_after(1, "x")
        probe.inbox.send_interval(1, "y")
        probe.crash()
        await trio.sleep(5)
    assert probe.received == []


async def test_an_interval_ticks_until_cancelled(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        timer = probe.inbox.send_interval(2, "tick")
        await trio.sleep(7)
        timer.cancel()
        await trio.sleep(7)
    assert probe.received == ["tick"] * 3


async def test_ticks_do_not_pile_up_before_a_slow_actor(autojump_clock):
    got = []

    async def slow(inbox, *, task_status):
        inbox.send_interval(1, "tick")
        task_status.started()
        await trio.sleep(10.5)
        async for message in inbox:
            got.append(message)

    async with open_supervisor([ChildSpec(id="a", start=slow)]):
        await trio.sleep(10.7)
    assert got == ["tick"]


async def test_timers_set_and_cancelled_for_ever_do_not_pile_up(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]) as sup:
        await settle()
        for _ in range(5000):
            probe.inbox.send_after(100, "x").cancel()
        child = sup._core.children["probe"]
        assert len(child.incarnation.timers) <= 64
        assert len(child.tree.clock._heap) <= 200


async def test_timers_cost_no_task_each(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        before = trio.lowlevel.current_statistics().tasks_living
        for i in range(100):
            probe.inbox.send_after(i + 1, i)
        assert trio.lowlevel.current_statistics().tasks_living <= before + 1


# --- completions


async def requester(inbox, target, log, *, task_status):
    task_status.started()
    await inbox.send_request(target, Echo("hi"), label="first")
    await inbox.send_request(target, Crash(), label="second")
    async for message in inbox:
        log.append(message)


async def test_completions_arrive_in_the_requester_s_inbox(autojump_clock):
    log = []
    async with open_supervisor([ChildSpec(id="echo", start=echo)]) as sup:
        spec = ChildSpec(id="r", start=requester, args=(sup.ref("echo"), log))
        await sup.start_child(spec)
        await settle()
    first, second = log
    assert first == Completion(label="first", value="hi")
    assert first.unwrap() == "hi"
    assert second.label == "second"
    with pytest.raises(ActorCrashed):
        second.unwrap()


async def test_a_request_sent_without_waiting_needs_room_at_once(autojump_clock):
    probe = Probe()
    async with open_supervisor(
        [ChildSpec(id="e", start=echo, inbox_capacity=1), probe.spec()]
    ) as sup:
        await settle()
        probe.inbox.send_request_nowait(sup.ref("e"), Echo("hi"), label=1)
        with pytest.raises(InboxFull):
            probe.inbox.send_request_nowait(sup.ref("e"), Echo("ho"), label=2)
        assert await probe.next() == Completion(label=1, value="hi")
        await trio.sleep(1)
    assert probe.received == [Completion(label=1, value="hi")]  # and nothing of the other


async def test_a_completion_for_a_dead_incarnation_goes_nowhere(autojump_clock):
    async def slow(inbox, *, task_status):
        task_status.started()
        await inbox.receive()
        await trio.sleep(5)
        inbox.reply("late")
        await trio.sleep_forever()

    probe = Probe()
    async with open_supervisor([ChildSpec(id="slow", start=slow), probe.spec()]) as sup:
        await settle()
        await probe.inbox.send_request(sup.ref("slow"), Echo(), label=1)
        probe.crash()
        await trio.sleep(10)
    assert probe.received == []


async def test_a_request_to_a_stopped_actor_completes_with_actor_stopped(autojump_clock):
    probe = Probe()
    async with open_supervisor([ChildSpec(id="e", start=echo), probe.spec()]) as sup:
        await settle()
        await sup.terminate_child("e")
        await probe.inbox.send_request(sup.ref("e"), Echo(), label=1)
        completion = await probe.next()
        assert isinstance(completion.error, ActorStopped)


# --- names


async def test_a_name_has_one_owner_and_is_free_when_that_ends(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a"), b.spec("b")]) as sup:
        await settle()
        a.inbox.register("leader")
        with pytest.raises(NameTaken):
            b.inbox.register("leader")
        assert sup.whereis("leader") is sup.ref("a")
        a.crash()
        await settle()
        assert sup.whereis("leader") is None
        b.inbox.register("leader")
        assert sup.whereis("leader") is sup.ref("b")


async def test_a_group_lists_its_living_members_in_joining_order(autojump_clock):
    a, b = Probe(), Probe()
    async with open_supervisor([a.spec("a"), b.spec("b")]) as sup:
        await settle()
        b.inbox.join("team")
        a.inbox.join("team")
        assert sup.members("team") == (sup.ref("b"), sup.ref("a"))
        b.crash()
        await settle()
        assert sup.members("team") == (sup.ref("a"),)


async def test_listeners_get_exactly_one_event_for_each_change(autojump_clock):
    a, listener = Probe(), Probe()
    async with open_supervisor([a.spec("a"), listener.spec("l")]) as sup:
        await settle()
        listener.inbox.listen("leader")
        a.inbox.register("leader")
        a.inbox.register("leader")
        a.crash()
        await settle()
        ref = sup.ref("a")
        assert listener.received == [
            NameEvent(key="leader", ref=ref, held=True),
            NameEvent(key="leader", ref=ref, held=False),
        ]


async def test_an_inbox_of_a_former_life_refuses(autojump_clock):
    probe = Probe()
    async with open_supervisor([probe.spec()]):
        await settle()
        old = probe.inbox
        probe.crash()
        await settle()
        with pytest.raises(IncarnationEnded):
            old.send_after(1, "x")
        with pytest.raises(IncarnationEnded):
            await old.receive()


async def test_a_group_restart_keeps_what_siblings_had_waiting(autojump_clock):
    probe = Probe()
    got = []

    async def slow_first(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            await trio.sleep_forever()
        async for message in inbox:
            got.append(message)

    specs = [probe.spec("p"), ChildSpec(id="s", start=slow_first)]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        await sup.ref("s").tell(1)
        await sup.ref("s").tell(2)
        probe.crash()
        await settle()
    assert got == [1, 2]


async def test_an_infinite_deadline_travels_under_a_shield(autojump_clock):
    deadlines = []

    async def notes(inbox, *, task_status):
        task_status.started()
        async for _ in inbox:
            deadlines.append(inbox.deadline)
            inbox.reply(None)

    async with open_supervisor([ChildSpec(id="a", start=notes)]) as sup:
        with trio.move_on_after(5):
            await sup.ref("a").ask(Echo())
            with trio.CancelScope(shield=True):
                await sup.ref("a").ask(Echo())
    assert deadlines == [5, math.inf]


async def test_done_says_that_nothing_is_in_hand_any_more(autojump_clock):
    letters = []

    async def tidy(inbox, *, task_status):
        task_status.started()
        await inbox.receive_batch(3)
        inbox.done()
        await trio.sleep_forever()

    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=tidy)], hooks=hooks) as sup:
        for i in range(3):
            sup.ref("a").tell_nowait(i)
        await settle()
    assert letters == []


async def test_an_actor_stopped_while_it_waits_for_messages_has_nothing_in_hand(autojump_clock):
    letters = []
    probe = Probe()
    async with open_supervisor([probe.spec()], hooks=Hooks(dead_letter=letters.append)) as sup:
        for i in range(5):
            await sup.ref("probe").tell(i)
        await settle()
    assert probe.received == [0, 1, 2, 3, 4]
    assert letters == []


@pytest.mark.parametrize("message", [[], [1, 2], None, (), {}, Ellipsis])
async def test_any_object_can_be_a_message(autojump_clock, message):
    got, letters = [], []

    async def child(inbox, *, task_status):
        task_status.started()
        async for received in inbox:
            got.append(received)
            if inbox.incarnation == 1:
                raise ProbeCrash

    hooks = Hooks(dead_letter=letters.append)
    async with open_supervisor([ChildSpec(id="a", start=child)], hooks=hooks) as sup:
        await sup.ref("a").tell(message)
        await settle()
        await sup.ref("a").tell(message)
        await settle()
    assert got == [message, message]
    assert letters[0].message == message
