"""The tree, as the page that draws it says, and its orderly end."""

from support.cast_stage import FakeStore, open_stage, until

from greenroom.actors.services import Services
from greenroom.actors.system import node_spec
from greenroom.supervisor import SupervisorSpec


def test_the_tree_is_the_one_that_is_drawn():
    services = Services(node="n1", now=lambda: 0.0, verify=lambda token, now: None)
    spec = node_spec(services=services, store=FakeStore())
    assert [child.id for child in spec.children] == [
        "warden",
        "registry",
        "archive",
        "doorkeeper",
        "rooms",
        "readiness",
        "beats",
        "bearers",
        "connections",
    ]
    dynamic = {c.id for c in spec.children if isinstance(c, SupervisorSpec) and c.dynamic}
    assert dynamic == {"rooms", "connections"}
    drawn = [line.split()[1] for line in node_spec.__doc__.splitlines() if "──" in line]
    assert drawn == [
        "keys",
        "warden",
        "registry",
        "archive",
        "callbacks",
        "doorkeeper",
        "operators",
        "rooms",
        "readiness",
        "beats",
        "bearers",
        "connections",
        "listener",
    ]


async def test_more_rooms_than_allowed_is_error_108(autojump_clock):
    async with open_stage(max_rooms=1) as stage:
        ann = await stage.member("ann", "one")
        assert (await ann.ask("JOIN", room="two"))["code"] == 108


async def test_a_session_of_a_client_that_left_is_forgotten(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        (session,) = await stage.sessions_of("ann")
        assert session.user == "ann"
        await ann.ws.aclose()
        await until(lambda: stage.connections() == 0)
        assert await stage.sessions_of("ann") == ()
