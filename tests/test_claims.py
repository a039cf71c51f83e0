"""The table of OTP's and Elixir's claims names tests that exist, and forgets none made for it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "otp-claims.md"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "there"]


def names_in(path: Path) -> set[str]:
    nodes = ast.parse(path.read_text()).body
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, functions)}


def test_every_named_test_exists() -> None:
    folder = ROOT / "tests" / "supervisor"
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 100
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (folder / file).exists() or name not in names_in(folder / file)
    ]
    assert missing == []


def test_every_claim_has_a_test_or_a_reason_for_having_none() -> None:
    for row in rows():
        assert len(row) == 4, row
        _, claim, test, difference = row
        assert claim, row
        assert NAMED.search(test) or (test == "not done" and difference), row


def test_every_test_made_for_a_claim_is_listed() -> None:
    made = {
        name
        for name in names_in(ROOT / "tests" / "supervisor" / "test_otp_claims.py")
        if name.startswith("test_")
    }
    listed = {
        name for file, name in NAMED.findall(PAGE.read_text()) if file == "test_otp_claims.py"
    }
    assert made == listed
