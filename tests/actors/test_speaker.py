"""The speaker: what a server says in rooms, without being in them."""

import pytest
import trio
from support.cast_stage import FakeStore, open_stage

from greenroom.actors.rights.access import RoomPolicy
from greenroom.actors.room.messages import Refused
from greenroom.actors.speaker import IN_FLIGHT, PutOff, Speak, Spoken, speaker_spec
from greenroom.protocol import ErrorCode


async def speaker_of(stage):
    return await stage.sup.start_child(speaker_spec(stage.services))


def speak(content, *, room="lobby", user="system:news", key=None):
    return Speak(room=room, user=user, key=key or f"key of {content}", content=content)


async def test_what_is_said_is_stored_told_and_answered(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        spoken = await (await speaker_of(stage)).ask(speak("hello"))
        assert isinstance(spoken, Spoken)
        (row,) = stage.store.rows["lobby"]
        assert (row.offset, row.user, row.content) == (1, "system:news", "hello")
        assert (spoken.message.offset, spoken.duplicate) == (1, False)
        message = await ann.next("MESSAGE")
        assert (message["user"], message["content"], message["offset"]) == (
            "system:news",
            "hello",
            1,
        )


async def test_nobody_sees_the_speaker_come_or_go(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        await (await speaker_of(stage)).ask(speak("hello"))
        await trio.sleep(5)
        present = await ann.ask("PRESENCE", room="lobby")
        assert [member["user"] for member in present["members"]] == ["ann"]
        assert [push["type"] for push in ann.pushed if push["type"] in {"JOINED", "LEFT"}] == []


async def test_the_same_key_is_stored_once_and_other_content_is_refused(autojump_clock):
    async with open_stage() as stage:
        speaker = await speaker_of(stage)
        first = await speaker.ask(speak("hello", key="k"))
        again = await speaker.ask(speak("hello", key="k"))
        assert (again.message, again.duplicate) == (first.message, True)
        assert await speaker.ask(speak("other", key="k")) == Refused(ErrorCode.KEY_CONFLICT)
        assert len(stage.store.rows["lobby"]) == 1


async def test_a_private_room_and_a_full_one_hear_it_too(autojump_clock):
    rooms = {"small": RoomPolicy(max_members=1)}
    async with open_stage(rooms=rooms) as stage:
        ann = await stage.member("ann", "small:1")
        spoken = await (await speaker_of(stage)).ask(speak("hello", room="small:1"))
        assert isinstance(spoken, Spoken)
        assert (await ann.next("MESSAGE"))["content"] == "hello"


async def test_a_room_that_was_opened_for_it_ends_again(autojump_clock):
    async with open_stage() as stage:
        await (await speaker_of(stage)).ask(speak("hello"))
        assert stage.rooms() == ["lobby"]
        await trio.sleep(60)
        assert stage.rooms() == []


async def test_what_is_said_together_keeps_its_order(autojump_clock):
    async with open_stage() as stage:
        speaker = await speaker_of(stage)
        spoken = {}

        async def say(number):
            spoken[number] = await speaker.ask(speak(f"{number}"))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(say, number)
                await trio.lowlevel.checkpoint()
        contents = [row.content for row in stage.store.rows["lobby"]]
        assert sorted(contents, key=int) == [f"{number}" for number in range(50)]
        for number, one in spoken.items():
            assert contents[one.message.offset - 1] == f"{number}"


async def test_what_a_rooms_crash_interrupts_is_said_again_once(autojump_clock):
    store = FakeStore()
    async with open_stage(store) as stage:
        speaker = await speaker_of(stage)
        await speaker.ask(speak("before"))
        store.gate = trio.Event()  # the commit of the next one waits
        spoken = []

        async def say():
            spoken.append(await speaker.ask(speak("during")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await trio.sleep(1)
            await stage.cast.rooms.find("lobby").tell("a message that nobody understands")
            await trio.sleep(1)
            store.gate.set()
        assert spoken[0].message.content == "during"
        assert [row.content for row in store.rows["lobby"]] == ["before", "during"]


async def test_while_the_store_is_away_it_is_not_said(autojump_clock):
    store = FakeStore()
    async with open_stage(store) as stage:
        speaker = await speaker_of(stage)
        await speaker.ask(speak("before"))
        store.away = True
        assert await speaker.ask(speak("during")) == Refused(ErrorCode.NOT_AVAILABLE)
        store.away = False
        assert isinstance(await speaker.ask(speak("during")), Spoken)
        assert [row.content for row in store.rows["lobby"]] == ["before", "during"]


async def test_more_than_so_much_at_a_time_is_put_off(autojump_clock):
    store = FakeStore()
    async with open_stage(store) as stage:
        speaker = await speaker_of(stage)
        store.gate = trio.Event()
        outcomes = []

        async def say(number):
            outcomes.append(await speaker.ask(speak(f"{number}")))

        async with trio.open_nursery() as nursery:
            for number in range(IN_FLIGHT + 10):
                nursery.start_soon(say, number)
            await trio.sleep(1)
            assert [type(outcome) for outcome in outcomes] == [PutOff] * 10
            store.gate.set()
        assert sum(isinstance(outcome, Spoken) for outcome in outcomes) == IN_FLIGHT


async def test_an_ephemeral_room_hears_it_without_storing_it(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "ephemeral:x")
        spoken = await (await speaker_of(stage)).ask(speak("hello", room="ephemeral:x"))
        assert isinstance(spoken, Spoken)
        assert (await ann.next("MESSAGE"))["content"] == "hello"
        assert stage.store.rows == {}


@pytest.mark.parametrize("room", ["lobby", "ephemeral:x"])
async def test_its_ledger_balances(autojump_clock, room):
    async with open_stage() as stage:
        await stage.member("ann", room)
        speaker = await speaker_of(stage)
        for number in range(5):
            await speaker.ask(speak(f"{number}", room=room))
        ledger = stage.services.ledger.rooms[room]
        assert (ledger.published, ledger.accepted, ledger.pending) == (5, 5, 0)
        assert ledger.copies().delivered == 5
