"""What a strict Content-Security-Policy and a page without a build step rest on."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "node" / "page"
MODULES = sorted(PAGE.glob("*.js"))
IMPORTED = re.compile(r'^import .*?from "([^"]+)";$', re.MULTILINE | re.DOTALL)
INDEX = (PAGE / "index.html").read_text()


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text inside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag in {"script", "style"} and data.strip():
            self.inline.append(data)


def tags_of_index() -> Tags:
    tags = Tags()
    tags.feed(INDEX)
    return tags


def test_nothing_inline_that_the_policy_would_refuse() -> None:
    tags = tags_of_index()
    assert tags.inline == []
    names = {name for _, attributes in tags.found for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_every_file_the_page_names_is_there_and_from_this_node() -> None:
    for tag, attributes in tags_of_index().found:
        for name in ("src", "href"):
            target = attributes.get(name)
            if tag != "a" and target is not None and not target.startswith("#"):
                assert (PAGE / target).is_file(), target
    style = (PAGE / "style.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_import_their_neighbours_only(module: Path) -> None:
    for target in IMPORTED.findall(module.read_text()):
        assert re.fullmatch(r"\./[a-z-]+\.js", target), target
        assert (PAGE / target).is_file(), target


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_text_never_becomes_markup(module: Path) -> None:
    """Whatever people write goes in as text nodes; none of the ways round that is used."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function"
    assert re.findall(ways, module.read_text()) == []


def test_every_element_the_modules_ask_for_is_in_the_page() -> None:
    ids = {attributes["id"] for _, attributes in tags_of_index().found if "id" in attributes}
    asked = {
        name for module in MODULES for name in re.findall(r'byId\("([^"]+)"\)', module.read_text())
    }
    assert asked
    assert asked <= ids


def test_logic_and_drawing_stay_apart() -> None:
    """Modules that decide know no DOM: they run, and are tested, without a browser."""
    for name in ("protocol", "connection", "rooms", "chat", "timeline", "format"):
        source = (PAGE / f"{name}.js").read_text()
        assert not re.search(r"\bdocument\.|\bbyId\b|from \"\./(view-|dom)", source), name
