"""The page on a message's way tells the bounds as they are."""

import re
from pathlib import Path

import attrs

from greenroom.actors.services import CastLimits
from greenroom.node.storage import Pool

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "how-a-message-travels.md"
ROW = re.compile(r"^\|[^|]+\| `(\w+)` \| ([\d.]+) \|", re.MULTILINE)


def test_the_documented_bounds_are_the_defaults():
    documented = {name: float(value) for name, value in ROW.findall(PAGE.read_text())}
    assert documented
    limits = attrs.asdict(CastLimits())
    assert documented == {name: limits[name] for name in documented}


def test_the_archive_does_no_more_at_once_than_the_store_has_connections():
    limits = CastLimits()
    assert 1 + limits.reads_at_once + limits.loads_at_once <= Pool().most
