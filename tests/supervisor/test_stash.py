"""The stash: what an actor lays aside, and what becomes of it at a crash."""

import attrs
import pytest
import trio

from greenroom.supervisor import (
    Backoff,
    ChildSpec,
    Completion,
    DeadLetterReason,
    Down,
    Hooks,
    InboxFull,
    IncarnationEnded,
    Request,
    Restart,
    Strategy,
    open_supervisor,
)
from greenroom.supervisor.testing import Probe, ProbeCrash, settle


@attrs.frozen
class Ask(Request[int]):
    pass


def answerer():
    return Probe(answer=lambda _: 42)


async def owed_a_completion(inbox, other):
    await inbox.send_request(other, Ask(), label="x")


async def owed_a_down(inbox, other):
    inbox.watch(other)
    await inbox.supervisor.terminate_child("other")


async def owed_a_tick(inbox, other):
    inbox.send_after(1, "tick")


@pytest.mark.parametrize(
    ("arrange", "what"),
    [(owed_a_completion, Completion), (owed_a_down, Down), (owed_a_tick, str)],
)
async def test_what_the_library_sends_can_be_stashed(autojump_clock, arrange, what):
    got = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        await arrange(inbox, inbox.supervisor.ref("other"))
        await inbox.receive()
        inbox.stash()
        assert inbox.unstash() == 1
        got.append(await inbox.receive())

    specs = [answerer().spec("other"), ChildSpec(id="a", start=stashing, restart=Restart.TEMPORARY)]
    async with open_supervisor(specs):
        await trio.sleep(2)
    assert [type(message) for message in got] == [what]


async def test_a_stashed_message_of_the_library_is_not_owed_to_the_next_life(autojump_clock):
    got = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation == 1:
            inbox.send_after(1, "tick")
        async for message in inbox:
            got.append((inbox.incarnation, message))
            if message == "crash":
                raise ProbeCrash
            inbox.stash()

    async with open_supervisor([ChildSpec(id="a", start=stashing)]) as sup:
        await trio.sleep(2)
        await sup.ref("a").tell("crash")
        await settle()
    assert got == [(1, "tick"), (1, "crash")]


async def test_a_message_of_the_library_that_was_put_back_takes_no_room(autojump_clock):
    probe_full = []

    async def stashing(inbox, *, task_status):
        task_status.started()
        inbox.send_after(1, "tick")
        for room in (1, 0):
            await inbox.receive()
            inbox.stash()
            inbox.unstash()
            for _ in range(room):
                inbox.ref.tell_nowait("fits")
            try:
                inbox.ref.tell_nowait("one too many")
            except InboxFull:
                probe_full.append(trio.current_time())

    spec = ChildSpec(id="a", start=stashing, inbox_capacity=1, restart=Restart.TEMPORARY)
    async with open_supervisor([spec]):
        await trio.sleep(2)
    assert probe_full == [1, 1]


# --- a crash


def crashing(got, lay_aside):
    async def run(inbox, *, task_status):
        task_status.started()
        async for message in inbox:
            got.append(message)
            lay_aside(inbox)
            raise ProbeCrash

    return run


def stash(inbox):
    inbox.stash()


def stash_and_unstash(inbox):
    inbox.stash()
    inbox.unstash()


@pytest.mark.parametrize("lay_aside", [stash, stash_and_unstash])
async def test_what_was_stashed_since_the_last_receive_counts_as_in_hand_at_a_crash(
    autojump_clock, lay_aside
):
    """Or it would come back for ever, where the backoff is longer than the limit's window."""
    got, letters = [], []
    backoff = Backoff(initial_seconds=10, max_seconds=10, jitter=0)
    spec = ChildSpec(id="a", start=crashing(got, lay_aside), backoff=backoff, redeliver_at_most=1)
    async with open_supervisor([spec], hooks=Hooks(dead_letter=letters.append)) as sup:
        await sup.ref("a").tell("poison")
        await trio.sleep(1000)
    assert got == ["poison", "poison"]
    assert [(x.message, x.reason) for x in letters] == [("poison", DeadLetterReason.IN_HAND)]


async def test_what_was_stashed_last_survives_a_stop(autojump_clock):
    """A stop is not the message's fault."""
    got = []

    async def run(inbox, *, task_status):
        task_status.started()
        got.append(await inbox.receive())
        inbox.stash()
        await trio.sleep_forever()

    first = Probe()
    specs = [first.spec("first"), ChildSpec(id="a", start=run)]
    async with open_supervisor(specs, strategy=Strategy.ONE_FOR_ALL) as sup:
        await sup.ref("a").tell("patience")
        await settle()
        first.crash()
        await settle()
    assert got == ["patience", "patience"]


# --- a former life


@pytest.mark.parametrize("write", ["save", "stash", "unstash"])
async def test_a_stuck_former_life_cannot_touch_its_successor_s_state(autojump_clock, write):
    refused = []

    async def run(inbox, *, task_status):
        task_status.started()
        if inbox.incarnation > 1:
            await inbox.receive()
            inbox.stash()
            inbox.save("mine")
            await trio.sleep_forever()
        with trio.CancelScope(shield=True):
            await trio.sleep(50)
        try:
            inbox.save("theirs") if write == "save" else getattr(inbox, write)()
        except IncarnationEnded:
            refused.append(inbox.incarnation)

    async with open_supervisor([ChildSpec(id="a", start=run, shutdown_seconds=1)]) as sup:
        await sup.terminate_child("a")
        ref = await sup.restart_child("a")
        await ref.tell("message")
        await trio.sleep(100)
        assert sup.snapshot().children[0].inbox.stashed == 1
    assert refused == [1]
