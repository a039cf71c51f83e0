"""Rooms and sessions of others: neither entered, nor heard, nor even known to be there."""

import pytest
import trio
from support.attack import Attack
from support.patience import PATIENCE_SECONDS
from support.raw import command

ROOM = "rooms"

FOREIGN = [
    "private:board",
    "private:board2",
    "private:",
    "direct:ann:bob",
    "direct:bob:ann",
    "direct:ann:ann",
    "direct:mallory:",
    "direct::mallory",
    "direct:mallory:ann:bob",
    "direct:ann:bob:mallory",
]


@pytest.mark.parametrize("command_type", ["JOIN", "HISTORY", "PRESENCE"])
async def test_rooms_of_others(attack: Attack, command_type):
    """One that exists and one that does not are answered alike, and nothing is heard of them."""
    member = await attack.signed_in("ann", "direct:ann:bob")
    await member.ask(type="PUBLISH", room="direct:ann:bob", content="only for bob")
    mallory = await attack.signed_in("mallory", ROOM)
    answers = set()
    for room in FOREIGN:
        more = {"limit": 10} if command_type == "HISTORY" else {}
        answer = await mallory.ask(type=command_type, room=room, **more)
        answers.add((answer["type"], answer.get("code"), answer.get("message")))
    attack.saw(*(code for _, code, _ in answers))
    assert len(answers) == 1
    assert {code for _, code, _ in answers} <= {103, 120}
    assert "only for bob" not in str(mallory.pushes)


async def test_publishing_into_rooms_of_others(attack: Attack):
    mallory = await attack.signed_in("mallory", ROOM)
    codes = set()
    for room in FOREIGN:
        answer = await mallory.ask(type="PUBLISH", room=room, content="hear me")
        codes.add(answer["code"])
    attack.saw(*codes)
    assert len(codes) == 1
    assert codes <= {103, 120}


NAMES = [
    "",
    "a" * 101,
    "a b",
    "a\tb",
    "é",
    "../lobby",
    "lobby\n",
    "%2e",
    "a\u202eb",
    "a/b",
    "*",
    "\ud7ff",
]


async def test_names_that_are_none(attack: Attack):
    client = await attack.signed_in("namer")
    codes = {}
    for name in NAMES:  # one at a time, and something good now and then: errors in a row end it
        codes[name] = (await client.ask(type="JOIN", room=name))["code"]
        await client.send(command(type="HEARTBEAT", timestamp=1))
    attack.saw(f"107 ({len(codes)})")
    assert codes == dict.fromkeys(NAMES, 107)


async def test_names_that_look_like_another_kind(attack: Attack):
    """A prefix counts to the letter: what only looks like `private:` is a room like any other."""
    client = await attack.signed_in("namer")
    for name in ("Private:board", "private", "privat:board", "private.board", "xprivate:board"):
        assert (await client.ask(type="JOIN", room=name))["type"] == "JOIN_OK"
    for name in ("private:a:b", "private::", "private:*"):
        answer = await client.ask(type="JOIN", room=name)
        assert answer.get("code") in {103, 107}, answer
    attack.saw(103)


async def test_guessed_and_stolen_sessions(attack: Attack):
    """The id of a session lets nobody in who is not its user; guessing gets a new one."""
    ann = await attack.connect()
    await ann.upgrade()
    welcome = await ann.ask(type="AUTH", token=attack.node.token("ann"))
    stolen = welcome["session"]
    sessions = {stolen}
    for claimed in (stolen, stolen[:-1] + "0", "0" * 32, "", "x" * 64):
        thief = await attack.connect()
        await thief.upgrade()
        answer = await thief.ask(type="AUTH", token=attack.node.token("mallory"), session=claimed)
        if answer["type"] == "AUTH_OK":
            assert answer["user"] == "mallory"
            sessions.add(answer["session"])
            assert answer["session"] != claimed
        else:
            assert answer["code"] == 107
    assert (await ann.ask(type="JOIN", room=ROOM))["type"] == "JOIN_OK"
    attack.saw(f"{len(sessions) - 1} sessions of their own, ann's goes on")


async def test_two_connections_that_throw_each_other_out(attack: Attack):
    """Each takes the other's session, 50 times: 4510 each time, one session in the end."""
    session, codes, last = None, set(), None
    for _ in range(50):
        client = await attack.connect()
        await client.upgrade()
        more = {} if session is None else {"session": session}
        welcome = await client.ask(type="AUTH", token=attack.node.token("pong"), **more)
        assert session in {None, welcome["session"]}
        session = welcome["session"]
        if last is not None:
            with trio.fail_after(PATIENCE_SECONDS):
                codes.add(await last.close_code())
        last = client
    attack.saw(*codes)
    assert codes == {4510}


async def test_commands_before_auth(attack: Attack):
    codes = set()
    for one in (
        command(type="JOIN", id=1, room=ROOM),
        command(type="PUBLISH", id=1, room=ROOM, content="x"),
        command(type="HISTORY", id=1, room=ROOM, limit=1),
        command(type="PRESENCE", id=1, room=ROOM),
        command(type="TYPING", room=ROOM),
        command(type="REFRESH", id=1, token=attack.node.token("early")),
        command(type="LEAVE", id=1, room=ROOM),
    ):
        client = await attack.upgraded()
        await client.send(one)
        codes.add(await client.close_code())
    attack.saw(*codes)
    assert codes == {4501}


async def test_a_hundred_first_messages_in_one_segment(attack: Attack):
    """The first AUTH counts, whoever the others are from; they are errors, and so many end it."""
    auths = [command(type="AUTH", id=n, token=attack.node.token(f"user{n}")) for n in range(100)]
    client = await attack.upgraded()
    await client.send(b"".join(auths))
    welcome = await client.next()
    code = await client.close_code()
    attack.saw(welcome["type"], code)
    assert welcome["user"] == "user0"
    assert code == 4509


async def test_a_forged_message(attack: Attack):
    """What only the node says is no command: MESSAGE, JOINED, a user in a PUBLISH."""
    ann = await attack.signed_in("ann", ROOM)
    mallory = await attack.signed_in("mallory", ROOM)
    for kind in ("MESSAGE", "JOINED", "REMOVED", "AUTH_OK", "DRAIN"):
        answer = await mallory.ask(type=kind, room=ROOM, user="ann", content="forged")
        assert answer["code"] == 104
    await mallory.ask(type="PUBLISH", room=ROOM, user="ann", content="mine", offset=1)
    message = await ann.push("MESSAGE")
    attack.saw(104, f"from {message['user']}")
    assert message["user"] == "mallory"
