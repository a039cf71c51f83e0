"""One node for all attacks, twenty steady clients on it, and a table of what was observed."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest
from support.attack import ROWS, STEADY, Attack, attack_on, table
from support.besieged import Besieged, SteadyClients, besieged, steady_clients_on

HERE = Path(__file__).parent
LAST = "test_steady_clients.py"
FULL_SECONDS = 600


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each attack as soon as there is one: hooks that look at all items look at the marks."""
    item.add_marker(pytest.mark.socket)
    if item.config.getoption("--full-proofs"):
        item.add_marker(pytest.mark.timeout(FULL_SECONDS), append=False)
    if sys.platform != "linux":
        item.add_marker(pytest.mark.skip("measures the node through Linux's /proc"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The verdict on the steady clients comes after all attacks."""
    places = [n for n, item in enumerate(items) if HERE in item.path.parents]
    attacks = sorted((items[n] for n in places), key=lambda item: item.path.name == LAST)
    for place, item in zip(places, attacks, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether attacks have the size that the promises name where that takes minutes."""
    return pytestconfig.getoption("--full-proofs")


@pytest.fixture(scope="session")
def ordinary_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """A node with ordinary settings, where anybody may be a guest."""
    with besieged(tmp_path_factory.mktemp("attacked"), guests="true") as node:
        yield node


@pytest.fixture(scope="session")
def steady_clients(ordinary_node: Besieged) -> Iterator[SteadyClients]:
    """They talk from before the first attack until after the last."""
    with steady_clients_on(ordinary_node) as clients:
        yield clients


@pytest.fixture
async def attack(
    ordinary_node: Besieged, steady_clients: SteadyClients, request: pytest.FixtureRequest
) -> AsyncIterator[Attack]:
    """An attack on the ordinary node while the steady clients talk."""
    async with attack_on(ordinary_node, request) as attack:
        yield attack


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what was observed, and keep it where `--attack-table` says."""
    rows, steady = config.stash[ROWS], config.stash.get(STEADY, None)
    if not rows:
        return
    lines = table(rows)
    if steady is not None:
        lines += ["", f"steady clients: {json.dumps(steady)}"]
    terminalreporter.section("attacks (RSS in MiB)")
    for line in lines:
        terminalreporter.write_line(line)
    if (path := config.getoption("--attack-table")) is not None:
        as_json = json.dumps({"attacks": [attrs.asdict(row) for row in rows], "steady": steady})
        text = as_json if path.endswith(".json") else "\n".join(lines)
        Path(path).write_text(text + "\n")
