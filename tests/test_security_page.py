"""The page on security names a test for each defence, and all attacks stand in it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
TABLE = re.compile(r"^\| attack \| defence \| test \|\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def names_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in nodes if isinstance(node, functions)}
    return {name for name in names if name.startswith("test_")}


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 60
    assert [n for n in named if n[1] not in names_in(ROOT / "tests" / n[0])] == []


def test_every_defence_names_a_test() -> None:
    tables = TABLE.findall(PAGE)
    assert len(tables) >= 5
    rows = [line for table in tables for line in table.splitlines()]
    assert [row for row in rows if not NAMED.search(row) or row.count(" | ") != 2] == []


def test_every_attack_stands_in_the_page() -> None:
    """But for those that only surround the others, or say that nothing happens."""
    made = {
        (f"attacks/{path.name}", name)
        for path in (ROOT / "tests" / "attacks").glob("test_*.py")
        for name in names_in(path)
    }
    around = {
        ("attacks/test_steady_clients.py", "test_none_of_the_steady_clients_was_disturbed"),
        ("attacks/test_connections.py", "test_sockets_that_come_and_go"),
        (
            "attacks/test_handshake.py",
            "test_an_upgrade_behind_a_request_on_one_connection",
        ),
        ("attacks/test_slowloris.py", "test_a_frame_that_never_ends"),
    }
    assert made - set(NAMED.findall(PAGE)) == around
