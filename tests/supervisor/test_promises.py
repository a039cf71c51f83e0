"""What holds whatever happens: seeded runs with random crashes, stops, cancels and slow actors."""

import attrs
import pytest
import trio
import trio.testing

from greenroom.supervisor import (
    ActorCrashed,
    ActorStopped,
    AskCycle,
    Backoff,
    ChildSpec,
    Hooks,
    InboxFull,
    NoReply,
    NoSuchChild,
    Overflow,
    Request,
    RequestExpired,
    RestartLimit,
    Strategy,
    open_supervisor,
)
from greenroom.supervisor.testing import ProbeCrash, seeded_scheduler

PLENTY = RestartLimit(max_restarts=10**6, max_seconds=1)


@attrs.frozen
class Number(Request[int]):
    n: int


async def unreliable(inbox, rng, handled, *, task_status):
    """Handles numbers, crashes now and then, sometimes works in batches, answers late or never."""
    if rng.random() < 0.1 and inbox.incarnation > 1:
        raise ProbeCrash
    task_status.started()
    while True:
        if rng.random() < 0.3:
            batch = await inbox.receive_batch(rng.randint(1, 5))
        else:
            batch = [await inbox.receive()]
        if rng.random() < 0.2:
            await trio.sleep(rng.random())
        if rng.random() < 0.05:
            raise ProbeCrash
        for item in batch:
            message = getattr(item, "message", item)
            handled.append(message.n)
            reply_to = getattr(item, "reply_to", None)
            if reply_to is not None:
                reply_to.reply(message.n)
            elif item is message:
                inbox.answer(message.n)


async def scenario(rng, policy, strategy):
    handled, letters, outcomes = [], [], []
    sent = iter(range(10**9))
    told = []

    def spec(name):
        return ChildSpec(
            id=name,
            start=unreliable,
            args=(rng, handled),
            inbox_capacity=rng.randint(1, 20),
            overflow=policy,
            redeliver_at_most=rng.randint(0, 2),
            backoff=rng.choice([None, Backoff(initial_seconds=0.1)]),
        )

    async def teller(ref):
        for _ in range(60):
            n = next(sent)
            with trio.move_on_after(rng.random() * 2):
                try:
                    await ref.tell(Number(n))
                except InboxFull:
                    continue
                told.append(n)
            if rng.random() < 0.3:
                await trio.sleep(rng.random())

    async def asker(ref):
        for _ in range(30):
            n = next(sent)
            outcome = "deadline"
            with trio.move_on_after(rng.choice([0.5, 5, 50])):
                try:
                    outcome = await ref.ask(Number(n)) == n
                except (ActorCrashed, ActorStopped, NoReply, InboxFull) as exc:
                    outcome = type(exc)
                except (AskCycle, RequestExpired) as exc:  # nobody here asks from an actor
                    raise AssertionError from exc
            outcomes.append(outcome)

    async def stopper(sup, names):
        for _ in range(10):
            await trio.sleep(rng.random() * 5)
            name = rng.choice(names)
            await sup.terminate_child(name)
            await trio.sleep(rng.random())
            try:
                await sup.restart_child(name)
            except (NoSuchChild, ProbeCrash):
                raise
            except Exception:  # noqa: BLE001  a start that fails, or a group that came first
                continue

    hooks = Hooks(dead_letter=letters.append)
    names = ["a", "b", "c"]
    async with (
        open_supervisor(
            [spec(n) for n in names], strategy=strategy, limit=PLENTY, hooks=hooks
        ) as sup,
        trio.open_nursery() as nursery,
    ):
        for name in names:
            nursery.start_soon(teller, sup.ref(name))
            nursery.start_soon(asker, sup.ref(name))
        nursery.start_soon(stopper, sup, names)
    buried = [letter.message.n for letter in letters]
    return told, handled, buried, outcomes


@pytest.mark.parametrize("seed", range(12))
def test_every_told_message_is_handled_or_a_dead_letter_and_every_ask_ends(seed):
    with seeded_scheduler(seed) as rng:
        policy = rng.choice([Overflow.WAIT, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
        strategy = rng.choice(list(Strategy))
        clock = trio.testing.MockClock(autojump_threshold=0)
        told, handled, buried, outcomes = trio.run(scenario, rng, policy, strategy, clock=clock)
    assert len(outcomes) == 90
    accounted = set(handled) | set(buried)
    assert set(told) <= accounted
    assert len(buried) == len(set(buried))
    # nothing is handled twice to its end, and nothing that was buried had been handled to its end
    assert len(handled) == len(set(handled))
    assert not set(handled) & set(buried)
