"""What pyproject.toml says about the packages is what stands in the folders."""

import ast
import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTED = PYPROJECT["tool"]["setuptools"]["packages"]


def test_every_folder_with_modules_is_a_listed_package() -> None:
    tops = {name.split(".")[1] for name in LISTED}
    folders = {path.parent.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*.py")}
    assert {f"greenroom.{'.'.join(folder.parts)}" for folder in folders} == set(LISTED)


def test_every_package_says_what_it_is_for() -> None:
    for name in LISTED:
        source = ROOT.joinpath(*name.split(".")[1:], "__init__.py").read_text()
        assert ast.get_docstring(ast.parse(source)), name


CAST_PAGES = sorted((ROOT / "actors").rglob("__init__.py"))


@pytest.mark.parametrize("page", CAST_PAGES, ids=lambda page: page.parent.name)
def test_a_map_of_the_cast_names_all_that_is_there_and_nothing_that_is_gone(page: Path) -> None:
    beside = {path.stem for path in page.parent.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in page.parent.glob("*/__init__.py")}
    anywhere = {path.stem for path in (ROOT / "actors").rglob("*.py")}
    named = set(re.findall(r"`(\w+)`", page.read_text())) - {"node"}
    assert beside | folders <= named
    assert named - folders <= anywhere


def test_every_top_level_package_is_marked_as_typed() -> None:
    for top in {name.split(".")[1] for name in LISTED}:
        assert (ROOT / top / "py.typed").exists()


def test_plain_install_needs_trio_and_attrs_only() -> None:
    needed = {line.split(">")[0] for line in PYPROJECT["project"]["dependencies"]}
    assert needed == {"trio", "attrs"}


def test_every_dependency_has_a_lower_bound() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    for line in [*PYPROJECT["project"]["dependencies"], *itertools.chain(*extras)]:
        assert ">=" in line or line.startswith("greenroom["), line


def test_there_is_no_bare_package_at_the_root() -> None:
    """An `__init__.py` at the root would turn the namespace into a package of the checkout's."""
    assert not (ROOT / "__init__.py").exists()
