"""The client's state moves by the protocol's table, and is told."""

import pytest

from greenroom.client import State
from greenroom.client._standing import Standing
from greenroom.protocol import Event, TransitionError


def test_bytes_end_unreachable_and_change_nothing_otherwise():
    standing = Standing()
    standing.move(Event.OPENED)
    told = standing.changes.subscribe()
    standing.received()
    standing.move(Event.SILENT)
    standing.received()
    assert standing.status.state is State.CONNECTED
    assert len(told._values) == 2


def test_closed_has_no_way_out():
    standing = Standing()
    standing.move(Event.ENDED)
    with pytest.raises(TransitionError):
        standing.move(Event.OPENED)


def test_try_keeps_the_last_trouble_and_drops_the_countdown():
    standing = Standing()
    standing.move(Event.LOST, detail="the network is gone", retry_at=5.0)
    standing.retrying()
    assert (standing.status.detail, standing.status.retry_at) == ("the network is gone", None)
