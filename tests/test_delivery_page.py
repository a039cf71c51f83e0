"""The page on delivery names a test for each promise, and the bounds as they are."""

import ast
import re
from pathlib import Path

import attrs

from greenroom.actors.services import CastLimits

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "delivery.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
BOUND = re.compile(r"^\|[^|]+\| `(\w+)` \| ([\d.]+) \|", re.MULTILINE)


def tables() -> list[list[list[str]]]:
    """The page's tables: rows of cells, the headline first."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        for block in blocks
    ]


def names_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROOT / "tests" / file).read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, functions)}


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 40
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []


def test_every_promise_names_a_test() -> None:
    promises = [table for table in tables() if table[0][-1].strip("| ") == "proved by"]
    assert len(promises) >= 5
    for headline, _, *rows in promises:
        for row in rows:
            assert len(row) == len(headline), row
            assert NAMED.search(row[-1]), row


def test_every_proof_stands_in_the_page() -> None:
    """But for those of one outage that the same row covers."""
    made = {
        (f"proofs/{path.name}", name)
        for path in (ROOT / "tests" / "proofs").glob("test_*.py")
        for name in names_in(f"proofs/{path.name}")
        if name.startswith("test_")
    }
    covered = {
        (
            "proofs/test_database_away.py",
            "test_a_room_that_opens_while_the_database_is_away_is_entered_when_it_is_back",
        )
    }
    assert made - set(NAMED.findall(PAGE)) == covered


def test_the_bounds_are_the_defaults() -> None:
    documented = {name: float(value) for name, value in BOUND.findall(PAGE)}
    limits = attrs.asdict(CastLimits(), recurse=False)
    assert documented == {name: limits[name] for name in documented}
    assert documented
