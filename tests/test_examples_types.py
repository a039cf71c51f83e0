"""The documented programs that show the supervisor are typed: mypy --strict accepts them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Tests are not annotated; everything else that shows the supervisor is.
UNTYPED = {"test-with-a-fake-clock.md"}


def typed_programs() -> dict[str, str]:
    """Return {module name: source} of every program that uses the supervisor."""
    found = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if page.name in UNTYPED:
            continue
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if "greenroom.supervisor" in block.group(1):
                line = text.count("\n", 0, block.start()) + 1
                found[f"{page.stem.replace('-', '_').lower()}_line_{line}"] = block.group(1)
    return found


@pytest.mark.slow
def test_mypy_accepts_the_documented_programs(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "greenroom").symlink_to(ROOT)
    programs = typed_programs()
    for name, source in programs.items():
        (tmp_path / f"{name}.py").write_text(source)
    options = ["--strict", "--namespace-packages", "--explicit-package-bases", "--config-file="]
    files = [f"{name}.py" for name in programs]
    finished = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path / "cache"), *files],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert len(programs) > 20
