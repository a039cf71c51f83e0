"""A whole node on PostgreSQL or MariaDB, by way of a proxy: slow, away, back, in the middle."""

import json
import re
from contextlib import asynccontextmanager

import pytest
import trio
from support.cast_stage import until
from support.databases import ENGINES, Place, address, through
from support.patience import PATIENCE_SECONDS
from support.proxy import open_proxy
from support.whole_node import running

pytestmark = [pytest.mark.socket, pytest.mark.service]
STATEMENT_SECONDS = 0.5


@pytest.fixture(params=ENGINES[1:])
def place(request, tmp_path, server_database):
    place = Place(name=request.param, url=server_database(request.param), file=tmp_path / "none")
    place.empty()  # an account of another test's would keep its name from our guests
    return place


@pytest.fixture
def room_name(request):
    """A room that no other test has used."""
    return re.sub("[^a-z]", "-", request.node.name)[-80:]


@asynccontextmanager
async def node_behind_proxy(place, data):
    async with open_proxy(*address(place.url)) as proxy:
        url = through(place.url, proxy)
        settings = {"database": url, "database_statement_seconds": STATEMENT_SECONDS}
        async with running(data, **settings) as node:
            yield node, proxy


async def until_ready(node, status):
    with trio.fail_after(PATIENCE_SECONDS):
        while (await node.http("GET", "/readyz"))[0] != status:  # noqa: ASYNC110  # asked, not told
            await trio.sleep(0.05)


async def publish_all(client, count, *, room, acknowledged):
    """One after the other, each again under its key until it is acknowledged."""
    for number in range(count):
        while True:
            reply = await client.ask(
                type="PUBLISH", room=room, key=f"k{number}", content=str(number)
            )
            if reply["type"] == "ACK":
                break
            assert (reply["code"], reply["temporary"]) == (108, True)
        acknowledged(reply["offset"])


async def test_a_server_goes_away_and_comes_back_under_publishes(place, tmp_path, room_name):
    async with node_behind_proxy(place, tmp_path) as (node, proxy), node.sign_in("ann") as ann:
        acks = []

        def acknowledged(offset):
            acks.append(offset)
            if len(acks) == 10:
                proxy.go_away()

        await ann.ask(type="JOIN", room=room_name)
        await ann.ask(type="JOIN", room="ephemeral:x")
        async with trio.open_nursery() as nursery, node.sign_in("bob", room_name) as bob:
            nursery.start_soon(
                lambda: publish_all(bob, 30, room=room_name, acknowledged=acknowledged)
            )
            await until_ready(node, 503)
            held = len(acks)
            with trio.fail_after(PATIENCE_SECONDS):
                reply = await ann.ask(type="PUBLISH", room="ephemeral:x", content="hi")
            assert reply["type"] == "ACK"
            await trio.sleep(0.5)
            assert len(acks) == held
            proxy.come_back()
            await until(lambda: len(acks) == 30, seconds=20)
            nursery.cancel_scope.cancel()
        await until_ready(node, 200)
        assert acks == list(range(1, 31))
        page = await ann.ask(type="HISTORY", room=room_name, limit=100)
        assert [json.loads(m["content"]) for m in page["messages"]] == list(range(30))


async def test_a_slow_server_is_waited_for(place, tmp_path, room_name):
    """Each round trip takes 0.1 s more, which is less than a statement may take."""
    async with (
        node_behind_proxy(place, tmp_path) as (node, proxy),
        node.sign_in("ann", room_name) as ann,
    ):
        await ann.ask(type="PUBLISH", room=room_name, content="first")
        proxy.delay_seconds = 0.1
        reply = await ann.ask(type="PUBLISH", room=room_name, content="second")
        assert (reply["type"], reply["offset"]) == ("ACK", 2)


async def test_answers_that_are_lost_make_no_doubles(place, tmp_path, room_name):
    async with (
        node_behind_proxy(place, tmp_path) as (node, proxy),
        node.sign_in("ann", room_name) as ann,
    ):
        for number in range(5):
            proxy.swallow_answer_to = b"\x03COMMIT" if place.name == "mariadb" else b"COMMIT\0"
            reply = await ann.ask(type="PUBLISH", room=room_name, content=str(number))
            assert (reply["type"], reply["offset"]) == ("ACK", number + 1)
        page = await ann.ask(type="HISTORY", room=room_name, limit=100)
        assert [m["content"] for m in page["messages"]] == ["0", "1", "2", "3", "4"]


async def test_a_node_stops_although_its_server_hangs(place, tmp_path, room_name):
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            node_behind_proxy(place, tmp_path) as (node, proxy),
            node.sign_in("ann", room_name) as ann,
        ):
            proxy.stall()
            await ann.send(type="PUBLISH", room=room_name, content="x")
            await trio.sleep(0.1)
            node.stop()
