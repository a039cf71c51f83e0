"""Who is connected, as operators see it."""

import attrs
import trio
from support.cast_stage import open_stage

from greenroom.protocol import CloseCode


async def test_a_connection_stands_in_the_roll_from_its_handshake_to_its_end(autojump_clock):
    async with open_stage() as stage:
        roll = stage.services.roll
        unknown = await stage.open()
        ann = await stage.member("ann", "lobby")
        await ann.joined("garden")
        looked = [visited.look() for _, visited in roll.after(0)]
        assert [(visitor.user, visitor.rooms) for visitor in looked] == [
            (None, ()),
            ("ann", ("lobby", "garden")),
        ]
        assert looked[1].waiting_bytes == 0
        await unknown.stream.aclose()
        await ann.stream.aclose()
        await trio.sleep(5)
        assert (len(roll), list(roll.after(0))) == (0, [])


async def test_what_is_shown_of_a_connection_is_neither_token_nor_session(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.open()
        token = stage.token("ann")
        reply = await ann.ask("AUTH", token=token)
        ((_, visited),) = stage.services.roll.after(0)
        visitor = visited.look()
        shown = repr(attrs.asdict(visitor))
        assert visitor.user == "ann"
        assert token not in shown
        assert reply["session"] not in shown


async def test_the_roll_goes_on_after_a_number_in_the_order_of_coming(autojump_clock):
    async with open_stage() as stage:
        for name in ("ann", "bob", "eve"):
            await stage.client(name)
        numbers = [number for number, _ in stage.services.roll.after(0)]
        assert numbers == sorted(numbers)
        rest = [visited.user for _, visited in stage.services.roll.after(numbers[0])]
        assert rest == ["bob", "eve"]


async def test_a_user_is_ended_with_all_connections_and_a_connection_alone(autojump_clock):
    async with open_stage() as stage:
        for name in ("ann", "ann", "bob"):
            await stage.client(name)
        roll = stage.services.roll
        assert roll.end(CloseCode.KICKED, user="ann") == 2
        await trio.sleep(5)
        ((_, bob),) = roll.after(0)
        assert bob.user == "bob"
        assert roll.end(CloseCode.KICKED, connection="no such") == 0
        assert roll.end(CloseCode.KICKED, connection=bob.look().connection) == 1
        await trio.sleep(5)
        assert len(roll) == 0
