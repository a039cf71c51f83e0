"""The page for operators says what the code says."""

import re
from pathlib import Path

import pytest

from greenroom.node.settings.describe import describe_settings
from greenroom.node.settings.record import DEFAULTS, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|[^|]*\|[^|]*\|$", re.MULTILINE)  # five columns
STATED = {name: default.strip() for name, default in ROW.findall(PAGE)}
SHOWN = {name: value for name, value, _ in describe_settings(Settings())}


@pytest.mark.parametrize("setting", DEFAULTS)
def test_every_setting_stands_in_the_page_with_its_default(setting):
    if SHOWN[setting] == "-":
        assert STATED[setting].startswith("none")
    else:
        assert STATED[setting] == f"`{SHOWN[setting]}`"
