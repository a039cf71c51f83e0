"""The arrows between the packages: who may import whom, read off the source itself."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each package may import: of ours, and of others beside the standard library (None: any).
ARROWS: dict[str, tuple[set[str], set[str] | None]] = {
    "supervisor": (set(), {"trio", "attrs", "attr", "outcome"}),
    "protocol": (set(), {"attrs", "attr", "cattrs", "orjson", "jwt", "cryptography", "google"}),
    "actors": ({"supervisor", "protocol"}, {"trio", "attrs", "trio_websocket", "wsproto"}),
    "client": ({"supervisor", "protocol"}, {"trio", "attrs", "trio_websocket", "wsproto"}),
    "chaos": ({"supervisor", "protocol", "actors", "client"}, None),
    "node": ({"supervisor", "protocol", "actors", "client", "chaos"}, None),
}
# The same for the node's folders, among each other. What stands beside them puts them together, or
# serves them all (errors, masks, logs ...): of the former only the command line knows `serve`.
NODE_ARROWS: dict[str, set[str]] = {
    "settings": {"admin", "door"},  # of both only what reads and checks words
    "storage": {"settings"},
    "door": {"http"},
    "http": {"door", "identity"},
    "identity": {"door", "http", "settings", "storage"},
    "admin": {"door", "http", "identity", "settings"},
    "commands": {"identity", "settings", "storage"},
    "load": set(),
    "cli": {"commands", "door", "identity", "load", "settings"},
}
PUT_TOGETHER = {"serve", "outside", "callbacks", "signals", "collector"}
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


@pytest.mark.parametrize("folder", NODE_ARROWS)
def test_a_folder_of_the_node_imports_only_what_it_may(folder: str) -> None:
    others = NODE_ARROWS.keys() | PUT_TOGETHER
    allowed = NODE_ARROWS[folder] | {folder} | ({"serve"} if folder == "cli" else set())
    for path in (ROOT / "node" / folder).rglob("*.py"):
        for name in imported_names(path):
            part = name.removeprefix("greenroom.node.").partition(".")[0]
            if name.startswith("greenroom.node.") and part in others:
                assert part in allowed, f"{path.relative_to(ROOT)} must not import {name}"


def test_every_folder_of_the_node_has_its_arrows() -> None:
    assert {path.parent.name for path in (ROOT / "node").glob("*/__init__.py")} == set(NODE_ARROWS)


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that this one can't be imported without."""
    package = ("greenroom", *path.relative_to(ROOT).parts[:-1])
    found = set[str]()
    for node in needed_statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(known)


def needed_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs when a module is imported, without what only type checkers see."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield from needed_statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from needed_statements(node.body)


def test_no_module_needs_itself_by_way_of_others() -> None:
    """Whichever is imported first: each can be read, and loaded, behind those that it names."""
    known = {
        ".".join(("greenroom", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in modules()
        if path.stem not in {"__init__", "__main__"}
    }
    order = TopologicalSorter({name: imported_modules(path, known) for name, path in known.items()})
    order.prepare()  # raises CycleError, which names them


def test_every_package_has_its_arrows() -> None:
    """A new top-level package must be added to the table above before it can be imported."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(ARROWS)
