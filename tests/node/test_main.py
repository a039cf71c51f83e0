"""The entry of the `greenroom` command, before the command line itself is there."""

import sys
import tomllib
from pathlib import Path

from greenroom.node.__main__ import main

ROOT = Path(__file__).parents[2]


class Interrupted:
    """An importer during which Ctrl+C is pressed."""

    def find_spec(self, name, path, target=None):
        if name == "greenroom.node.cli":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_command_line_is_imported_ends_with_130(monkeypatch):
    monkeypatch.delitem(sys.modules, "greenroom.node.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert main() == 130


def test_the_installed_command_begins_at_that_entry():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"greenroom": f"{main.__module__}:main"}
