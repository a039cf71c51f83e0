"""The load generator, compiled: it talks to our node and to the floor, and nothing goes wrong."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import trio
from support.unlimited import UNLIMITED
from support.whole_node import running

CHAT = Path(__file__).parents[2] / "bench" / "chat"
GUESTS = 10

pytestmark = pytest.mark.socket


def compiled(name, sources, folder):
    if shutil.which("gcc") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no gcc on PATH")
        pytest.skip("no gcc on PATH")
    program = folder / name
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, timeout=60)
    return program


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    sources = sorted((CHAT / "generator").glob("*.c"))
    return compiled("generator", sources, tmp_path_factory.mktemp("generator"))


async def generate(generator, port, *arguments):
    """Run it; returns its reports, one for the connects and one for each load."""
    command = [generator, "--port", port, "--connections", GUESTS, "--seconds", 0.2]
    command += ["--warmup", 0.05, *arguments]
    with trio.fail_after(30):
        done = await trio.run_process([*map(str, command)], capture_stdout=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_all_went_well(reports, *loads):
    assert [report["load"] for report in reports] == ["connect", *loads]
    for report in reports:
        wrong = {name: report[name] for name in ("errors", "disordered", "closed")}
        assert wrong == {"errors": 0, "disordered": 0, "closed": 0}, report
    for report in reports[1:]:
        assert report["deliveries_per_second"] > 0, report
    for report in reports[1:-1]:  # the last one is not waited for
        assert report["undelivered"] == 0, report


async def test_our_node_loses_and_doubles_nothing(generator, tmp_path):
    """Window, fixed rate and replies, each connection as a guest of its own."""
    tokens = []
    async with running(tmp_path / "data", **UNLIMITED) as node:
        for number in range(GUESTS):
            _status, body = await node.http("POST", "/api/guest", {"name": f"guest {number}"})
            tokens.append(json.loads(body)["token"])
        (tmp_path / "tokens").write_text("\n".join(tokens))
        ours = ["--dialect", "greenroom", "--tokens", tmp_path / "tokens"]
        ours += ["--room-prefix", "ephemeral:"]
        chat = await generate(
            generator, node.port, *ours, "--rooms", 2, "window:4:0", "rate:500", "window:1"
        )
        replies = await generate(generator, node.port, *ours, "--echo", "reply")
    assert_all_went_well(chat, "window", "rate", "window")
    assert_all_went_well(replies, "reply")


@pytest.fixture
async def floor(tmp_path, nursery):
    """The floor, on the port that it says it got."""
    program = compiled("floor", [CHAT / "peers" / "floor" / "floor.c"], tmp_path)
    process = await trio.lowlevel.open_process([str(program), "0"], stdout=subprocess.PIPE)
    yield int(await process.stdout.receive_some())
    process.kill()
    await process.wait()


async def test_the_floor_takes_part_like_any_peer(generator, floor):
    chat = await generate(generator, floor, "window:64", "slow:8", "window:1")
    replies = await generate(generator, floor, "--echo", "reply")
    assert_all_went_well(chat, "window", "slow", "window")
    assert_all_went_well(replies, "reply")
