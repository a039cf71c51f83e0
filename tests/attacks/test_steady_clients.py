"""The verdict on the twenty clients that talked during all the attacks."""

import pytest
from support.attack import STEADY
from support.besieged import SteadyClients


def test_none_of_the_steady_clients_was_disturbed(
    steady_clients: SteadyClients, pytestconfig: pytest.Config
) -> None:
    report = steady_clients.report()
    pytestconfig.stash[STEADY] = report
    assert report["clients"] == 20
    assert report["trouble"] == []
    assert report["missing"] == []
    assert report["delivered"] == 19 * report["sent"] > 0
