"""The page's logic, which needs no browser: `node --test` over the `.test.js` files here.

Where Node.js is missing these are skipped with a reason; under CI=true that is a failure.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SUITES = sorted(path.name for path in HERE.glob("*.test.js"))


def find_node() -> str:
    node = shutil.which("node")
    if node is None:
        reason = "Node.js is not installed: the page's logic was not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return node


@pytest.fixture(scope="module")
def module_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and its tests, marked as ES modules: Node 20 asks for that, a browser does not."""
    tree = tmp_path_factory.mktemp("page")
    for part in (Path("node/page"), Path("tests/page")):
        (tree / part).mkdir(parents=True)
        for script in (ROOT / part).glob("*.js"):
            shutil.copy(script, tree / part)
    (tree / "package.json").write_text('{"type": "module"}')
    return tree


@pytest.mark.parametrize("suite", SUITES)
def test_page_logic(suite: str, module_tree: Path) -> None:
    """Every `test(...)` of the suite passes; its own names say what it claims."""
    outcome = subprocess.run(
        [find_node(), "--test", "--test-reporter=spec", f"tests/page/{suite}"],
        cwd=module_tree,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
