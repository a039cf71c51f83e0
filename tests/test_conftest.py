"""A test that fails or hangs does so alone, and may try again under CI: pytest on such tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 0.5
"""For those that hang; the others have the usual two minutes, on a busy machine too."""
PROGRAM = """
import time
from collections import Counter
import pytest
import trio
from conftest import seed_of
from greenroom.supervisor.testing import seeded_scheduler
from support import hangs

hangs.GRACE_SECONDS = 0.2
short = pytest.mark.timeout(0.5)
"""
HANGS = {
    "in_an_await": """
@short
async def test_in_an_await():
    await trio.sleep_forever()
""",
    "and_then_returns": """
@short
async def test_and_then_returns():
    with trio.move_on_after(1000) as scope:
        try:
            await trio.sleep_forever()
        finally:
            scope.cancel()
""",
    "behind_a_shield": """
@short
async def test_behind_a_shield():
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
""",
    "for_a_thread": """
@short
async def test_for_a_thread():
    await trio.to_thread.run_sync(time.sleep, 1)
""",
    "without_an_await": """
@short
async def test_without_an_await():
    while True:
        pass
""",
    "without_trio": """
@short
def test_without_trio():
    time.sleep(1000)
""",
    "in_a_fixture": """
@pytest.fixture
async def fixture():
    yield
    await trio.sleep_forever()

@short
async def test_in_a_fixture(fixture):
    pass
""",
    "in_a_fixture_of_all": """
@pytest.fixture(scope="session")
def fixture_of_all():
    trio.run(trio.sleep_forever)

@short
async def test_in_a_fixture_of_all(fixture_of_all):
    pass
""",
    "tried_again": """
@short
@pytest.mark.socket
async def test_tried_again():
    await trio.sleep_forever()
""",
}
NEXT = """
async def test_next_to_{}(autojump_clock):
    await trio.sleep(100)
"""
ONCE = """
tries = Counter()

def first(what):
    tries[what] += 1
    return tries[what] == 1

@pytest.mark.socket
@pytest.mark.timeout(2)
async def test_hangs_once():
    await trio.sleep(1000 if first("test") else 2 * hangs.GRACE_SECONDS)

@pytest.fixture(scope="session")
def node():
    assert not first("fixture of all")
    return "a node"

@pytest.mark.kill
def test_fixture_of_all_fails_once(node):
    assert node == "a node"

@pytest.fixture
async def connection():
    yield
    assert not first("teardown")

@pytest.mark.service
async def test_teardown_fails_once(connection):
    pass

@pytest.mark.browser
def test_fails_once(node):
    assert not first("last test with the fixture of all")

async def turns():
    taken = []

    async def task(number):
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            taken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(task, number)
    return taken

def test_schedule(request):
    by_itself = trio.run(turns)
    with seeded_scheduler(seed_of(request.node)):
        assert trio.run(turns) == by_itself

def test_pure_fails():
    assert not first("pure")
"""


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> str:
    """What pytest says in the end of all that hangs, and of a test after each."""
    file = tmp_path_factory.mktemp("hangs") / "test_program.py"
    parts = [part for name, hang in HANGS.items() for part in (hang, NEXT.format(name))]
    file.write_text("".join([PROGRAM, *parts, ONCE]))
    options = ["-c", ROOT / "pyproject.toml", "-p", "conftest", "-p", "no:cacheprovider"]
    options += ["-rAR", "--tb=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, file],
        env={
            **os.environ,
            "CI": "true",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path]),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout


def words_about(summary: str, test: str) -> list[str]:
    lines = (line.split() for line in summary.splitlines())
    return [line[0] for line in lines if len(line) > 1 and line[1].endswith(f"::{test}")]


@pytest.mark.parametrize("name", HANGS)
def test_what_hangs_says_so(summary, name):
    assert f"::test_{name} - Failed: Timeout (>{SECONDS}s)" in summary


@pytest.mark.parametrize("name", HANGS)
def test_the_next_test_is_as_good_as_ever(summary, name):
    assert words_about(summary, f"test_next_to_{name}") == ["PASSED"]


@pytest.mark.parametrize("what", ["hangs", "fixture_of_all_fails", "teardown_fails", "fails"])
def test_a_second_try_has_its_whole_time_and_is_named(summary, what):
    assert {"RERUN", "PASSED"} == set(words_about(summary, f"test_{what}_once"))


def test_under_ci_the_tasks_of_a_test_take_turns_as_before(summary):
    assert words_about(summary, "test_schedule") == ["PASSED"]


def test_what_does_not_use_the_machine_has_no_second_try(summary):
    assert words_about(summary, "test_pure_fails") == ["FAILED"]
