"""What `run.py` does before it installs anything; the gate runs the rest of it on a clean clone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "run.py"


@pytest.fixture
def run(tmp_path):
    shutil.copy(SCRIPT, tmp_path)
    shutil.copy(SCRIPT.with_name("pyproject.toml"), tmp_path)

    def run(*arguments):
        command = [sys.executable, str(tmp_path / "run.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    return run


def test_without_a_command_it_says_what_there_is(run):
    told = run()
    assert told.returncode == 0
    assert "run.py serve" in told.stdout


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_environment_that_somebody_else_made_is_left_alone(run, tmp_path, kind):
    theirs = tmp_path / ".venv"
    if kind == "folder":
        theirs.mkdir()
        (theirs / "precious").touch()
    else:
        theirs.touch()
    told = run("serve")
    assert told.returncode != 0
    assert told.stderr.splitlines()[-1].startswith(f"{theirs} is not one that run.py made")
    assert kind == "file" or (theirs / "precious").exists()
