"""A connection, as a client sees it, on in-memory streams."""

from cast_stage import open_stage


async def test_two_clients_chat(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        ack = await ann.publish("lobby", "hello", key="k1")
        assert (ack["type"], ack["offset"], ack["duplicate"]) == ("ACK", 1, False)
        message = await bob.next("MESSAGE")
        assert (message["user"], message["content"], message["offset"]) == ("ann", "hello", 1)
