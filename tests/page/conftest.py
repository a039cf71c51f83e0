"""A node and a browser for the tests of the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.page_browser import CHROMIUM_FLAGS, RunningNode, find_chromium, missing


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data")
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
        raise
    executable = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
