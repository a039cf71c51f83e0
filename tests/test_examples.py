"""Every Python example in the README and the documents runs, each as a program of its own.

An example that talks to a node is given a real one: the address `ws://127.0.0.1:8000/ws` in its
text is replaced by the node's, and `GREENROOM_TOKEN` in its environment holds a token for it. So
is the address of its operators' gate, `http://127.0.0.1:9000`, and `GATE_KEY` opens that.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED_URL = "ws://127.0.0.1:8000/ws"
DOCUMENTED_GATE = "http://127.0.0.1:9000"
GATE_KEY = "0123456789abcdef0123456789abcdef"


@attrs.frozen
class Example:
    """One fenced block, and where it stands."""

    page: Path
    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples() -> list[Example]:
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            found.append(Example(page, line, block.group(1)))
    return found


@attrs.frozen
class LocalNode:
    """A node that runs for the examples: where it listens, and a token it accepts."""

    url: str
    token: str
    gate: str


@pytest.fixture(scope="session")
def local_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    data = tmp_path_factory.mktemp("example-node")
    command = [sys.executable, "-m", "greenroom.node"]
    serve = [*command, "serve", "--port", "0", "--data", str(data), "--log-format", "json"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    gate = {"GREENROOM_ADMIN_PORT": "0", "GREENROOM_ADMIN_KEYS": f"docs={GATE_KEY}"}
    with subprocess.Popen(serve, text=True, env=os.environ | gate, **streams) as node:
        assert node.stdout is not None
        try:
            lines = iter(node.stdout)
            port = next(json.loads(line)["port"] for line in lines if "operators' gate" in line)
            address = next(
                match.group(1)
                for line in lines
                if (match := re.search(r"http://(127\.0\.0\.1:\d+)", line))
            )
            token = subprocess.run(
                [*command, "token", "--user", "example", "--data", str(data)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            yield LocalNode(f"ws://{address}/ws", token, f"http://127.0.0.1:{port}")
        finally:
            node.terminate()
            node.communicate(timeout=30)


def uses_the_node(example: Example) -> bool:
    return DOCUMENTED_URL in example.source or DOCUMENTED_GATE in example.source


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, id=str(example), marks=[pytest.mark.socket] * uses_the_node(example))
        for example in examples()
    ],
)
def test_example_runs(example: Example, request: pytest.FixtureRequest) -> None:
    source, environment = example.source, dict(os.environ)
    if uses_the_node(example):
        node: LocalNode = request.getfixturevalue("local_node")
        source = source.replace(DOCUMENTED_URL, node.url).replace(DOCUMENTED_GATE, node.gate)
        environment |= {"GREENROOM_TOKEN": node.token, "GATE_KEY": GATE_KEY}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, f"{example}\n{finished.stdout}\n{finished.stderr}"
