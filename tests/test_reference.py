"""The reference pages say what the code says."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import greenroom.supervisor

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "supervisor.md"


@pytest.fixture(scope="module")
def generator():
    path = ROOT / "docs" / "generate_reference.py"
    spec = importlib.util.spec_from_file_location("generate_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("generate_reference", None)


def test_the_page_is_what_the_docstrings_generate(generator):
    """After changing a docstring or a signature, run `python docs/generate_reference.py`."""
    assert PAGE.read_text() == generator.generate()


def test_the_page_lists_exactly_the_public_names():
    library, _, _ = PAGE.read_text().partition("\n## Testing\n")
    listed = re.findall(r"^### (\w+)$", library, re.MULTILINE)
    assert sorted(listed) == sorted(greenroom.supervisor.__all__)


def test_every_public_name_is_described(generator):
    undescribed = [
        name
        for name in greenroom.supervisor.__all__
        if not (getattr(greenroom.supervisor, name).__doc__ or "").strip()
    ]
    assert undescribed == []


def test_what_the_page_leaves_out_still_exists(generator):
    """The list of members that only the library calls names nothing that is gone."""
    for owner, names in generator.INTERNAL.items():
        assert names <= set(dir(getattr(greenroom.supervisor, owner))), owner
