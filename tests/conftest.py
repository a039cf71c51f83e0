"""What every test has: an end, a second try where it needs the machine, asserts that explain."""

import os
from collections.abc import Generator
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

from greenroom.supervisor.testing import seeded_scheduler

pytest.register_assert_rewrite("support")
pytest_plugins = ["support.hangs"]
# A busy machine is no failure of the example that it was busy with.
settings.register_profile(
    "unhurried",
    parent=settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests run at the size that the promises name, and the table of attacks be kept."""
    parser.addoption(
        "--full-proofs",
        action="store_true",
        help="run tests/proofs and tests/attacks at full size: many minutes",
    )
    parser.addoption(
        "--attack-table", metavar="FILE", help="write the table of attacks to FILE: .md or .json"
    )


UNDER_CI = os.environ.get("CI") == "true"
OUTSIDE = ("socket", "service", "browser", "kill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under CI, give a test that uses the machine a second chance, which the summary names.

    Two suites and their servers share two cores there; a test of pure code gets no second chance.
    """
    if UNDER_CI:
        for item in items:
            if any(item.get_closest_marker(name) for name in OUTSIDE):
                item.add_marker(pytest.mark.flaky(reruns=1))


def seed_of(item: pytest.Item) -> int:
    """The same for each run of a test; another one for its second try."""
    return crc32(f"{item.nodeid} {getattr(item, 'execution_count', 1)}".encode())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Under CI, have Trio take turns as it did before: no test passes or fails by a throw of dice.

    Elsewhere the order is another one each time, and may find what one order does not.
    """
    if not UNDER_CI:
        return (yield)
    with seeded_scheduler(seed_of(item)):
        return (yield)
