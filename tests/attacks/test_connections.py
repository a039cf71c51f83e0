"""More connections than there may be, and fewer descriptors than they take."""

import pytest
import trio
from support.attack import Attack, attack_on
from support.besieged import besieged
from support.patience import PATIENCE_SECONDS
from support.raw import RawClient, command
from support.wire import request

ROOM = "inside"
PLACES = 20
PER_ADDRESS = 12
PER_USER = 4
CONNECTS = 100
SOCKETS = 1_000
AT_ONCE = 50


@pytest.fixture(scope="module")
def small_node(tmp_path_factory):
    """A node that is soon full."""
    with besieged(
        tmp_path_factory.mktemp("small"),
        max_connections=str(PLACES),
        max_connections_per_address=str(PER_ADDRESS),
        max_connections_per_user=str(PER_USER),
    ) as node:
        yield node


@pytest.fixture
async def small_attack(small_node, request):
    async with attack_on(small_node, request) as attack:
        yield attack


@pytest.fixture(scope="module")
def hasty_node(tmp_path_factory):
    """A node where an address may connect a few times a second."""
    rate = f"5/s burst {CONNECTS}"
    with besieged(tmp_path_factory.mktemp("hasty"), connect_rate=rate) as node:
        yield node


@pytest.fixture
async def hasty_attack(hasty_node, request):
    async with attack_on(hasty_node, request) as attack:
        yield attack


async def converse(speaker: RawClient, hearer: RawClient, done: trio.Event) -> int:
    """Say and hear until there is no more to prove; how often."""
    said = 0
    while not done.is_set() or said < 3:
        said += 1
        ack = await speaker.ask(type="PUBLISH", room=ROOM, content=str(said))
        assert ack["type"] == "ACK"
        assert (await hearer.push("MESSAGE"))["content"] == str(said)
        await hearer.send(command(type="HEARTBEAT", timestamp=said))
        await trio.sleep(0.03)
    return said


async def knock(attack: Attack, times: int, **options: object) -> list[str]:
    """Ask for so many WebSockets, `AT_ONCE` at a time; the answers' heads."""
    answers = []

    async def one():
        async with limit:
            client = await attack.node.connect(**options)
            try:
                await client.send(request())
                answers.append(await client.answer())
            finally:
                await client.aclose()

    limit = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(one)
    return answers


def statuses(answers: list[str]) -> list[int]:
    return sorted({int(answer.split()[1]) for answer in answers})


async def test_a_thousand_sockets_over_the_limit(small_attack: Attack):
    """503 with Retry-After, from as many addresses; those inside notice nothing."""
    inside = [await small_attack.signed_in(f"inside{n}", ROOM) for n in range(PLACES)]
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, inside[0], inside[1], done)
        answers = await knock(small_attack, SOCKETS)
        done.set()
    small_attack.saw(f"{len(answers)} times {statuses(answers)}, Retry-After")
    assert statuses(answers) == [503]
    assert all("retry-after:" in answer.lower() for answer in answers)
    await small_attack.withdraw()  # or there is no place for the probe either


async def test_one_address_that_takes_all_it_can(small_attack: Attack):
    """429 with Retry-After; other addresses come in as before."""
    mine = "127.77.0.1"
    held = [await small_attack.connect(source=mine) for _ in range(PER_ADDRESS)]
    for client in held:
        await client.upgrade()
    answers = await knock(small_attack, 100, source=mine)
    small_attack.saw(f"{len(answers)} times {statuses(answers)}, Retry-After")
    assert statuses(answers) == [429]
    assert all("retry-after:" in answer.lower() for answer in answers)
    await (await small_attack.upgraded()).aclose()


async def test_one_address_that_connects_again_and_again(hasty_attack: Attack):
    """429 with Retry-After to whoever goes on; other addresses come in as before."""
    mine = "127.77.0.2"
    answers = await knock(hasty_attack, 5 * CONNECTS, source=mine)
    refused = [answer for answer in answers if answer.startswith("HTTP/1.1 429")]
    hasty_attack.saw(f"{len(refused)} of {len(answers)} times 429, Retry-After")
    assert statuses(answers) == [101, 429]
    assert len(refused) > len(answers) / 2
    assert all("retry-after:" in answer.lower() for answer in refused)
    await (await hasty_attack.upgraded()).aclose()


async def test_one_user_that_takes_all_it_can(small_attack: Attack):
    """4504; the connections that the user has stay."""
    held = [await small_attack.signed_in("greedy") for _ in range(PER_USER)]
    codes = set()
    for _ in range(10):
        client = await small_attack.upgraded()
        await client.ask_away(type="AUTH", token=small_attack.node.token("greedy"))
        codes.add(await client.close_code())
    small_attack.saw(*codes)
    assert codes == {4504}
    for client in held:
        assert (await client.ask(type="JOIN", room=ROOM))["type"] == "JOIN_OK"


async def test_sockets_that_come_and_go(attack: Attack):
    """A thousand that connect and leave at once, half of them with a reset."""

    async def one(number):
        async with limit:
            client = await attack.node.connect()
            if number % 2:
                client.reset()
            await client.aclose()

    limit = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for number in range(1_000):
            nursery.start_soon(one, number)
    attack.saw("forgotten")


async def test_no_descriptors_left(attack: Attack):
    """Accepting pauses and comes back; who is in goes on, the steady clients too."""
    attack.expected = "accepting pauses"
    speaker = await attack.signed_in("speaker", ROOM)
    hearer = await attack.signed_in("hearer", ROOM)
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        with attack.node.few_descriptors(10):
            nursery.start_soon(converse, speaker, hearer, done)
            waiting = [await attack.connect() for _ in range(100)]
            for client in waiting:
                await client.send(request())
            await trio.sleep(0.5)
            assert attack.node.sockets() < attack.before.sockets + len(waiting) / 2
        # The descriptors are back: all that wait are let in.
        with trio.fail_after(PATIENCE_SECONDS):
            for client in waiting:
                assert await client.status() == 101
        done.set()
    complaints = attack.node.new_complaints()
    attack.saw(f"paused, then {len(waiting)} times 101")
    assert len(complaints) == 1
    assert "accepting pauses" in complaints[0]
