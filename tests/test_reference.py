"""The reference pages say what the code says."""

import importlib
import re

import pytest
from generate_reference import REFERENCES, generate
from reference_source import INTERNAL

each_page = pytest.mark.parametrize("page", REFERENCES, ids=lambda page: page.package)


def package_of(page):
    return importlib.import_module(f"greenroom.{page.package}")


def sections(page):
    """Return {public name: what the page says below its heading}."""
    library, _, _ = page.path.read_text().partition("\n## Testing\n")
    parts = re.split(
        r"^### (\w+)$", re.sub(r"^## .*$", "", library, flags=re.MULTILINE), flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@each_page
def test_the_page_is_what_the_docstrings_generate(page):
    """After changing a docstring or a signature, run `python docs/generate_reference.py`."""
    assert page.path.read_text() == generate(page)


@each_page
def test_the_page_lists_exactly_the_public_names(page):
    assert sorted(sections(page)) == sorted(package_of(page).__all__)


@each_page
def test_every_public_name_is_described(page):
    """More than a heading and a signature stands there."""
    code = re.compile(r"^```py\n.*?^```$", re.MULTILINE | re.DOTALL)
    undescribed = [name for name, text in sections(page).items() if not code.sub("", text).strip()]
    assert undescribed == []


def test_what_the_page_leaves_out_still_exists():
    """The list of members that only the library calls names nothing that is gone."""
    packages = [package_of(page) for page in REFERENCES]
    for owner, names in INTERNAL.items():
        [cls] = [getattr(package, owner) for package in packages if hasattr(package, owner)]
        assert names <= set(dir(cls)), owner
