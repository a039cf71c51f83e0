"""The page in a real Chromium, against a real node that is killed and comes back."""

import re
from typing import Any

import pytest
from support.page_browser import Person, RunningNode, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.kill, pytest.mark.socket, pytest.mark.slow]


def test_two_windows_chat_through_a_killed_node(node: RunningNode, browser: Any) -> None:
    """SIGKILL: both windows count down, come back alone, miss nothing, show nothing twice."""
    ada = Person(browser, node, "Ada")
    ben = Person(browser, node, "Ben")
    ada.say("Is anybody here?")
    ben.wait_for("Is anybody here?")
    ben.say("I am.")
    ada.wait_for("I am.")
    said = ["Is anybody here?", "I am."]

    node.kill()
    for person in (ada, ben):
        person.page.get_by_text(re.compile(r"Next try in \d+ s\.")).wait_for()
        person.page.locator("#cue-light[data-state=DISCONNECTED]").wait_for()
        assert person.page.get_by_text("Disconnected", exact=True).first.is_visible()
    # Written while nobody is there to take it: shown at once, sent when there is.
    ada.say("Hello? Is this thing on?")
    ben.say("I think the lights went out.")
    assert ada.lines() == [*said, "Hello? Is this thing on?"]
    assert ada.unsent() == ben.unsent() == 1

    node.start()
    for person in (ada, ben):
        person.wait_connected()
        person.wait_for("Hello? Is this thing on?")
        person.wait_for("I think the lights went out.")
    ada.say("And on again.")
    ben.wait_for("And on again.")

    assert ada.lines() == ben.lines()
    assert sorted(ada.lines()) == sorted(
        [*said, "Hello? Is this thing on?", "I think the lights went out.", "And on again."]
    )
    assert ada.lines()[:2] == said
    assert ada.unsent() == ben.unsent() == 0

    before = ada.lines()
    ada.page.reload()  # still signed in, and the history comes from the node
    ada.wait_connected()
    ada.wait_for("And on again.")
    assert ada.lines() == before
    assert ada.complaints == ben.complaints == []


def test_a_flood_through_a_kill_arrives_exactly_once_and_in_order(
    node: RunningNode, browser: Any
) -> None:
    """Forty messages, the node killed among them: each there once, in the order it was written."""
    ada = Person(browser, node, "Ada")
    ben = Person(browser, node, "Ben")
    ada.watch_for_doubles()
    ben.watch_for_doubles()
    written = [f"line {number}" for number in range(40)]
    for number, words in enumerate(written):
        ada.say(words)
        if number == 20:
            node.kill()
    ada.page.get_by_role("button", name="Try now").click()  # too early, and no harm
    node.start()
    for person in (ada, ben):
        person.wait_connected()
        person.wait_for(written[-1])
    assert ada.lines() == ben.lines() == written
    assert ada.doubles() == ben.doubles() == []
    assert ada.complaints == ben.complaints == []


def test_rooms_are_kept_apart_counted_and_remembered(node: RunningNode, browser: Any) -> None:
    """A message in another room is a number beside its name; a reload forgets neither."""
    ada = Person(browser, node, "Ada")
    ben = Person(browser, node, "Ben")
    for person in (ada, ben):
        person.page.get_by_label("Name of a room to enter").fill("#props")
        person.page.keyboard.press("Enter")
        person.page.get_by_role("heading", name="props").wait_for()
        person.wait_connected()
    ada.page.get_by_role("link", name="lobby").click()
    ben.say("The lamp is back.")
    ada.page.get_by_role("link", name="props, 1 new message").wait_for()
    assert ada.page.title() == "(1) lobby · Greenroom"
    assert ada.page.url.endswith("#lobby")

    ada.page.reload()
    ada.wait_connected()
    ada.page.get_by_role("link", name="props, 1 new message").click()
    ada.wait_for("The lamp is back.")
    ada.page.get_by_role("link", name="props", exact=True).wait_for()
    assert ada.page.locator(".new-line").count() == 1

    ada.page.get_by_role("button", name="Leave props").click()
    ada.page.get_by_role("heading", name="lobby").wait_for()
    assert ada.page.get_by_role("link", name="props").count() == 0
    ben.page.get_by_text(re.compile("Ada.? leaves")).wait_for()
    assert ada.complaints == ben.complaints == []


def test_history_is_read_back_page_by_page_and_the_place_is_kept(
    node: RunningNode, browser: Any
) -> None:
    """A hundred and twenty lines, scrolled to the first: what is read does not jump meanwhile."""
    ada = Person(browser, node, "Ada")
    written = [f"line {number}" for number in range(120)]
    for words in written:
        ada.say(words)
    ada.wait_for(written[-1])
    ben = Person(browser, node, "Ben")
    ben.wait_for(written[-1])
    scroller = ben.page.get_by_role("log", name="Messages in lobby")
    assert len(ben.lines()) < len(written)

    text = ben.lines()[0]
    words = ben.page.locator(".line .words").get_by_text(text, exact=True)
    top = scroller.evaluate(
        "element => { element.scrollTop = 0;"
        " return element.querySelector('.words').getBoundingClientRect().top; }"
    )
    ben.page.wait_for_function("() => document.querySelectorAll('.line').length > 60")
    assert abs(words.bounding_box()["y"] - top) < 2

    ada.say("while you read")
    ben.page.get_by_role("button", name="1 new message").wait_for()
    while "line 0" not in ben.lines():
        scroller.evaluate("element => element.scrollTop = 0")
        ben.page.wait_for_timeout(50)
    assert ben.lines() == [*written, "while you read"]
    ben.page.get_by_role("button", name="1 new message").click()
    ben.page.get_by_role("button", name=re.compile("new message|Latest")).wait_for(state="hidden")
    assert ada.complaints == ben.complaints == []


def test_what_people_write_stays_text(node: RunningNode, browser: Any) -> None:
    """Markup is shown as it was written, and only http(s) becomes a link."""
    ada = Person(browser, node, "<i>Ada</i>")
    hostile = "<img src=x onerror=alert(1)> <b>bold</b> javascript:alert(1) https://a.example/x"
    ada.say(hostile)
    ada.wait_for(hostile)
    line = ada.page.locator(".line .words")
    assert line.inner_html().count("<") == 2  # <a …> and </a>
    assert line.locator("a").get_attribute("href") == "https://a.example/x"
    assert ada.page.locator(".person-name").text_content() == "<i>Ada</i>"
    assert ada.complaints == []


def test_a_phone_gets_drawers_and_the_keyboard_gets_everywhere(
    node: RunningNode, browser: Any
) -> None:
    """At 390 px the rooms hide behind a button; focus goes in with the drawer and comes back."""
    ada = Person(browser, node, "Ada", viewport={"width": 390, "height": 844})
    rooms = ada.page.get_by_role("navigation", name="Rooms")
    assert not rooms.is_visible()
    ada.page.get_by_role("button", name="Rooms", exact=True).focus()
    ada.page.keyboard.press("Enter")
    rooms.wait_for()
    assert ada.page.evaluate("document.querySelector('#rooms').contains(document.activeElement)")
    ada.page.keyboard.press("Escape")
    rooms.wait_for(state="hidden")
    assert ada.page.evaluate("document.activeElement.id") == "open-rooms"
    width = ada.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    assert ada.complaints == []


def test_what_was_not_sent_is_not_lost_without_a_question(node: RunningNode, browser: Any) -> None:
    """Closing the page asks first while a message waits for the node, and only then."""
    ada = Person(browser, node, "Ada")
    asked: list[str] = []
    ada.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    ada.say("stored")
    ada.wait_for("stored")
    node.kill()
    ada.say("not stored")
    ada.page.locator(".line.sending").wait_for()
    ada.page.close(run_before_unload=True)
    wait_until(ada.page, lambda: asked)
    assert asked == ["beforeunload"]
    assert "not stored" in ada.lines()
    node.start()
    ada.wait_for("not stored")
    ada.page.close(run_before_unload=True)
    assert asked == ["beforeunload"]
