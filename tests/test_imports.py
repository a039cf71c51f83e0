"""The arrows between the packages: who may import whom, read off the source itself."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each package may import: of ours, and of others beside the standard library (None: any).
ARROWS: dict[str, tuple[set[str], set[str] | None]] = {
    "supervisor": (set(), {"trio", "attrs", "attr", "outcome"}),
    "protocol": (set(), {"attrs", "attr", "cattrs", "orjson", "jwt", "google"}),
    "actors": ({"supervisor", "protocol"}, {"trio", "attrs", "trio_websocket", "wsproto"}),
    "client": ({"supervisor", "protocol"}, {"trio", "attrs", "trio_websocket", "wsproto"}),
    "chaos": ({"supervisor", "protocol", "actors", "client"}, None),
    "node": ({"supervisor", "protocol", "actors", "client", "chaos"}, None),
}
STANDARD_LIBRARY_FORBIDDEN = {
    # Sans-I/O: the wire protocol knows no clock, no sockets and no event loop.
    "protocol": {"time", "socket", "ssl", "asyncio", "threading", "select", "selectors"},
    # Only the node knows files, environment variables and command lines.
    "actors": {"os", "pathlib", "argparse", "sqlite3", "threading"},
}


def modules() -> list[Path]:
    return sorted(path for package in ARROWS for path in (ROOT / package).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    """Every absolute dotted name that the module imports, wherever in it the import stands."""
    package = ("greenroom", *path.relative_to(ROOT).parts[:-1])
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names.add(".".join((*base, *([node.module] if node.module else []))))
        elif isinstance(node, ast.ImportFrom) and node.module == "greenroom":
            names |= {f"greenroom.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_what_its_package_may(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours, others = ARROWS[package]
    for name in imported_names(path):
        top, *rest = name.split(".")
        if top == "greenroom":
            assert rest, f"{path}: import a package of greenroom, not greenroom itself"
            assert rest[0] in ours | {package}, f"{package} must not import {name}"
        elif top in sys.stdlib_module_names:
            forbidden = STANDARD_LIBRARY_FORBIDDEN.get(package, set())
            assert top not in forbidden, f"{package} must not import {name}"
        elif others is not None:
            assert top in others, f"{package} must not import {name}"


def test_every_package_has_its_arrows() -> None:
    """A new top-level package must be added to the table above before it can be imported."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(ARROWS)
