"""Write the pages in `docs/reference/` from the docstrings of the packages in `REFERENCES`.

    python docs/generate_reference.py            # writes the pages
    python docs/generate_reference.py client     # writes this one only
    python docs/generate_reference.py --check    # says whether the pages are up to date

Order and groups come from `__all__` and the comments in it, signatures and attributes from the
syntax tree, everything else from docstrings; all of that is read by `reference_source.py`.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reference_source import (
    ROOT,
    Definition,
    decorators,
    definitions,
    docstring,
    groups_of,
    is_public,
    is_public_method,
    name_of,
    parse,
    source,
    with_docstrings,
)


@dataclass(frozen=True)
class Reference:
    """One package's page."""

    package: str
    start: str  # where a reader who is new here begins
    titles: dict[str, str] = field(default_factory=dict)  # a comment in `__all__`: its heading
    has_testing: bool = False

    @property
    def path(self) -> Path:
        return ROOT / "docs" / "reference" / f"{self.package}.md"


REFERENCES = [
    Reference(
        "supervisor",
        start="the [tutorial](../tutorial/supervised-workers.md)",
        titles={
            "trees": "Trees",
            "actors": "Actors and messages",
            "seeing": "Seeing what happens",
            "errors": "Errors",
        },
        has_testing=True,
    ),
    Reference("client", start="[how to write a client](../how-to/write-a-client.md)"),
]
SECTIONS = ("Args", "Returns", "Yields", "Raises", "Cancellation")
LINE = 92  # longest signature on one line

INTRODUCTION = """\
# Reference: `greenroom.{package}`

*Generated from the docstrings by `docs/generate_reference.py`; edit those, not this page.*

New here? Read {start} first.
"""


# --- docstrings


def render(docstring: str, *, tag: str = "py") -> str:
    """Turn a Google-style docstring into Markdown."""
    out: list[str] = []
    code: list[str] = []
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        if paragraph.startswith("    ") or is_code(paragraph):
            code.append(textwrap.dedent(paragraph))
            continue
        out += as_code(code, tag)
        code = []
        head, _, rest = paragraph.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            out.append(render_section(head.rstrip(":"), textwrap.dedent(rest)))
        else:
            out.append(" ".join(paragraph.split()).replace("::", ":"))
    return "\n\n".join([*out, *as_code(code, tag)])


def as_code(paragraphs: list[str], tag: str) -> list[str]:
    spaced = [re.sub(r"^(@|class |async def |def |trio\.run)", r"\n\1", p) for p in paragraphs]
    return [f"```{tag}\n" + "\n\n".join(spaced).strip("\n") + "\n```"] if paragraphs else []


def is_code(paragraph: str) -> bool:
    """Whether a paragraph of several lines is Python rather than English."""
    if "\n" not in paragraph:
        return False
    try:
        ast.parse("async def _():\n" + textwrap.indent(paragraph, "    "))
    except SyntaxError:
        return False
    return True


def render_section(title: str, text: str) -> str:
    if title in {"Returns", "Yields", "Cancellation"}:
        return f"*{title}.* " + " ".join(text.split())
    entries = [" ".join(entry.split()) for entry in re.split(r"\n(?=\S)", text)]
    lines = []
    for entry in entries:
        name, _, meaning = entry.partition(": ")
        lines.append(f"- `{name}`: {meaning}")
    return f"*{title}*\n\n" + "\n".join(lines)


# --- signatures


def function_signature(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [argument(a, d) for a, d in zip(positional, defaults, strict=True)]
    if parts and parts[0] in {"self", "cls"}:
        parts = parts[1:]
    if arguments.vararg is not None:
        parts.append("*" + argument(arguments.vararg, None))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [
        argument(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg is not None:
        parts.append("**" + argument(arguments.kwarg, None))
    start = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    end = "" if node.returns is None else f" -> {source(node.returns)}"
    marks = decorators(node)
    if "asynccontextmanager" in marks or end.startswith(" -> AbstractAsyncContextManager["):
        start, end = "async with ", f" as {yielded(node)}"
    elif "contextmanager" in marks:
        start, end = "with ", f" as {yielded(node)}"
    return layout(f"{start}{name}", parts, f"{end}")


def yielded(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    assert isinstance(node.returns, ast.Subscript)
    inner = node.returns.slice
    return source(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)


def argument(node: ast.arg, default: ast.expr | None) -> str:
    text = node.arg if node.annotation is None else f"{node.arg}: {source(node.annotation)}"
    return text if default is None else f"{text} = {source(default)}"


def layout(start: str, parts: list[str], end: str) -> str:
    line = f"{start}({', '.join(parts)}){end}"
    if len(line) <= LINE:
        return line
    return f"{start}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def record_signature(node: ast.ClassDef) -> str:
    parts = ["*"] if any("kw_only=True" in d for d in decorators(node)) else []
    parts += [f"{name_of(f)}: {source(f.annotation)}{default(f)}" for f in fields(node)]
    return layout(node.name, parts, "")


def fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    found = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
    return [field for field in found if is_public(node.name, name_of(field))]


def default(field: ast.AnnAssign) -> str:
    value = field.value
    if isinstance(value, ast.Call) and source(value.func) == "attrs.field":
        settings = {k.arg: k.value for k in value.keywords}
        if "default" in settings:
            return f" = {source(settings['default'])}"
        return f" = {source(settings['factory'])}()" if "factory" in settings else ""
    return "" if value is None else f" = {source(value)}"


# --- pages


def generate(reference: Reference) -> str:
    """Return the page's text."""
    name = f"greenroom.{reference.package}"
    package = ROOT / reference.package / "__init__.py"
    introduction = INTRODUCTION.format(package=reference.package, start=reference.start)
    parts = [introduction, render(docstring(parse(package)), tag="python")]
    groups = [(title(reference, comment), names) for comment, names in groups_of(package)]
    for heading, names in groups:
        links = ", ".join(f"[`{name}`](#{name.lower()})" for name in names)
        parts.append(f"**[{heading}](#{heading.lower().replace(' ', '-')})**: {links}")
    if reference.has_testing:
        parts.append(f"**[Testing](#testing)**: the module `{name}.testing`")
    for heading, names in groups:
        parts += [f"## {heading}", *entries(package, names)]
    if reference.has_testing:
        testing = package.with_name("testing.py")
        parts += ["## Testing", f"`from {name}.testing import ...`"]
        parts.append(render(docstring(parse(testing))))
        for _, names in groups_of(testing):
            parts += entries(testing, names)
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def title(reference: Reference, comment: str) -> str:
    plain = comment.rstrip(".")
    return reference.titles.get(plain, plain[:1].upper() + plain[1:])


def entries(module: Path, names: list[str]) -> Iterator[str]:
    found = definitions(module)
    return (entry(name, found[name]) for name in names)


def entry(name: str, definition: Definition) -> str:
    node = definition.node
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        alias = fenced(f"{name} = {source(node.value)}")
        return "\n\n".join([f"### {name}", alias, render(definition.text)])
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "\n\n".join(
            [f"### {name}", fenced(function_signature(node, name)), render(docstring(node))]
        )
    assert isinstance(node, ast.ClassDef)
    return "\n\n".join(part for part in class_parts(node) if part)


def class_parts(node: ast.ClassDef) -> Iterator[str]:
    yield f"### {node.name}"
    bases = [source(base) for base in node.bases]
    if bases and bases[0].removeprefix("enum.") in {"Enum", "IntEnum"}:
        kind = bases[0].removeprefix("enum.")
        yield f"An `enum.{kind}`. {render(docstring(node))}"
        yield bullets(members(node, with_values=kind == "IntEnum"))
        yield bullets((f"`{name}`", text) for name, text in properties(node))
        return
    if any(d.startswith("attrs.") for d in decorators(node)):
        yield fenced(record_signature(node))
        yield render(docstring(node))
        described = dict(with_docstrings(node.body))
        known = [(f"`{name_of(f)}`", described[f]) for f in fields(node) if described[f]]
        yield bullets([*known, *((f"`{name}`", text) for name, text in properties(node))])
    else:
        yield fenced(f"class {node.name}({', '.join(bases)})" if bases else f"class {node.name}")
        yield render(docstring(node))
        yield bullets((f"`{name}`", text) for name, text in attributes(node))
    yield from methods(node)


def members(node: ast.ClassDef, *, with_values: bool) -> Iterator[tuple[str, str]]:
    for statement, text in with_docstrings(node.body):
        if isinstance(statement, ast.Assign):
            yield f"`{source(statement if with_values else statement.targets[0])}`", text


def attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield annotated attributes, properties, and what `__init__` sets, with their docstrings."""
    for statement, text in with_docstrings(node.body):
        if isinstance(statement, ast.AnnAssign):
            name = source(statement.target)
            if is_public(node.name, name):
                yield f"{name}: {source(statement.annotation)}", text
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            for assignment, meaning in with_docstrings(statement.body):
                for name in own_attributes(assignment):
                    if is_public(node.name, name):
                        yield name, meaning
    yield from properties(node)


def properties(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or "property" not in decorators(method):
            continue
        if is_public_method(node, method):
            assert method.returns is not None
            yield f"{method.name}: {source(method.returns)}", docstring(method)


def own_attributes(node: ast.stmt) -> Iterator[str]:
    """Yield `x` for each `self.x` that is assigned to."""
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        first = node.targets[0]
        targets = list(first.elts) if isinstance(first, ast.Tuple) else list(node.targets)
    else:
        return
    for target in targets:
        owner, _, name = source(target).partition(".")
        if owner == "self" and name != "args":  # every exception has those
            yield name


def methods(node: ast.ClassDef) -> Iterator[str]:
    for method in node.body:
        if not isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if "property" in decorators(method) or not is_public_method(node, method):
            continue
        yield f"#### {node.name}.{method.name}"
        yield fenced(function_signature(method, method.name))
        yield render(docstring(method))


def bullets(items: Iterable[tuple[str, str]]) -> str:
    pairs = [(name, " ".join(text.split())) for name, text in items]
    if not any(meaning for _, meaning in pairs):
        return ", ".join(name for name, _ in pairs)
    return "\n".join(f"- {name}: {meaning}" if meaning else f"- {name}" for name, meaning in pairs)


def fenced(code: str) -> str:
    return f"```py\n{code}\n```"


def main() -> None:
    chosen = [word for word in sys.argv[1:] if word != "--check"]
    for reference in REFERENCES:
        if chosen and reference.package not in chosen:
            continue
        text = generate(reference)
        if "--check" not in sys.argv:
            reference.path.parent.mkdir(exist_ok=True)
            reference.path.write_text(text)
        elif reference.path.read_text() != text:
            page = reference.path.relative_to(ROOT)
            sys.exit(f"{page} is out of date: run docs/generate_reference.py")


if __name__ == "__main__":
    main()
