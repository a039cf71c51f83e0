"""Proofs run for seeds: a few in the ordinary suite, as many as promised with `--full-proofs`."""

from pathlib import Path

import attrs
import pytest

FULL_SECONDS = 1_200


@attrs.frozen
class Size:
    """How much of a proof is run."""

    full: bool

    def of(self, ordinary: int, full: int) -> int:
        return full if self.full else ordinary


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return Size(request.config.getoption("--full-proofs"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a proof at its full size the time that it needs."""
    if config.getoption("--full-proofs"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(FULL_SECONDS), append=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test marked `rounds(ordinary, full)` so many seeds, from 0 on, as its `seed`."""
    marker = metafunc.definition.get_closest_marker("rounds")
    if marker is not None:
        ordinary, full = marker.args
        count = full if metafunc.config.getoption("--full-proofs") else ordinary
        metafunc.parametrize("seed", range(count))
