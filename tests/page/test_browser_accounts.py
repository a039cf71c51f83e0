"""Signing in with a name and a password, in a real Chromium."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.page_browser import Person, RunningNode

pytestmark = [pytest.mark.browser, pytest.mark.kill, pytest.mark.socket, pytest.mark.slow]


class User(Person):
    """Somebody with an account; the password is this one until it is changed."""

    password = "correct horse"

    def come_in(self) -> None:
        self.sign_in(self.password)
        self.wait_connected()

    def sign_in(self, password: str) -> None:
        to_password = self.page.get_by_role("button", name="Sign in with a password")
        self.page.locator("#signin-others").wait_for()
        if to_password.is_visible():
            to_password.click()
        self.page.get_by_role("textbox", name="Name", exact=True).fill(self.name)
        self.page.locator("#password").fill(password)
        self.page.keyboard.press("Enter")

    def sign_out(self) -> None:
        self.page.get_by_role("button", name="Sign out").click()
        self.page.get_by_role("button", name="Sign in", exact=True).wait_for()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    """A development node with cheap hashes and one user, Ann."""
    running = RunningNode(tmp_path / "data", password_memory_mib="8", password_passes="1")
    command = [sys.executable, "-m", "greenroom.node", "user", "add", "Ann", "--password-stdin"]
    command += ["--data", str(running.data)]
    try:
        running.start()
        subprocess.run(command, input=b"correct horse", check=True, timeout=60)
        yield running
    finally:
        running.kill()


def complaints(user: Person) -> list[str]:
    """Without those that the browser makes of every status from 400 on."""
    return [line for line in user.complaints if not line.startswith("Failed to load resource")]


def test_a_user_signs_in_chats_reloads_changes_the_password_and_signs_out(
    node: RunningNode, browser: Any
) -> None:
    """What is wrong is said beside the form; a reload stays signed in; no guest has the name."""
    ann = User(browser, node, "Ann")
    ben = Person(browser, node, "Ben")
    ann.say("My own name.")
    ben.wait_for("My own name.")
    assert ben.page.locator(".person-name", has_text="Ann").is_visible()

    ann.page.reload()
    ann.wait_connected()
    ann.wait_for("My own name.")

    ann.page.get_by_role("button", name="Change your password").click()
    dialog = ann.page.get_by_role("dialog")
    dialog.get_by_label("Present password").fill("no idea")
    dialog.get_by_label("New password").fill("battery staple")
    dialog.get_by_role("button", name="Change it").click()
    dialog.get_by_text("The present password is wrong.").wait_for()
    dialog.get_by_label("Present password").fill("correct horse")
    dialog.get_by_role("button", name="Change it").click()
    dialog.wait_for(state="hidden")
    ann.wait_connected()
    ann.say("Still here.")
    ben.wait_for("Still here.")

    stored = ann.page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert "correct" not in stored
    assert "battery" not in stored
    ann.sign_out()
    ann.page.get_by_role("button", name="Come in as a guest").click()
    ann.page.get_by_label("What shall we call you?").fill("ANN")
    ann.page.get_by_role("button", name="Come in", exact=True).click()
    ann.page.get_by_text("This name belongs to somebody.").wait_for()
    ann.sign_in("correct horse")
    ann.page.get_by_text("The name or the password is wrong.").wait_for()
    ann.sign_in("battery staple")
    ann.wait_connected()
    assert complaints(ann) == complaints(ben) == []
