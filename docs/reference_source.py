"""What the reference pages are made from: definitions of a package, read off its source.

Imports nothing of it. Knows nothing of pages; that is `generate_reference.py`.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Members without an underscore that other modules of the package use, and users need not; besides
# those whose docstring says that they are for the library, or for the clock.
INTERNAL = {
    "CommandRefused": {"by", "of"},
    "Envelope": {"deliveries", "refuse", "replied", "reserved", "stale", "taken", "withdraw"},
    "Error": {"of"},
    "Inbox": {"answer", "bury"},
    "ReplyTo": {"to_nobody", "withdraw"},
    "Subscription": {"end", "tell"},
}
INTERNAL_WORDS = re.compile("; for the (library|clock)")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def groups_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each comment inside `__all__` with the names below it."""
    title, inside = "", False
    names: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME and token.string == "__all__":
            inside = True
        elif not inside:
            continue
        elif token.type == tokenize.COMMENT:
            if names:
                yield title, names
            title, names = token.string.strip("# "), []
        elif token.type == tokenize.STRING:
            names.append(ast.literal_eval(token.string))
        elif token.string == "]":
            yield title, names
            return


@dataclass(frozen=True)
class Definition:
    """A class, a function or a type alias, and the string below it."""

    node: ast.stmt
    text: str = ""


@cache
def definitions(path: Path) -> dict[str, Definition]:
    """Return what a package's `__init__.py`, or a plain module, defines or imports from us."""
    found: dict[str, Definition] = {}
    for node, text in with_docstrings(parse(path).body):
        if isinstance(node, ast.ImportFrom):
            module = definitions(source_of) if (source_of := module_file(node, path)) else {}
            found.update((a.name, module[a.name]) for a in node.names if a.name in module)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = Definition(PlainTypes(found).visit(node))
        elif isinstance(node, ast.AnnAssign) and source(node.annotation) == "TypeAlias":
            found[name_of(node)] = Definition(node, text)
    return found


def module_file(node: ast.ImportFrom, path: Path) -> Path | None:
    """Return the file that `path` imports from, if it is one of ours."""
    names = (node.module or "").split(".")
    if node.level == 1 and node.module:
        base = path.parent.joinpath(*names)
    elif node.level == 0 and names[0] == "greenroom" and len(names) > 1:
        base = ROOT.joinpath(*names[1:])
    else:
        return None
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


class PlainTypes(ast.NodeTransformer):
    """Writes `int` for a name that stands for `Annotated[int, ...]`, as a reader sees it."""

    def __init__(self, scope: dict[str, Definition]) -> None:
        self._scope = scope

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = self._scope.get(node.id)
        value = known.node.value if known and isinstance(known.node, ast.AnnAssign) else None
        if isinstance(value, ast.Subscript) and source(value.value) == "Annotated":
            assert isinstance(value.slice, ast.Tuple)
            return value.slice.elts[0]
        return node


def is_public(owner: str, name: str) -> bool:
    return not name.startswith("_") and name not in INTERNAL.get(owner, set())


def is_public_method(owner: ast.ClassDef, method: ast.stmt) -> bool:
    return (
        isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef))
        and is_public(owner.name, method.name)
        and not INTERNAL_WORDS.search(docstring(method))
    )


def with_docstrings(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """Yield each statement with the string that follows it, or nothing."""
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        yield node, string_of(following)


def string_of(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return textwrap.dedent(" " * node.col_offset + str(node.value.value))
    return ""


def decorators(node: ast.stmt) -> list[str]:
    return [ast.unparse(d) for d in getattr(node, "decorator_list", [])]


def source(node: ast.AST) -> str:
    """Return the code of an expression, quoted as this project quotes."""
    return re.sub(r"'([^'\"]*)'", r'"\1"', ast.unparse(node))


def name_of(field: ast.AnnAssign) -> str:
    return source(field.target)


def docstring(node: ast.AST) -> str:
    return ast.get_docstring(node) or ""  # type: ignore[arg-type]  # only asked of definitions
