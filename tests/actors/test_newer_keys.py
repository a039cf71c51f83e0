"""AUTH and REFRESH with a key that is not known yet: looked for once, within bounds."""

import trio
from support.cast_stage import open_stage, until, verify

from greenroom.protocol import KeysUnavailable, UnknownKey


class Office:
    """Knows the stage's key only after `refresh`, which takes `seconds`."""

    def __init__(self, *, error=UnknownKey, seconds=2.0, finds=True):
        self.error = error
        self.seconds = seconds
        self.finds = finds
        self.knows = False
        self.refreshed = 0

    def verify(self, token, now):
        claims = verify(token, now)
        if not self.knows:
            raise self.error("no key of ours fits")
        return claims

    async def refresh(self):
        self.refreshed += 1
        await trio.sleep(self.seconds)
        self.knows |= self.finds


async def auth(stage, token):
    client = await stage.open()
    await client.send(type="AUTH", id=1, token=token)
    return client, await client.receive()


async def test_an_unknown_key_is_looked_for_and_lets_its_bearer_in(autojump_clock):
    office = Office()
    async with open_stage(office=office) as stage:
        _, answer = await auth(stage, stage.token("ann"))
        assert answer["type"] == "AUTH_OK"
        assert office.refreshed == 1
        assert trio.current_time() == 2


async def test_a_key_that_is_known_is_not_looked_for(autojump_clock):
    office = Office()
    office.knows = True
    async with open_stage(office=office) as stage:
        _, answer = await auth(stage, stage.token("ann"))
        assert answer["type"] == "AUTH_OK"
        assert office.refreshed == 0


async def test_a_key_that_nobody_knows_is_looked_for_once_and_then_invalid(autojump_clock):
    office = Office(finds=False)
    async with open_stage(office=office) as stage:
        client, answer = await auth(stage, stage.token("ann"))
        assert answer["code"] == 101
        assert await client.close_code() == 4500
        assert office.refreshed == 1


async def test_who_cannot_be_judged_now_is_told_to_come_back(autojump_clock):
    office = Office(error=KeysUnavailable, finds=False)
    async with open_stage(office=office) as stage:
        client, answer = await auth(stage, stage.token("ann"))
        assert (answer["code"], answer["temporary"]) == (108, True)
        assert await client.close_code() == 1013


async def test_other_bad_tokens_make_nobody_look(autojump_clock):
    office = Office()
    async with open_stage(office=office) as stage:
        client, answer = await auth(stage, stage.token("ann")[:-2])
        assert answer["code"] == 101
        assert await client.close_code() == 4500
        assert office.refreshed == 0


async def test_nobody_is_heard_on_the_old_token_while_newer_keys_are_awaited(autojump_clock):
    """The token ends after 3 s, the keys of the REFRESH would be there after 100 s."""
    office = Office(seconds=100)
    office.knows = True
    async with open_stage(office=office) as stage:
        client, _ = await auth(stage, stage.token("ann", 3))
        office.knows = False
        await client.send(type="REFRESH", id=2, token=stage.token("ann"))
        assert await client.close_code() == 4003
        assert trio.current_time() < 3.5
        await until(lambda: stage.connections() == 0)
        assert trio.current_time() < 3 + 2.5, "and no longer than any connection that is closed"
