"""Nobody opens all the rooms that there may be."""

from support.cast_stage import open_stage, until


async def test_an_address_that_has_opened_as_many_rooms_as_it_may_keeps_nobody_out(autojump_clock):
    """Whoever its users are. Rooms that others have opened are open to it too."""
    async with open_stage(max_rooms=5, max_rooms_per_address=3, empty_room_seconds=1) as stage:
        crowd = [await stage.client(name, address="192.0.2.1") for name in ("ann", "bob")]
        for number, client in enumerate([crowd[0], crowd[1], crowd[0]]):
            await client.joined(f"r{number}")
        for client in crowd:
            assert (await client.ask("JOIN", room="r9"))["code"] == 108
        eve = await stage.client("eve", address="192.0.2.2")
        await eve.joined("hers")
        await eve.joined("r0")
        await crowd[0].joined("hers")
        # What ends is opened by somebody else, and counts no more.
        await crowd[1].ask("LEAVE", room="r1")
        await until(lambda: "r1" not in stage.rooms())
        await crowd[1].joined("r9")
        assert stage.services.openers.count("192.0.2.1") == 3


async def test_a_room_that_crashes_is_its_opener_s_as_before_and_nobody_s_in_the_end(
    autojump_clock,
):
    async with open_stage(empty_room_seconds=1) as stage:
        ann = await stage.client("ann", address="192.0.2.1")
        await ann.joined("lobby")
        await stage.cast.rooms.find("lobby").tell("what no room understands")
        await until(lambda: stage.cast.rooms.snapshot().children[0].incarnation == 2)
        await until(lambda: stage.services.openers.count("192.0.2.1") == 1)
        await ann.ask("LEAVE", room="lobby")
        await until(lambda: stage.rooms() == [])
        assert len(stage.services.openers) == 0
