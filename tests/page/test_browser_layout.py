"""The page where there is little room for it, and while it waits."""

from typing import Any

import pytest
from support.page_browser import Person, RunningNode

pytestmark = [pytest.mark.browser, pytest.mark.socket, pytest.mark.slow]

LONG_ROOM = "a-room-with-a-long-name-" + "x" * 60

OVERFLOW = "element => element.scrollWidth - element.clientWidth"
HEIGHT = "element => element.offsetHeight"


def enter(person: Person, room: str) -> None:
    """Enter a room by its address; at phone width the form for it is in a drawer."""
    person.page.evaluate("name => { location.hash = name }", room)
    person.page.locator("#room-name").get_by_text(room, exact=True).wait_for()
    person.page.get_by_text("Nobody has spoken").wait_for()


def test_long_names_fit_the_smallest_window(node: RunningNode, browser: Any) -> None:
    """At 320 px nothing is cut off at the side, and the room's name keeps a third of the header."""
    ada = Person(browser, node, "Ada", viewport={"width": 320, "height": 568})
    one_line = ada.page.locator("#composer-text").evaluate(HEIGHT)
    enter(ada, LONG_ROOM)
    assert ada.page.locator("#composer-text").evaluate(HEIGHT) == one_line
    ada.say("first")
    ada.wait_for("first")
    ada.page.get_by_text(f"This is where {LONG_ROOM} begins.").wait_for()
    assert ada.page.locator("#scroller").evaluate(OVERFLOW) == 0
    assert ada.page.locator("#room-name").bounding_box()["width"] > 320 / 3
    assert ada.complaints == []


def test_the_room_we_are_in_is_in_view_among_many(node: RunningNode, browser: Any) -> None:
    """Thirty rooms: only their list scrolls, and it scrolls to the one that was entered."""
    ada = Person(browser, node, "Ada")
    brand = ada.page.locator(".brand").evaluate(HEIGHT)
    for number in range(30):
        enter(ada, f"room-{number}")
    assert ada.page.locator(".brand").evaluate(HEIGHT) == brand
    shown = ada.page.locator("#room-list").bounding_box()
    link = ada.page.locator(".room-link[aria-current]").bounding_box()
    assert shown["y"] - 1 <= link["y"]
    assert link["y"] + link["height"] <= shown["y"] + shown["height"] + 1
    assert ada.complaints == []


def test_a_sign_in_that_takes_long_says_so(node: RunningNode, browser: Any) -> None:
    """The form is busy from the press of the button to the node's answer."""
    held: list[Any] = []
    page = browser.new_page()

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/api/guest", hold)
    page.goto(node.url)
    page.get_by_label("What shall we call you?").fill("Ada")
    page.get_by_role("button", name="Come in", exact=True).click()
    page.locator("#guest-form[aria-busy=true]").wait_for()
    while not held:
        page.wait_for_timeout(10)
    held[0].fulfill(status=503, json={"error": "The node is busy."})
    page.get_by_text("The node is busy.").wait_for()
    assert page.locator("#guest-form[aria-busy=true]").count() == 0
