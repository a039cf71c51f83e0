"""mypy and pyright infer what typed_refs.py claims, and refuse what it says they refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def importable(tmp_path):
    """A directory from which `greenroom` resolves, whatever way it was installed."""
    (tmp_path / "greenroom").symlink_to(HERE.parent.parent)
    (tmp_path / "cases.py").write_text((HERE / "typed_refs.py").read_text())
    return tmp_path


@pytest.mark.slow
def test_mypy_infers_replies_and_refs(importable):
    pytest.importorskip("mypy")
    command = ["-m", "mypy", "--strict", "--namespace-packages", "--explicit-package-bases"]
    done = subprocess.run(
        [
            sys.executable,
            *command,
            "--config-file=",
            "--cache-dir",
            importable / "cache",
            "cases.py",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=importable,
        env={**os.environ, "MYPYPATH": str(importable)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 source file" in done.stdout


@pytest.mark.slow
def test_pyright_infers_replies_and_refs(importable):
    pytest.importorskip("pyright")
    config = {
        "include": ["cases.py"],
        "extraPaths": [str(importable)],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "none",
    }
    (importable / "pyrightconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", importable],
        capture_output=True,
        text=True,
        check=False,
        cwd=importable,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No source files" not in done.stdout
