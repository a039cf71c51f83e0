"""What becomes of a handshake: an actor that knows all about it, or a refusal; and its seat."""

from types import SimpleNamespace

import attrs
import pytest
import structlog.testing
import trio

from greenroom.actors.rights.revocations import Revocations
from greenroom.node.door.admission import admit_connection
from greenroom.node.door.headcount import Headcount
from greenroom.node.door.peek import (
    BAD_TOKEN,
    DRAINING,
    EXPIRED_TOKEN,
    FULL,
    NOT_STARTED,
    TOO_MANY_HERE,
    UNCHECKED_TOKEN,
    RequestHead,
    WebSocketUpgrade,
)
from greenroom.node.door.proxies import Peer
from greenroom.node.door.visit import Arrival
from greenroom.protocol import Claims, TokenExpired, TokenInvalid, UnknownKey
from greenroom.supervisor import ChildSpec, StartFailed, SupervisorStopped, TooManyChildren

ADDRESS = "203.0.113.9"
HEAD = RequestHead("GET", "/ws", ())


def arrival(**tokens):
    return Arrival(
        upgrade=WebSocketUpgrade(HEAD, **tokens),
        received=b"head",
        peer=Peer(ADDRESS, 4711, tls=False),
        deadline=trio.current_time() + 5,
    )


class FakeCast:
    """Starts whatever it is given, or raises; and checks tokens by their text."""

    def __init__(self, monkeypatch, *, error=None, refresh_keys=None):
        self.error = error
        self.openings = []
        self.specs = []
        self.checked = []
        self.ended = trio.Event()
        self.connections = self
        self.services = SimpleNamespace(
            verify=self.verify,
            now=lambda: 0.0,
            refresh_keys=refresh_keys,
            revocations=Revocations(keep_seconds=1.0),
        )
        monkeypatch.setattr("greenroom.node.door.admission.connection_spec", self.connection_spec)

    def verify(self, token, _now):
        self.checked.append(token)
        match token:
            case "expired":
                raise TokenExpired("expired")
            case "unknown key":
                raise UnknownKey("no such key")
            case "bad":
                raise TokenInvalid("bad")
        return Claims(subject="ann", expires_at=1.0)

    def connection_spec(self, _stream, opening, _cast):
        self.openings.append(opening)
        return ChildSpec(id="c", start=self.actor, args=("stream",))

    async def actor(self, _inbox, stream, *, task_status):
        assert stream == "stream"
        task_status.started()
        await self.ended.wait()

    async def start_child(self, spec):
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.specs.append(spec)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        pytest.param(TooManyChildren("node/connections", "id", 1), FULL, id="full"),
        pytest.param(SupervisorStopped("node/connections", "id"), DRAINING, id="stopped"),
        pytest.param(StartFailed("node/connections/id"), DRAINING, id="stopped-at-start"),
        pytest.param(
            StartFailed("node/connections/id", SimpleNamespace(summary="a bug")),
            NOT_STARTED,
            id="crashed-at-start",
        ),
    ],
)
async def test_a_connection_without_actor_is_refused(monkeypatch, error, refusal):
    headcount = Headcount(1)
    cast = FakeCast(monkeypatch, error=error)
    with structlog.testing.capture_logs() as logs:
        assert await admit_connection(cast, headcount, None, arrival()) is refusal
    assert [line["log_level"] for line in logs] == (["error"] if refusal is NOT_STARTED else [])
    assert headcount.count(ADDRESS) == 0


async def test_the_actor_is_told_who_comes_and_with_which_token(monkeypatch):
    cast = FakeCast(monkeypatch)
    assert await admit_connection(cast, Headcount(9), None, arrival(cookie="bad")) is None
    assert await admit_connection(cast, Headcount(9), None, arrival(bearer="a", cookie="b")) is None
    assert [opening.token for opening in cast.openings] == ["bad", "a"]
    opening = cast.openings[0]
    assert (opening.address, opening.peer) == (ADDRESS, f"{ADDRESS}:4711")
    assert opening.received == b"head"


async def test_no_repr_on_the_way_to_the_actor_shows_what_came_in(monkeypatch):
    """A spec and its arguments stand in reports and in snapshots."""
    cast = FakeCast(monkeypatch)
    secret = attrs.evolve(arrival(bearer="SEKRET", cookie="SEKRET"), received=b"SEKRET")
    assert await admit_connection(cast, Headcount(1), None, secret) is None
    assert (cast.openings[0].received, cast.openings[0].token) == (b"SEKRET", "SEKRET")
    assert "SEKRET" not in f"{secret!r} {cast.openings!r} {cast.specs!r}"


@pytest.mark.parametrize(
    ("token", "refusal"),
    [("bad", BAD_TOKEN), ("expired", EXPIRED_TOKEN), ("unknown key", BAD_TOKEN), ("good", None)],
)
async def test_a_bearer_token_has_to_be_good_now(monkeypatch, token, refusal):
    headcount = Headcount(1)
    cast = FakeCast(monkeypatch)
    assert await admit_connection(cast, headcount, None, arrival(bearer=token)) is refusal
    assert headcount.count(ADDRESS) == len(cast.specs) == (refusal is None)


async def test_keys_that_do_not_come_in_time_are_503_and_no_verdict(monkeypatch, autojump_clock):
    headcount = Headcount(1)
    cast = FakeCast(monkeypatch, refresh_keys=trio.sleep_forever)
    refusal = await admit_connection(cast, headcount, None, arrival(bearer="unknown key"))
    assert refusal is UNCHECKED_TOKEN
    assert trio.current_time() == 5
    assert headcount.count(ADDRESS) == 0


async def test_a_cookie_is_not_looked_at_before_auth(monkeypatch):
    cast = FakeCast(monkeypatch)
    assert await admit_connection(cast, Headcount(1), None, arrival(cookie="bad")) is None
    assert cast.checked == []


async def test_an_address_at_its_limit_is_refused_before_its_token_is_checked(monkeypatch):
    headcount = Headcount(1)
    cast = FakeCast(monkeypatch)
    assert await admit_connection(cast, headcount, None, arrival()) is None
    refusal = await admit_connection(cast, headcount, None, arrival(bearer="good"))
    assert refusal is TOO_MANY_HERE
    assert cast.checked == []


@pytest.mark.parametrize("how", ["ends", "is cancelled"])
async def test_a_seat_is_free_again_when_its_connection_ends(monkeypatch, how):
    headcount = Headcount(1)
    cast = FakeCast(monkeypatch)
    assert await admit_connection(cast, headcount, None, arrival()) is None
    (spec,) = cast.specs
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: spec.start(None, *spec.args, task_status=task_status)
        )
        assert headcount.count(ADDRESS) == 1
        cast.ended.set() if how == "ends" else nursery.cancel_scope.cancel()
    assert headcount.count(ADDRESS) == 0
