"""What becomes of a handshake for which no connection actor starts."""

from types import SimpleNamespace

import pytest
import structlog.testing
import trio

from greenroom.node.admission import admit_connection
from greenroom.node.listener import Arrival
from greenroom.node.peek import DRAINING, FULL, NOT_STARTED, RequestHead
from greenroom.supervisor import StartFailed, SupervisorStopped, TooManyChildren

ARRIVAL = Arrival(
    head=RequestHead("GET", "/ws", ()), received=b"", peer="peer", tls=False, deadline=0.0
)


def cast_that_raises(error):
    async def start_child(_spec):
        await trio.lowlevel.checkpoint()
        raise error

    return SimpleNamespace(
        services=SimpleNamespace(new_id=lambda: "id", limits=SimpleNamespace(close_seconds=1)),
        connections=SimpleNamespace(start_child=start_child),
    )


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
async def test_a_connection_without_actor_is_refused(error, refusal):
    with structlog.testing.capture_logs() as logs:
        assert await admit_connection(cast_that_raises(error), None, ARRIVAL) is refusal
    assert [line["log_level"] for line in logs] == (["error"] if refusal is NOT_STARTED else [])
