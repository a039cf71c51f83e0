"""A node as a process and a person at a window of a real Chromium, for the tests of the page.

Skipped with a reason where Chromium is missing; under CI=true that is a failure.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.patience import PATIENCE_SECONDS
from support.ports import free_port

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60
COME_BACK_MS = 60_000  # the longest wait between two tries is 30 s, and a try may fail once more

WATCH_FOR_DOUBLES = """() => {
    window.doubles = new Set();
    new MutationObserver(() => {
        const seen = new Set();
        for (const words of document.querySelectorAll('.line .words')) {
            if (seen.has(words.textContent)) window.doubles.add(words.textContent);
            seen.add(words.textContent);
        }
    }).observe(document.querySelector('#lines'), { childList: true, subtree: true });
}"""

Page = Any  # playwright.sync_api.Page: the module may be missing, and is imported where it is used


def missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def find_chromium() -> str:
    named = os.environ.get("GREENROOM_CHROMIUM")
    candidates = [named] if named else ["/usr/bin/chromium", "chromium", "chromium-browser"]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    missing(f"no Chromium at {', '.join(candidates)}: set GREENROOM_CHROMIUM")
    raise AssertionError


class RunningNode:
    """`greenroom serve` as a process of its own, on one port and one data directory."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.settings = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "greenroom.node", "serve"]
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data)]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")
        } | self.settings
        with (self.data.parent / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, env=environment
            )
        give_up_at = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < give_up_at, self.log()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}readyz", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def log(self) -> str:
        return (self.data.parent / "node.log").read_text(errors="replace")


def wait_until(page: Page, condition: Callable[[], object]) -> None:
    """Wait for what the page tells nobody but a listener of ours."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < give_up_at:
        page.wait_for_timeout(20)


class Person:
    """Somebody at a window, who sees what is on it and does what people do."""

    def __init__(self, browser: Any, node: RunningNode, name: str, **context: Any) -> None:
        self.name = name
        self.page: Page = browser.new_context(locale="en-GB", **context).new_page()
        self.complaints: list[str] = []
        """What the page should never have said: script errors, refusals by the CSP."""
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(node.url)
        self.come_in()

    def come_in(self) -> None:
        self.page.get_by_label("What shall we call you?").fill(self.name)
        self.page.get_by_role("button", name="Come in", exact=True).click()
        self.wait_connected()

    def _listen(self, message: Any) -> None:
        # A node that is away is reported by the browser itself; that is no fault of the page.
        if message.type == "error" and "net::ERR" not in message.text:
            self.complaints.append(message.text)

    def state(self) -> str:
        return str(self.page.locator("#cue-light").get_attribute("data-state"))

    def wait_connected(self, timeout: int = COME_BACK_MS) -> None:
        self.page.locator("#cue-light[data-state=CONNECTED]").wait_for(timeout=timeout)
        self.page.get_by_text(re.compile("begins|Nobody has spoken|earlier messages")).wait_for()

    def say(self, words: str) -> None:
        box = self.page.get_by_role("textbox", name=re.compile("^Message to"))
        box.fill(words)
        box.press("Enter")

    def wait_for(self, words: str) -> None:
        self.page.locator(".line.stored .words").get_by_text(words, exact=True).wait_for()

    def lines(self) -> list[str]:
        return [str(text) for text in self.page.locator(".line .words").all_text_contents()]

    def watch_for_doubles(self) -> None:
        """Look at every state of the list from now on, however short it lasts."""
        self.page.evaluate(WATCH_FOR_DOUBLES)

    def doubles(self) -> list[str]:
        return [str(text) for text in self.page.evaluate("[...window.doubles]")]

    def unsent(self) -> int:
        return int(self.page.locator(".line.sending, .line.failed").count())
